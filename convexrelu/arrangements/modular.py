"""Arithmetic modulo the prime 2^61 - 1, compiled."""

from __future__ import annotations

from typing import no_type_check

import numpy as np

from convexrelu._typing import kernel

__all__ = ["MODULUS", "pivot_of", "proportional", "reciprocal", "times"]

MODULUS = 2**61 - 1

# Every constant is a uint64: mixed with a signed integer, one would turn the result into a float.
_P = np.uint64(MODULUS)
_LOW31, _LOW30 = np.uint64(2**31 - 1), np.uint64(2**30 - 1)
_S1, _S30, _S31, _S61 = np.uint64(1), np.uint64(30), np.uint64(31), np.uint64(61)
_ZERO, _ONE = np.uint64(0), np.uint64(1)


@kernel
@no_type_check
def times(a, b):
    """Product modulo p of two numbers below p."""
    a1, a0 = a >> _S31, a & _LOW31
    b1, b0 = b >> _S31, b & _LOW31
    middle = a1 * b0 + a0 * b1
    low = a0 * b0
    total = ((a1 * b1) << _S1) + (middle >> _S30) + ((middle & _LOW30) << _S31) + (low & _P) + (low >> _S61)
    total = (total & _P) + (total >> _S61)
    return total - _P if total >= _P else total


@kernel
@no_type_check
def reciprocal(a):
    """Return a^(p - 2), the inverse modulo p."""
    result, power, exponent = _ONE, a, _P - _ONE - _ONE
    while exponent != _ZERO:
        if exponent & _ONE != _ZERO:
            result = times(result, power)
        power = times(power, power)
        exponent = exponent >> _S1
    return result


@kernel
@no_type_check
def pivot_of(residues, i):
    """Return the place of the first entry of row i that is not zero."""
    c = 0
    while c < residues.shape[1] - 1 and residues[i, c] == _ZERO:
        c += 1
    return c


@kernel
@no_type_check
def proportional(residues, i, j):
    """Whether two rows modulo p are multiples of each other (true if there are no entries)."""
    c = pivot_of(residues, i)
    for t in range(residues.shape[1]):
        if times(residues[i, c], residues[j, t]) != times(residues[j, c], residues[i, t]):
            return False
    return True
