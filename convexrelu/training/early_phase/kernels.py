"""The compiled loops of the early phase: one neuron after another, from cell to cell.

With frozen loss weights a neuron's pull g is constant in a cell, and ``w1' = w2 g, w2' = w1^T g`` moves w1
along the straight line ``w1 + a g/||g||`` with ``a = rho sinh(tau), w2 = rho cosh(tau), tau' = ||g||``, rho
the distance of that line from 0. So the next hyperplane is found by a ratio test along a line, and its time
by two logarithms. The same holds along a slide, whose pull is constant too: the multipliers depend on the
sides of the other hyperplanes alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import no_type_check

import numpy as np
from jaxtyping import Float, Int

from convexrelu._box_least_norm import copy_into, dot
from convexrelu._status import Status
from convexrelu._typing import kernel
from convexrelu.arrangements.hyperplanes import hyperplanes_of, unit_rows
from convexrelu.training.kernels.crossing import decide

__all__ = ["ALIGNED", "FATES", "Followed", "FrozenPull", "follow_some"]

FATES = Status.ALIGNED, Status.FADING, Status.AT_REST, Status.STALLED, Status.UNDER_WAY, Status.INACTIVE
"""What becomes of a neuron, by the code it has in the loops."""

ALIGNED, FADING, AT_REST, STALLED, UNDER_WAY, INACTIVE = range(len(FATES))
START = 2  # the kind of a neuron's first line in the log; of the others it is the side (+1, -1, 0)

TIE = 1e-12
"""A neuron is on a hyperplane within this sine of the angle: what counts as incident in the whole package."""

FLAT = 1e-13
"""A line this nearly parallel to a hyperplane (sine of the angle) does not meet it: it is the rounding of a
pull that lies in the hyperplane, and so late a crossing would not change the direction."""

STRAIGHT = 1e-14
"""A neuron this near to its pull's line (sine) is on it; nearer, its distance is rounding."""

NO_PULL = 1e-13
"""A pull below this part of all the hyperplanes' jumps is the rounding of 0."""

DEPENDENT = 1e-9
"""A normal this near to the span of others adds nothing to it: dividing by less would move the neuron."""
RESTS = 50
"""Changes in a row without progress after which a neuron is given up as stalled."""

CHANGES = 100
"""Changes of pattern for each hyperplane after which a neuron is given up as stalled."""


@kernel
@no_type_check
def _basis_of_slides(normals, sides, basis):
    """Fill rows of `basis` with an orthonormal basis of the normals slid along; return their number."""
    h, d = normals.shape
    rank = 0
    for k in range(h):
        if sides[k] == 0 and rank < d:
            for j in range(d):
                basis[rank, j] = normals[k, j]
            _remove(basis, rank, basis[rank])
            size = math.sqrt(dot(basis[rank], basis[rank]))
            if size > DEPENDENT:
                for j in range(d):
                    basis[rank, j] /= size
                rank += 1
    return rank


@kernel
@no_type_check
def _remove(basis, rank, vector):
    """Take the part in the span of the first `rank` rows of `basis` out of a vector, twice for rounding."""
    for _ in range(2):
        for e in range(rank):
            part = dot(basis[e], vector)
            for j in range(len(vector)):
                vector[j] -= part * basis[e, j]


@kernel
@no_type_check
def _products(columns, vector, out):
    """Write the inner products of all normals with a vector; `columns` (d, h) lets the loop be vectorised."""
    d, h = columns.shape
    for k in range(h):
        out[k] = columns[0, k] * vector[0]
    for j in range(1, d):
        for k in range(h):
            out[k] += columns[j, k] * vector[j]


@kernel
@no_type_check
def _pull_of(columns, low, high, s, share, push, pull):
    """Write the pull of given shares (1 active side, 0 other side); return the sum of the parts' sizes."""
    d, h = columns.shape
    size = 0.0
    for k in range(h):
        push[k] = s * (low[k] + share[k] * (high[k] - low[k]))
        size += abs(push[k])
    for j in range(d):
        pull[j] = 0.0
        for k in range(h):
            pull[j] += push[k] * columns[j, k]
    return size


