"""The frozen pull on a neuron, hyperplane by hyperplane, and the tasks that follow neurons in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from convexrelu.arrangements.hyperplanes import hyperplanes_of, unit_rows

__all__ = ["Followed", "FrozenPull", "follow_some"]


@dataclass(frozen=True, kw_only=True, eq=False)
class FrozenPull:
    """What the rows of each hyperplane add to ``g = X^T D(w1) y/2`` on either side of it.

    Rows are scaled by ``2^-exponent`` so that the largest is near 1: time is then longer by ``2^exponent``.
    On the positive side of hyperplane h the pull along its unit normal is ``high[h]``, on the negative side
    ``low[h]``; ``lead`` (h,) is the hyperplane's first row.
    """

    units: Float[np.ndarray, "n d"]
    normals: Float[np.ndarray, "h d"]
    low: Float[np.ndarray, " h"]
    high: Float[np.ndarray, " h"]
    lead: Int[np.ndarray, " h"]
    exponent: int

    @classmethod
    def of(cls, X: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"]) -> FrozenPull:
        """Return the pull of these data."""
        planes, units = hyperplanes_of(X), unit_rows(X)
        exponent = int(np.frexp(np.abs(X).max())[1])
        ids, first = np.unique(planes.member, return_index=True)
        lead = first[ids >= 0]
        present = planes.member >= 0
        member = planes.member[present]
        facing = (planes.sign * planes.sign[lead][planes.member])[present] if len(lead) else member
        push = 0.5 * y[present] * np.linalg.norm(np.ldexp(X[present], -exponent), axis=1)
        return cls(
            units=units,
            normals=np.ascontiguousarray(units[lead]),
            low=-np.bincount(member, np.where(facing < 0, push, 0.0), minlength=len(lead)),
            high=np.bincount(member, np.where(facing > 0, push, 0.0), minlength=len(lead)),
            lead=lead,
            exponent=exponent,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Followed:
    """What became of some neurons: see `follow_neurons`, whose outputs these are, in the data's own time."""

    directions: Float[np.ndarray, "m d"]
    limits: Float[np.ndarray, "m d"]
    log_growth: Float[np.ndarray, " m"]
    fates: Int[np.ndarray, "m 2"]
    lines: Int[np.ndarray, " m"]
    laws: Float[np.ndarray, "k 3"]
    marks: Int[np.ndarray, "k 2"]


def follow_some(
    pull: FrozenPull,
    starts: Float[np.ndarray, "m d"],
    signs: Float[np.ndarray, " m"],
    t_max: float,
    record: bool,
) -> Followed:
    """Follow neurons from unit vectors to `t_max` and to their limits (one task)."""
    from convexrelu.training.early_phase.kernels import AT_REST, INACTIVE, TIE, follow_neurons

    m, d = starts.shape
    directions, limits, growth = np.empty((m, d)), np.empty((m, d)), np.empty(m)
    fates, lines = np.empty((m, 2), dtype=np.int64), np.empty(m, dtype=np.int64)
    columns = np.ascontiguousarray(pull.normals.T)
    end = float(np.ldexp(t_max, pull.exponent))
    laws, marks = follow_neurons(
        columns,
        pull.normals,
        pull.low,
        pull.high,
        starts,
        signs,
        end,
        directions,
        limits,
        growth,
        fates,
        lines,
    )
    unseen = ~(limits @ pull.units.T > TIE).any(axis=1)
    fates[unseen[:, None] & (fates == AT_REST)] = INACTIVE
    laws[:, 0] = np.ldexp(laws[:, 0], -pull.exponent)
    laws[:, 1] = np.ldexp(laws[:, 1], pull.exponent)
    kept = slice(None) if record else slice(0)
    return Followed(
        directions=directions,
        limits=limits,
        log_growth=growth,
        fates=fates,
        lines=lines,
        laws=laws[kept],
        marks=marks[kept],
    )
