"""Play for shares: whatever it ends with bounds the correlation on the cone, and better than greed does."""

import numpy as np
import pytest

from convexrelu.oracle.matching import leave_alone, match, room_to_match
from convexrelu.oracle.shares import PARTNERS, bequeath, inherit, nearest_partners, play, room_to_play, settle

ROUNDING = 1e-12


def cone(r, k, seed):
    """Generators of both kinds, all of which change their sign on a narrow cone, and its rays."""
    rng = np.random.default_rng(seed)
    V = np.eye(r) + 1.5
    V /= np.linalg.norm(V, axis=1, keepdims=True)
    rows = rng.normal(size=(60 * k, r))
    rows -= np.outer(rows @ V.mean(axis=0), V.mean(axis=0)) / (V.mean(axis=0) @ V.mean(axis=0))
    rows = rows[((rows @ V.T).min(axis=1) < 0) & ((rows @ V.T).max(axis=1) > 0)]
    return rows[:k], rows[k : 2 * k], V


def played(P, Q, V, closing, plays=None):
    """Play on one cone: shares as a matrix, the residuals, what is left, t, and what is inherited."""
    (p, r), q = P.shape, len(Q)
    heights = np.ascontiguousarray((np.vstack([P, Q]) @ V.T).T)
    which, room = np.arange(p + q), room_to_play(p + q, r)
    residual, left, t = np.empty((p + q, r)), np.empty(p + q), np.full(p + q, 0.5)
    plays = np.zeros((p + q, PARTNERS + r), dtype=np.float32) if plays is None else plays
    partners = nearest_partners(P, Q)
    inherit(heights, which, p, p + q, which, p, partners, plays, room, residual, left)
    play(heights, which, p, p + q, np.zeros(r), V, np.linalg.inv(V), t, closing, room, residual)
    settle(heights, which, p, p + q, room, residual, left)
    kept = np.zeros_like(plays)
    bequeath(p, p + q, room, kept, 0)
    shares = np.zeros((p, q + 1))
    for k in range(PARTNERS):
        shares[np.arange(p), room[1][k, :p]] += room[2][k, :p]
    return shares[:, :q], residual[:p], left[:q], np.minimum(t[:q], left[:q]), kept


def largest_at_rays(residual, Q, V, t):
    return (np.maximum(residual, 0).sum(axis=0) - t @ (Q @ V.T)).max()


@pytest.mark.parametrize(("r", "k"), [(2, 5), (3, 30), (5, 40), (6, 80)])
def test_shares_bound_the_correlation_on_the_cone(r, k):
    P, Q, V = cone(r, k, seed=k)
    shares, residual, left, t, _ = played(P, Q, V, closing=0.0)
    assert (shares >= 0).all()
    np.testing.assert_allclose(
        left, 1 - shares.sum(axis=0), atol=0
    )  # whole multiples of the unit: no rounding
    assert (left >= 0).all()
    np.testing.assert_allclose(residual, (P - shares @ Q) @ V.T, atol=ROUNDING)
    weights = np.random.default_rng(0).dirichlet(np.ones(r), 500)
    values = np.maximum(weights @ V @ P.T, 0).sum(axis=1) - np.maximum(weights @ V @ Q.T, 0).sum(axis=1)
    bounds = weights @ (np.maximum(residual, 0).sum(axis=0) - t @ (Q @ V.T))
    assert (values <= bounds + ROUNDING * k).all()


def test_each_shares_with_those_that_point_most_nearly_as_it_does():
    P, Q, _ = cone(4, 40, seed=1)
    cosines = (P @ Q.T) / np.linalg.norm(P, axis=1)[:, None] / np.linalg.norm(Q, axis=1)
    nearest = np.sort(np.argsort(-cosines, axis=1)[:, :PARTNERS], axis=1)
    np.testing.assert_array_equal(np.sort(nearest_partners(P, Q), axis=1), nearest)


@pytest.mark.parametrize("q", [0, 1, 5])
def test_where_partners_are_few_some_places_stay_empty(q):
    P, Q, _ = cone(3, 8, seed=2)
    partners = nearest_partners(P, Q[:q])
    assert partners.shape == (8, PARTNERS)
    assert ((partners >= 0).sum(axis=1) == q).all()


def test_play_beats_greed_and_goes_on_where_it_ended():
    P, Q, V = cone(6, 60, seed=3)
    heights = np.ascontiguousarray((np.vstack([P, Q]) @ V.T).T)
    every, n = np.arange(120), 120
    plain, greedy, left = np.empty((n, 6)), np.empty((n, 6)), np.empty(n)
    leave_alone(heights, every, 60, n, plain, left)
    match(heights, every, 60, n, room_to_match(n, 6), greedy, left)
    _, once, _, t, kept = played(P, Q, V, closing=0.0)
    _, twice, _, t_twice, _ = played(P, Q, V, closing=0.0, plays=kept)
    none = np.zeros(60)
    bounds = [
        largest_at_rays(plain[:60], Q, V, none),
        largest_at_rays(greedy[:60], Q, V, none),
        largest_at_rays(once, Q, V, t),
        largest_at_rays(twice, Q, V, t_twice),
    ]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[2] < 0.8 * bounds[1]


def test_kinks_that_cancel_leave_next_to_nothing():
    """p = q: the correlation is zero everywhere."""
    P, _, V = cone(3, 24, seed=4)
    plays, bounds = None, []
    for _ in range(4):
        shares, _, _, t, plays = played(P, P, V, closing=0.0, plays=plays)
        bounds.append(largest_at_rays(np.maximum((P - shares @ P) @ V.T, 0), P, V, t))
    assert bounds[0] < 0.5 * np.maximum(P @ V.T, 0).sum(axis=0).max()
    assert 0 <= bounds[3] < bounds[0]
