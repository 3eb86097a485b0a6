"""Samples with weights, as one problem whatever the order and the way in which they were given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

__all__ = ["WeightedRows"]

# Rows are given several times, rather than once with a weight, if that makes at most so many times as many.
_MOST_COPIES = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class WeightedRows:
    """Different samples, sorted, each with the sum of the weights that it was given with.

    A sample of weight k is the same as k samples, one of weight zero is none, and their order says nothing:
    in this form all of these are one problem, to the last bit, and so are their solutions.

    Attributes
    ----------
    X : (m, d) float array
        Features.
    y : (m,) or (m, K) float array
        Targets.
    weights : (m,) float array
        Positive.
    index : (n,) int array
        The row of each sample given, -1 for those of weight zero.
    given : (n,) float array
        The weights given.
    """

    X: Float[np.ndarray, "m d"]
    y: Float[np.ndarray, "m ..."]
    weights: Float[np.ndarray, " m"]
    index: Int[np.ndarray, " n"]
    given: Float[np.ndarray, " n"]

    @classmethod
    def of(
        cls, X: Float[np.ndarray, "n d"], y: Float[np.ndarray, "n ..."], weights: Float[np.ndarray, " n"]
    ) -> WeightedRows:
        """Take equal samples together; weights are at least zero, and one is positive."""
        live = np.flatnonzero(weights > 0)
        samples = np.column_stack([X, y])[live] + 0.0  # -0 and 0 are one number
        rows, inverse = np.unique(samples, axis=0, return_inverse=True)
        index = np.full(len(X), -1)
        index[live] = inverse.ravel()
        d = X.shape[1]
        return cls(
            X=np.ascontiguousarray(rows[:, :d]),
            y=np.ascontiguousarray(rows[:, d] if y.ndim == 1 else rows[:, d:]),
            weights=np.bincount(index[live], weights=weights[live]),
            index=index,
            given=weights,
        )

    def copies(self) -> Int[np.ndarray, " c"] | None:
        """The rows, each as often as its weight is a multiple of the least; None if they are no multiples."""
        counts = self.weights / self.weights.min()
        if (counts != np.rint(counts)).any() or counts.sum() > _MOST_COPIES * len(self.index):
            return None
        return np.repeat(np.arange(len(counts)), counts.astype(np.int64))

    def spread(self, lams: Sequence[Float[np.ndarray, "m ..."]]) -> Float[np.ndarray, ...]:
        """Multipliers of the samples given: each has its share of its row's. One problem a row if several."""
        live = self.index >= 0
        rows = self.index[live]
        shares = self.given[live] / self.weights[rows]
        spread = np.zeros((len(lams), len(self.index), *lams[0].shape[1:]))
        for own, lam in zip(spread, lams, strict=True):
            own[live] = (lam[rows].T * shares).T
        return spread[0] if len(lams) == 1 else spread