@kernel
@no_type_check
def _piece(columns, normals, low, high, s, sides, share, u, heading, across, push, pull, basis):
    """Return the rate ||g||, the part of u along g and rho; write g/||g|| and the part of u across it.

    u is moved onto the hyperplanes slid along. The rate is 0 without a pull, and -1 where u is lost.
    """
    d = len(u)
    rank = _basis_of_slides(normals, sides, basis)
    size = _pull_of(columns, low, high, s, share, push, pull)
    _remove(basis, rank, pull)
    _remove(basis, rank, u)
    length, rate = math.sqrt(dot(u, u)), math.sqrt(dot(pull, pull))
    if length <= DEPENDENT:
        return -1.0, 0.0, 1.0
    for j in range(d):
        u[j] /= length
    if rate <= NO_PULL * size:
        return 0.0, 0.0, 1.0
    for j in range(d):
        heading[j] = pull[j] / rate
        across[j] = u[j]
    along = dot(u, heading)
    for _ in range(2):
        rest = dot(across, heading)
        for j in range(d):
            across[j] -= rest * heading[j]
    rho = math.sqrt(dot(across, across))
    return rate, along, 0.0 if rank == d - 1 or rho <= STRAIGHT else rho


@kernel
@no_type_check
def _next_plane(sides, heights, slopes):
    """Return the first hyperplane met on the line with these heights and slopes, and the step; -1 if none."""
    best, step = -1, np.inf
    for k in range(len(sides)):
        slope = sides[k] * slopes[k]
        if slope < -FLAT:
            reach = max(sides[k] * heights[k], 0.0)
            if reach < step * -slope:
                best, step = k, reach / -slope
    return best, step


@kernel
@no_type_check
def _move(heading, across, rho, phase, turn, u):
    """Write the direction reached at the phase `phase + turn`; return the growth of log ||w1||."""
    tau = phase + turn if turn > 0.0 else phase
    if rho == 0.0 or math.isinf(tau):
        side = 1.0 if tau > 0.0 else -1.0
        for j in range(len(u)):
            u[j] = side * heading[j]
        return side * turn
    for j in range(len(u)):
        u[j] = across[j] / rho / math.cosh(tau) + math.tanh(tau) * heading[j]
    shrunk = math.log1p(math.exp(-2.0 * abs(tau))) - math.log1p(math.exp(-2.0 * abs(phase)))
    return abs(tau) - abs(phase) + shrunk


@kernel
@no_type_check
def _meet(normals, low, high, s, heights, plane, sides, share, ties, before):
    """Change the sides where a neuron meets `plane` (-1: at its start, its ties having side 0).

    Returns how many were decided on.
    """
    n_ties = 0
    for k in range(len(sides)):
        if abs(heights[k]) <= TIE or k == plane or sides[k] == 0:
            ties[n_ties], before[n_ties] = k, sides[k]
            n_ties += 1
    if n_ties == 1 and plane >= 0 and s * (high[plane] - low[plane]) >= 0.0:
        sides[plane] = -sides[plane]  # a convex kink by itself is always crossed
        share[plane] = 1.0 if sides[plane] > 0 else 0.0
    elif n_ties > 0:
        decide(normals, low, high, s, plane, ties[:n_ties], sides, share)
    return n_ties


