"""The cone search against all activities, on problems so small that its loops can be interpreted."""

from __future__ import annotations

import numpy as np
import pytest
from brute_force import maximum

from convexrelu._clock import Clock
from convexrelu.oracle import cones, zonotopes_of
from convexrelu.oracle.cones import search_cones


def searched(X, lam, **effort):
    """What a search finds, its bound with what near-parallel rows were merged by."""
    pair = zonotopes_of(X, lam)
    options = {"tol": 1e-9, "clock": Clock(), "max_nodes": 10**6, **effort}
    found = search_cones(pair, 0.0, np.zeros(pair.basis.shape[1]), **options)
    return found, found.bound + pair.rounding


def problem(seed, n, d):
    """Rows of both signs, some of them repeated with noise so that kinks cancel."""
    rng = np.random.default_rng(seed)
    X, lam = rng.normal(size=(n, d)), rng.normal(size=n)
    if seed % 2:
        X[n // 2 :], lam[n // 2 :] = (
            X[: n - n // 2] + 0.1 * rng.normal(size=(n - n // 2, d)),
            -lam[: n - n // 2],
        )
    return X, lam


@pytest.mark.parametrize("few", [1, 24])  # shares are found in play, or by greed
@pytest.mark.parametrize("seed", range(6))
def test_it_ends_at_the_maximum_or_at_what_is_asked_for(seed, few, monkeypatch):
    monkeypatch.setattr(
        cones, "_FEW_PLAYED", few
    )  # where loops are interpreted; compiled ones have their own
    X, lam = problem(seed, 7, 3 if seed < 4 else 4)
    truth = maximum(X, lam)
    found, bound = searched(X, lam)
    assert found.finished
    assert found.value == pytest.approx(truth, rel=1e-8)
    assert truth * (1 - 1e-12) <= bound <= truth * (1 + 1e-8)
    for tol in (0.01, 0.3):
        found, bound = searched(X, lam, tol=tol)
        assert found.finished
        assert found.value <= truth * (1 + 1e-12)
        assert truth * (1 - 1e-12) <= bound <= (1 + 1.01 * tol) * found.value
    found, bound = searched(X, lam, level=1.1 * truth)
    assert found.finished
    assert truth * (1 - 1e-12) <= bound <= 1.1 * truth * (1 + 1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_wherever_it_is_cut_off_the_bound_holds(seed):
    X, lam = problem(seed, 7, 3)
    truth, before = maximum(X, lam), np.inf
    for nodes in (1, 8, 9, 12, 20, 40):
        found, bound = searched(X, lam, max_nodes=nodes)
        assert found.nodes <= nodes + 8  # the orthants come first
        assert truth * (1 - 1e-12) <= bound <= before * (1 + 1e-12)
        before = bound


def test_rows_on_the_planes_at_which_cones_were_split():
    """Integer rows, at whose kinks rays end: a height of rounding size has either sign."""
    for seed in range(8):
        rng = np.random.default_rng(seed)
        X, lam = rng.integers(-1, 2, size=(7, 3)).astype(float), rng.choice([-1.0, -0.5, 1.0, 2.0], size=7)
        truth = maximum(X, lam)
        if truth <= 0 or np.linalg.matrix_rank(X) < 3:
            continue
        found, bound = searched(X, lam)
        assert found.value <= truth * (1 + 1e-12)
        assert truth * (1 - 1e-12) <= bound <= truth * (1 + 1e-8)


def test_a_ceiling_a_floor_and_an_early_end():
    X, lam = problem(0, 7, 3)
    truth = maximum(X, lam)
    _, bound = searched(X, lam, max_nodes=1, ceiling=1.5 * truth)
    assert truth <= bound <= 1.5 * truth * (1 + 1e-9)
    _, bound = searched(X, lam, floor=2.0 * truth)
    assert truth * (1 - 1e-12) <= bound <= 2.0 * truth * (1 + 1e-9)
    found, bound = searched(X, lam, stop_above=0.1 * truth)
    assert 0.1 * truth < found.value <= truth * (1 + 1e-12)
    assert bound >= truth * (1 - 1e-12)
