"""Whole and rational numbers, for which ties are decided exactly, and everything else, within a tolerance.

A matrix of whole numbers (of any type, floats included) or of fractions is scaled row by row to integers
without a common factor. Parallel rows are then found in integer arithmetic, rank and coinciding flats modulo
the prime 2^61 - 1: every number that has to be compared with zero is a minor, up to factors that are not
zero. Hadamard's inequality bounds all minors by the product of the r + 1 longest rows. Below the prime, zero
modulo it means zero, and the result is exact; of larger minors that are not zero, one in 2^61 would be taken
for zero, and the result is not called exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from numbers import Rational

import numpy as np
from jaxtyping import Float, UInt64

from convexrelu._typing import ArrayLike
from convexrelu._validation import as_matrix
from convexrelu.arrangements.hyperplanes import Hyperplanes, hyperplanes_of, independent_first, unit_rows
from convexrelu.arrangements.modular import MODULUS

__all__ = ["Decided", "decide"]

_LARGEST = 2.0**53  # up to which a whole float is the number that was meant


@dataclass(frozen=True, kw_only=True, eq=False)
class Decided:
    """A matrix and its distinct hyperplanes, with what is needed to decide ties among them.

    Attributes
    ----------
    matrix : (n, d) float array
        The rows.
    lines : Hyperplanes
        Their distinct hyperplanes.
    exact : bool
        Whether ties are decided without any doubt.
    residues : (h, r) uint64 array
        The hyperplanes modulo `MODULUS`, in coordinates of their own; (h, 0) if ties are decided within the
        tolerance.
    """

    matrix: Float[np.ndarray, "n d"]
    lines: Hyperplanes
    exact: bool
    residues: UInt64[np.ndarray, "h s"]


def decide(X: ArrayLike, *, exact: bool = True) -> Decided:
    """Return the hyperplanes of X: of whole and rational numbers by arithmetic (if wanted), else as floats.

    Raises
    ------
    InvalidInputError
        If X is not a finite matrix.
    """
    matrix = as_matrix(X)
    rows = _integer_rows(X, matrix) if exact else None
    if rows is not None:
        return _decide_exactly(matrix, rows)
    lines = hyperplanes_of(matrix)
    none = np.zeros((len(lines.normals), 0), dtype=np.uint64)
    return Decided(matrix=matrix, lines=lines, exact=lines.rank == 0, residues=none)


def _integer_rows(X: ArrayLike, matrix: Float[np.ndarray, "n d"]) -> list[tuple[int, ...]] | None:
    """Return the rows as integers without a common factor, the first of them positive; None for floats."""
    given = np.asarray(X)
    if given.dtype.kind == "O":
        if not all(isinstance(v, Rational) for v in given.flat):
            return None
        return [_primitive([Fraction(v) for v in row]) for row in given.tolist()]
    if given.dtype.kind == "f" and not ((matrix == np.floor(matrix)) & (np.abs(matrix) <= _LARGEST)).all():
        return None
    return [_primitive([int(v) for v in row]) for row in given.tolist()]


def _primitive(row: list[int] | list[Fraction]) -> tuple[int, ...]:
    scale = math.lcm(*(v.denominator for v in row))
    whole = [int(v * scale) for v in row]
    factor = math.gcd(*whole) or 1
    lead = next((v for v in whole if v), 1)
    factor = factor if lead > 0 else -factor
    return tuple(v // factor for v in whole)


def _decide_exactly(matrix: Float[np.ndarray, "n d"], rows: list[tuple[int, ...]]) -> Decided:
    """Return the hyperplanes of integer rows."""
    d = matrix.shape[1]
    first: dict[tuple[int, ...], int] = {}
    for i, row in enumerate(rows):
        if any(row):
            first.setdefault(row, i)
    columns = _independent_columns(list(first), d)
    rank = len(columns)
    if not rank:
        return Decided(
            matrix=matrix,
            lines=hyperplanes_of(np.zeros_like(matrix)),
            exact=True,
            residues=np.zeros((0, 0), dtype=np.uint64),
        )
    # the minors that prove the rank are larger by one row than those compared later
    squares = sorted((sum(v * v for v in row) for row in first), reverse=True)[: min(rank + 1, d)]
    units = unit_rows(matrix)
    leads = np.array(list(first.values()))
    basis = np.linalg.svd(units[leads], full_matrices=False)[2][:rank].T
    normals = unit_rows(units[leads] @ basis)
    order = independent_first(normals)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    number = {row: int(place[k]) for k, row in enumerate(first)}
    member = np.array([number.get(row, -1) for row in rows])
    along = (units * units[leads[order]][member]).sum(axis=1)
    lines = Hyperplanes(
        normals=np.ascontiguousarray(normals[order]),
        spread=np.ones(len(order)),
        basis=np.ascontiguousarray(basis),
        member=member,
        sign=np.where(member >= 0, np.where(along > 0, 1, -1), 0),
    )
    distinct = list(first)
    residues = np.array([[distinct[k][c] % MODULUS for c in columns] for k in order], dtype=np.uint64)
    return Decided(matrix=matrix, lines=lines, exact=math.prod(squares) < MODULUS**2, residues=residues)


def _independent_columns(rows: list[tuple[int, ...]], d: int) -> list[int]:
    """Return columns on which the rows have full rank modulo the prime."""
    pivots: list[tuple[int, list[int]]] = []
    for row in rows:
        rest = [v % MODULUS for v in row]
        for column, pivot in pivots:
            if rest[column]:
                factor = rest[column]
                rest = [(v - factor * w) % MODULUS for v, w in zip(rest, pivot, strict=True)]
        if not any(rest):
            continue
        column = next(c for c in range(d) if rest[c])
        inverse = pow(rest[column], -1, MODULUS)
        pivots.append((column, [v * inverse % MODULUS for v in rest]))
        if len(pivots) == d:
            break
    return [column for column, _ in pivots]
