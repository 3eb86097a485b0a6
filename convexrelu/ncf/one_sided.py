"""What passes through a kink: the derivative on the side to which a sum changes.

With ReLU in three layers and more, a trained network lies on kinks, not by chance: on the samples on which
all active neurons below one are silent, its sum is exactly zero. What small new neurons add to that sum
passes if it is positive. To lowest order the outputs so change by a one-sided derivative, which is not linear
in the outgoing weights b of a new neuron: through the j-th sum above it passes ``s(b_j s(a^T g))``, which has
one factor for ``b_j > 0`` and another one for ``b_j < 0``.

NP section 3.3 takes any element of Clarke's subdifferential there. That is not the lowest order, and it may
miss the best neuron: at the saddle of NP Figure 2 it finds a correlation of 1.10 where there is one of 4.54.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

import numpy as np
from jaxtyping import Bool, Float

from convexrelu.ncf.one_neuron import NeuronMaximum, NeuronProblem, TwoSidedPower, find_maxima, listable
from convexrelu.networks import Pass
from convexrelu.networks.neurons import row_norms
from convexrelu.oracle import maximize_correlation

__all__ = ["OneSidedProblem", "find_one_sided_maxima", "on_kinks", "one_sided_problem", "one_sided_slope"]

AT_KINK = 1e-12
"""A sum of a trained network is zero below this part of the norms of its weights and inputs: silent inputs
give exact zeros, and nothing but rounding lies between."""

_MOST_SIDES = 4
"""Up to so many sums on kinks, every choice of their sides is searched, 16 at most; beyond, all at once."""


def on_kinks(run: Pass, layer: int) -> Bool[np.ndarray, "n j"]:
    """Return which sums of a hidden layer are zero (layer 0 is the first); none without a kink."""
    sums = run.sums[layer]
    if not run.activation.kinked:
        return np.zeros(sums.shape, dtype=bool)
    sizes = np.outer(row_norms(run.inputs[layer]), row_norms(run.weights[layer]))
    return np.asarray(np.abs(sums) <= AT_KINK * sizes)


def one_sided_slope(run: Pass, layer: int, change: Float[np.ndarray, "n j"]) -> Float[np.ndarray, "n j"]:
    """Return s' at the sums of a hidden layer; on a kink, on the side to which they change."""
    return np.asarray(run.activation.slope(np.where(on_kinks(run, layer), change, run.sums[layer])))


@dataclass(frozen=True, kw_only=True, eq=False)
class OneSidedProblem(NeuronProblem):
    """Maximise ``sum_j b_j M_j(sign b_j)^T T(G u)`` over unit vectors u and b.

    Attributes
    ----------
    below : (n, k) float array
        What the neuron's output is worth through outgoing weights ``b_j < 0``; M holds it for ``b_j > 0``.
    up, down : (k,) bool arrays
        Which outgoing weights may be positive, and which negative.
    """

    below: Float[np.ndarray, "n k"]
    up: Bool[np.ndarray, " k"]
    down: Bool[np.ndarray, " k"]

    @cached_property
    def scale(self) -> float:
        """A bound on every value, by Cauchy and Schwarz."""
        return float(np.linalg.norm(np.maximum(np.abs(self.M), np.abs(self.below)))) * self.activity

    def outgoing(self, u: Float[np.ndarray, " g"]) -> Float[np.ndarray, " k"]:
        """Return the direction of the best outgoing weights: each on its better side, or zero."""
        outputs = self.shape(self.G @ u)
        rise = np.where(self.up, np.maximum(self.M.T @ outputs, 0.0), 0.0)
        fall = np.where(self.down, np.minimum(self.below.T @ outputs, 0.0), 0.0)
        return np.asarray(np.where(rise >= -fall, rise, fall))

    def worth(self, b: Float[np.ndarray, " k"]) -> Float[np.ndarray, " n"]:
        """Return what the neuron's output on each sample is worth, for outgoing weights b."""
        return np.asarray(self.M @ np.maximum(b, 0.0) + self.below @ np.minimum(b, 0.0))

    def proven_direction(self) -> Float[np.ndarray, " g"] | None:
        """Return the best direction of all on one side, if the exact oracle covers it and finds a value."""
        if self.M.shape[1] > 1 or self.shape.power > 1 or self.up[0] == self.down[0]:
            return None
        rows, weights = self._relu(self.M[:, 0] if self.up[0] else -self.below[:, 0])
        used = (weights != 0) & rows.any(axis=1)
        if not used.any() or not listable(rows[used]):
            return None
        best = maximize_correlation(rows[used], weights[used])
        return best.direction if best.exact and best.value > 0 else None


