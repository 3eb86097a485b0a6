"""What both programs take: data, one-vs-rest labels, patterns and the soft-margin penalty, checked once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from convexrelu._typing import ArrayLike
from convexrelu._validation import as_class_labels, as_matrix, as_penalty, one_vs_rest
from convexrelu.errors import InvalidInputError

__all__ = ["ProgramInputs", "check_inputs"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ProgramInputs:
    """Checked arguments of a program.

    Attributes
    ----------
    X : (n, d) float array
        The data.
    Y : (K, n) float array
        One row of +-1 labels for each binary program: a single one for two labels, one-vs-rest for K > 2 (WP
        section 2).
    patterns : (p, n) bool array
        Masks D_j.
    C : float
        Penalty of slack, inf for none.
    """

    X: Float[np.ndarray, "n d"]
    Y: Float[np.ndarray, "K n"]
    patterns: Bool[np.ndarray, "p n"]
    C: float


def check_inputs(X: ArrayLike, y: ArrayLike, patterns: ArrayLike, C: float) -> ProgramInputs:
    """Return the arguments as clean arrays, or raise InvalidInputError."""
    matrix = as_matrix(X)
    labels = as_class_labels(y, length=len(matrix))
    masks = np.asarray(patterns)
    if masks.ndim != 2 or masks.shape[1] != len(matrix) or not len(masks):
        raise InvalidInputError(f"patterns must have shape (p, {len(matrix)}) with p >= 1, got {masks.shape}")
    if not np.isin(masks, (0, 1)).all():
        raise InvalidInputError("patterns must hold booleans (or 0 and 1), got other values")
    return ProgramInputs(X=matrix, Y=one_vs_rest(labels).Y, patterns=masks.astype(bool), C=as_penalty(C))
