"""The decision cross / slide / leave, which the early phase and the gradient flow share."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from convexrelu._box_least_norm import box_least_norm
from convexrelu.training.kernels.crossing import decide, least_pull


def decided(normals, low, high, met, ties, sides, sign=1.0):
    sides, share = np.array(sides), np.where(np.array(sides) > 0, 1.0, 0.0)
    decide(normals, low, high, sign, met, np.array(ties), sides, share)
    return sides, share


@given(st.integers(0, 10**6))
def test_the_velocity_leads_away_from_kinks_and_is_clarkes_least_norm_one(seed):
    rng = np.random.default_rng(seed)
    d, h = int(rng.integers(1, 5)), int(rng.integers(1, 8))
    normals = rng.normal(size=(h, d))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    low, high, sign = rng.normal(size=h), rng.normal(size=h), rng.choice([-1.0, 1.0])
    ties = np.flatnonzero(rng.random(h) < 0.7)
    before = np.where(rng.random(h) < 0.5, 1, -1)
    before[ties] = rng.integers(-1, 2, size=len(ties))
    met = int(rng.choice(ties)) if len(ties) and rng.random() < 0.7 else -1
    sides, share = decided(normals, low, high, met, ties, before, sign)
    others = np.setdiff1d(np.arange(h), ties)
    assert (sides[others] == before[others]).all()
    concave = np.isin(np.arange(h), ties) & (sign * (high - low) < 0)
    # the least-norm element of Clarke's subdifferential, held hyperplanes free in [0, 1], by the other kernel
    fixed = sign * np.where(concave | (sides < 0), low, high) @ normals
    generators = sign * (low - high)[concave, None] * normals[concave]
    least = box_least_norm(generators, fixed, np.ones(int(concave.sum()))).residual
    np.testing.assert_allclose(sign * (low + share * (high - low)) @ normals, least, atol=1e-9)
    convex = np.setdiff1d(ties, np.flatnonzero(concave))
    assert (sides[convex] * (normals[convex] @ least) >= -1e-9).all()
    assert (sides[convex] != 0).all()


def test_a_convex_kink_that_was_met_is_crossed_however_slowly():
    # the velocity up to it is 1e-16 of the pulls; a start on it would count as inactive
    normals, low, high = np.array([[0.0, 1.0], [1.0, 1e-16]]), np.zeros(2), np.ones(2)
    assert decided(normals, low, high, 0, [0], [-1, 1])[0].tolist() == [1, 1]
    assert decided(normals, low, high, -1, [0], [0, 1])[0].tolist() == [-1, 1]


def test_a_hyperplane_just_crossed_stays_crossed_when_the_next_one_is_met():
    # v = (0.1, -1.2) leads up over hyperplane 0, whose rows add (1, 0), then down over hyperplane 1, whose
    # rows take (0.6, 0.8) away: v = (0.5, -2). With the rows of hyperplane 0 left out, -0.5 would lead down
    # again, and that is where a neuron goes that meets hyperplane 1 first.
    base = np.array([-0.5, -2.0])
    size = np.linalg.norm(base)
    normals = np.array([[1.0, 0.0], [0.6, 0.8], base / size])
    low, high = np.zeros(3), np.array([1.0, 1.0, size])
    assert decided(normals, low, high, 0, [0], [-1, 1, 1])[0].tolist() == [1, 1, 1]
    assert decided(normals, low, high, 1, [0, 1], [1, 1, 1])[0].tolist() == [1, -1, 1]
    assert decided(normals, low, high, 1, [0, 1], [-1, 1, 1])[0].tolist() == [-1, -1, 1]


def test_a_start_counts_as_inactive_unless_the_velocity_says_otherwise():
    normals, low = np.eye(2), np.zeros(2)
    for other, expected in ((1e-3, 1), (0.0, -1), (-1e-3, -1)):
        tilted = np.array([normals[0], [other, np.sqrt(1 - other**2)]])
        assert decided(tilted, low, np.ones(2), -1, [0], [0, 1])[0].tolist() == [expected, 1]


def test_multipliers_of_tiny_pulls_do_not_underflow():
    # two hyperplanes held against a pull along both, all in units of 1e-200: half of each jump holds it
    normals, low, high = np.eye(3)[:2], np.zeros(2), np.array([-2e-200, -4e-200])
    t, pull = np.empty(2), np.empty(3)
    least_pull(normals, low, high, 1.0, np.arange(2), np.array([1e-200, 2e-200, 0.0]), t, pull)
    np.testing.assert_allclose(t, 0.5, rtol=1e-15)
    np.testing.assert_allclose(pull, 0.0, atol=1e-214)