def one_sided_problem(
    seen: Float[np.ndarray, "n g"],
    back: Float[np.ndarray, "n k"],
    slope: Float[np.ndarray, "n k"],
    kinks: Bool[np.ndarray, "n k"],
    shape: TwoSidedPower,
) -> OneSidedProblem:
    """Return the problem of a neuron below sums on kinks, of an activation of power 1.

    Parameters
    ----------
    seen : (n, g) float array
        What the neuron sees.
    back : (n, k) float array
        What the activities above it are worth.
    slope : (n, k) float array
        The derivatives of these activities in their sums, off kinks.
    kinks : (n, k) bool array
        Which of the sums are zero.
    shape : TwoSidedPower
        The activation.

    Returns
    -------
    OneSidedProblem
        With both signs allowed.
    """
    # Through a kink passes b_j (sign b_j) s(sign(b_j) T(t)), written as b_j (x T(t) + y T(-t)): one more row
    # -g_n for each sample, where y is not zero (leaky ReLUs).
    factors = [_through(shape, sign) for sign in (1.0, -1.0)]
    worths = [back * np.where(kinks, x, slope) for x, _ in factors]
    mirrored = kinks.any(axis=1)
    if not any(y for _, y in factors) or not mirrored.any():
        G = seen
    else:
        G = np.vstack([seen, -seen[mirrored]])
        worths = [
            np.vstack([worth, (back * np.where(kinks, y, 0.0))[mirrored]])
            for worth, (_, y) in zip(worths, factors, strict=True)
        ]
    both = np.ones(back.shape[1], dtype=bool)
    return OneSidedProblem(G=np.asarray(G), M=worths[0], below=worths[1], shape=shape, up=both, down=both)


def _through(shape: TwoSidedPower, sign: float) -> tuple[float, float]:
    """Return x and y with ``sign s(sign s(t)) = x s(t) + y s(-t)``, s being of power 1 with s(1) = 1."""
    up, down = (sign * float(shape(np.array([sign * end]))[0]) for end in (shape.up, shape.down))
    if abs(shape.down) == 1.0:  # the absolute value: both sides are alike
        return up, 0.0
    y = (down - shape.down * up) / (1.0 - shape.down**2)
    return up - shape.down * y, y


def find_one_sided_maxima(
    problem: OneSidedProblem, *, n_starts: int, rng: np.random.Generator
) -> list[NeuronMaximum]:
    """Return maxima with positive value over every choice of sides that matters, best first.

    The best one is proven where the oracle proves the maximum of each side.
    """
    bends = np.flatnonzero((problem.below != problem.M).any(axis=0))
    if len(bends) > _MOST_SIDES:
        return find_maxima(problem, n_starts=n_starts, rng=rng)
    if problem.M.shape[1] == 1:
        bends = np.array([0])
    found, proven = list[NeuronMaximum](), True
    for signs in product((True, False), repeat=len(bends)):
        up, down = problem.up.copy(), problem.down.copy()
        up[bends], down[bends] = signs, np.logical_not(signs)
        maxima = find_maxima(replace(problem, up=up, down=down), n_starts=n_starts, rng=rng)
        proven = proven and bool(maxima) and maxima[0].proven
        found += maxima
    leaders: list[NeuronMaximum] = []
    for maximum in sorted(found, key=lambda maximum: -maximum.value):
        # one neuron that several choices of sides lead to; ascents end within this of one another
        if not any(maximum.u @ other.u > 1 - 1e-9 and maximum.b @ other.b > 1 - 1e-9 for other in leaders):
            leaders.append(replace(maximum, proven=proven and not leaders))
    return leaders