@kernel
@no_type_check
def _advance(columns, normals, low, high, s, u, sides, share, t_max, log, marks):
    """Follow one neuron up to t_max; u, sides and share are in- and outputs. Returns (fate, growth, lines).

    A line of the log is (time, rate, phase) of the piece that starts there, its mark (hyperplane, kind).
    """
    h, d = normals.shape
    heading, across, pull, basis = np.zeros(d), np.zeros(d), np.empty(d), np.empty((d, d))
    heights, slopes, push = np.empty(h), np.empty(h), np.empty(h)
    ties, before = np.empty(h, dtype=np.int64), np.empty(h, dtype=np.int64)
    marks[0, 0], marks[0, 1] = -1, START
    time, growth, fresh, lines, rests = 0.0, 0.0, 0, 1, 0
    for k in range(h):
        if sides[k] == 0:
            marks[lines, 0], marks[lines, 1] = k, 0
            lines += 1
    while True:
        rate, along, rho = _piece(
            columns, normals, low, high, s, sides, share, u, heading, across, push, pull, basis
        )
        phase = -np.inf
        if rate > 0.0:
            phase = math.asinh(along / rho) if rho > 0.0 else math.copysign(np.inf, along)
        for line in range(fresh, lines):
            log[line, 0], log[line, 1], log[line, 2] = time, max(rate, 0.0), phase
        if rate < 0.0 or rests > RESTS or lines + h > len(log):
            return STALLED, growth, lines
        if rate == 0.0:
            return AT_REST, growth, lines
        plane, step = -1, np.inf
        if rho > 0.0:
            _products(columns, u, heights)
            _products(columns, heading, slopes)
            plane, step = _next_plane(sides, heights, slopes)
        turn = max(math.asinh((along + step) / rho) - phase, 0.0) if plane >= 0 else np.inf
        if not time + turn / rate <= t_max or plane < 0:
            growth += _move(heading, across, rho, phase, rate * (t_max - time), u)
            return UNDER_WAY if plane >= 0 else ALIGNED if phase > -np.inf else FADING, growth, lines
        length = math.sqrt(rho * rho + (along + step) ** 2)
        for j in range(d):
            u[j] = (across[j] + (along + step) * heading[j]) / length
        growth += math.log(length)
        time += turn / rate
        rests = 0 if turn > 0.0 else rests + 1
        fresh = lines
        _products(columns, u, heights)
        for i in range(_meet(normals, low, high, s, heights, plane, sides, share, ties, before)):
            if sides[ties[i]] != before[i]:
                marks[lines, 0], marks[lines, 1] = ties[i], sides[ties[i]]
                lines += 1


@kernel
@no_type_check
def _grown(array, rows):
    """Return the array with room for that many rows, at least twice as many as before if it was short."""
    if rows <= len(array):
        return array
    larger = np.empty((max(rows, 2 * len(array)), array.shape[1]), dtype=array.dtype)
    for i in range(len(array)):
        for j in range(array.shape[1]):
            larger[i, j] = array[i, j]
    return larger


@kernel
@no_type_check
def follow_neurons(columns, normals, low, high, starts, signs, t_max, ends, limits, growth, fates, lines):
    """Follow neurons from unit vectors up to t_max and on to their limits; return (log, marks) of the former.

    `normals` (h, d) are unit, `columns` their transpose. The rows on hyperplane k pull with ``high[k]
    normals[k]`` on its positive side and with ``low[k] normals[k]`` on its negative side. `fates` is (m, 2):
    at t_max, and in the limit.
    """
    h = len(normals)
    sides, share, heights = np.empty(h, dtype=np.int64), np.empty(h), np.empty(h)
    ties, before = np.empty(h, dtype=np.int64), np.empty(h, dtype=np.int64)
    log, marks = np.empty((CHANGES * (h + 1), 3)), np.empty((CHANGES * (h + 1), 2), dtype=np.int64)
    kept_log, kept_marks = np.empty((16 * len(starts), 3)), np.empty((16 * len(starts), 2), dtype=np.int64)
    total, no_plane = 0, np.int64(-1)  # a literal would have `_meet` compiled once more
    for i in range(len(starts)):
        s, u = signs[i], starts[i].copy()
        _products(columns, u, heights)
        for k in range(h):
            sides[k] = 0 if abs(heights[k]) <= TIE else 1 if heights[k] > 0.0 else -1
            share[k] = 1.0 if sides[k] > 0 else 0.0
        _meet(normals, low, high, s, heights, no_plane, sides, share, ties, before)
        for limit in range(2):  # up to t_max, and from there without end
            end = np.inf if limit else t_max
            fate, grown, count = _advance(columns, normals, low, high, s, u, sides, share, end, log, marks)
            fates[i, 1] = fate
            if limit:
                break
            fates[i, 0], growth[i], lines[i] = fate, grown, count
            copy_into(ends[i], u)
            kept_log, kept_marks = _grown(kept_log, total + count), _grown(kept_marks, total + count)
            for line in range(count):
                for j in range(3):
                    kept_log[total + line, j] = log[line, j]
                for j in range(2):
                    kept_marks[total + line, j] = marks[line, j]
            total += count
            if fate in (STALLED, AT_REST):
                break
        copy_into(limits[i], u)
    return kept_log[:total], kept_marks[:total]


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
