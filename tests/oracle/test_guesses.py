"""Guesses at the nearest point of Z_-: any is valid, and a learnt one is near enough nearly always."""

import numpy as np
import pytest

from convexrelu._box_least_norm import box_least_norm
from convexrelu._clock import Clock
from convexrelu.arrangements import pattern_bound
from convexrelu.oracle import zonotopes_of
from convexrelu.oracle.cells import search_cells
from convexrelu.oracle.guesses import learnt_guess

MANY = 10**6  # cells: as many samples as are ever taken


def pair_of(seed, n, d):
    rng = np.random.default_rng(seed)
    return zonotopes_of(rng.normal(size=(n, d)), rng.normal(size=n))


def guessed_and_least(pair, guess, size=2000):
    """Distances that the guess leaves for the vertices of random directions, and the distances themselves."""
    P, Q = pair.positive, pair.negative
    directions = np.random.default_rng(1).normal(size=(size, P.shape[1]))
    activities = directions @ P.T > 0
    t = np.clip(guess[0] + activities @ guess[1:], 0, 1)
    left = np.linalg.norm(activities @ P - t @ Q, axis=1)
    return left, np.array([box_least_norm(Q, a @ P, np.ones(len(Q))).norm for a in activities])


@pytest.mark.parametrize(("n", "d"), [(24, 4), (40, 6), (44, 9)])
def test_a_learnt_guess_rules_out_more_than_any_constant_one(n, d):
    """A distance found is never below the least; at the maximum's level nearly all vertices are ruled out."""
    pair = pair_of(n, n, d)
    best = search_cells(pair, 0.0, np.zeros(d), clock=Clock(limit=60.0)).value
    guess = learnt_guess(pair.positive, pair, MANY, best, np.random.default_rng(0))
    left, least = guessed_and_least(pair, guess)
    assert (left >= least * (1 - 1e-9) - 1e-12).all()
    assert least.max() <= best * (1 + 1e-9)
    assert (left <= best).mean() > 0.9
    constant = np.zeros_like(guess)
    constant[0] = 0.5
    assert (left <= best).mean() > (guessed_and_least(pair, constant)[0] <= best).mean()


def test_nothing_is_learnt_where_that_takes_longer_than_the_list():
    pair = pair_of(0, 20, 4)
    few = learnt_guess(pair.positive, pair, 100, 1.0, np.random.default_rng(0))
    assert few.shape == (len(pair.positive) + 1, 0)


def test_the_list_finds_the_same_maximum_with_and_without_a_guess(monkeypatch):
    """Also where generators of Z_+ coincide, or lie in a plane, and where Z_- has none."""
    rng = np.random.default_rng(2)
    X = rng.normal(size=(60, 5))
    X[10:20] = rng.integers(-1, 2, size=(10, 5))
    X[20:30, 2:] = 0
    lam = rng.normal(size=60)
    for weights in (lam, -lam, np.abs(lam)):
        pair = zonotopes_of(X, weights)
        nowhere = np.zeros(pair.basis.shape[1])
        assert pattern_bound(*pair.positive.shape) // 2 > 10_000  # enough to learn from
        found = search_cells(pair, 0.0, nowhere, clock=Clock(limit=60.0))
        with monkeypatch.context() as patch:
            patch.setattr("convexrelu.oracle.guesses._MOST_PRODUCTS", -1)
            without = search_cells(pair, 0.0, nowhere, clock=Clock(limit=60.0))
        assert found.finished
        assert without.finished
        assert found.value == pytest.approx(without.value, rel=1e-12)
        assert found.bound == pytest.approx(without.bound, rel=1e-12)
