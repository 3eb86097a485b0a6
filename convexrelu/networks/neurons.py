"""Arithmetic of neurons behind :class:`TwoLayerReLU`: norms, sharing out of weights, merging, printing."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

__all__ = ["Weights", "balance", "describe", "merge", "row_norms"]

_SHOWN = 12  # neurons listed before the text says "and k smaller ones"


class Weights(NamedTuple):
    """The arrays of a two-layer network without biases."""

    W1: Float[np.ndarray, "m d"]
    w2: Float[np.ndarray, " m"]


def row_norms(rows: Float[np.ndarray, "m d"]) -> Float[np.ndarray, " m"]:
    """Return Euclidean norms that neither overflow nor vanish where the squares of the entries would."""
    largest = np.max(np.abs(rows), axis=1)
    scale = np.where(largest > 0, largest, 1.0)
    return np.asarray(scale * np.linalg.norm(rows / scale[:, None], axis=1))


def balance(W1: Float[np.ndarray, "m d"], w2: Float[np.ndarray, " m"]) -> Weights:
    """Return the weights of the same function with ``||w1_i|| = |w2_i|``; those of size zero become zero."""
    norms, outputs = np.sqrt(row_norms(W1)), np.sqrt(np.abs(w2))
    live = (norms > 0) & (outputs > 0)
    first, second = np.zeros_like(W1), np.zeros_like(w2)
    # Roots first: the quotient of the squares could overflow where the quotient of the roots does not.
    first[live] = W1[live] * (outputs[live] / norms[live])[:, None]
    second[live] = np.sign(w2[live]) * outputs[live] * norms[live]
    return Weights(first, second)


def merge(U: Float[np.ndarray, "m d"], signs: Float[np.ndarray, " m"], tol: float) -> Weights:
    """Return the sums of the groups of non-zero rows of one direction and sign, and these signs.

    The largest row still free leads a group, which takes every free row whose unit vector lies within `tol`:
    members are compared with the leader only, so that groups do not chain. (The second array holds signs.)
    """
    sizes = row_norms(U)
    order = np.argsort(-sizes, kind="stable")[: np.count_nonzero(sizes)]
    unit = U[order] / sizes[order][:, None]
    free = np.ones(len(order), dtype=bool)
    leaders, rows = [], []
    for i, row in enumerate(unit):
        if free[i]:
            close = free & (signs[order] == signs[order[i]]) & (row_norms(unit - row) <= tol)
            close[i] = True
            free &= ~close
            leaders.append(order[i])
            rows.append(U[order[close]].sum(axis=0))
    return Weights(np.reshape(rows, (-1, U.shape[1])), signs[np.asarray(leaders, dtype=int)])


def describe(W1: Float[np.ndarray, "m d"], w2: Float[np.ndarray, " m"]) -> str:
    """Return one line a neuron, the largest first: its sign, its size, and ``|w2| w1``."""
    u = np.abs(w2)[:, None] * W1
    sizes = np.abs(w2) * row_norms(W1)
    lines = []
    for i in np.argsort(-sizes, kind="stable")[:_SHOWN]:
        sign = "+" if w2[i] > 0 else "-" if w2[i] < 0 else "0"
        row = np.array2string(u[i], precision=4, threshold=6, edgeitems=2, max_line_width=10**6)
        lines.append(f"  {sign} {sizes[i]:<10.4g} u = {row}")
    if len(w2) > _SHOWN:
        lines.append(f"  and {len(w2) - _SHOWN} smaller ones")
    return "\n".join(lines)
