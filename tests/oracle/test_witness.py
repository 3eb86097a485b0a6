from __future__ import annotations

import numpy as np
import pytest

import convexrelu as cr
from convexrelu.certificates.certificate import assess
from convexrelu.certificates.document import encode
from convexrelu.check import SIGNS, _leaves, _unpack, check_document, correlation_bound
from convexrelu.oracle import dual_norm
from convexrelu.oracle.witness import _close, _pack, proof_of, proven_norm


def weights(n, d, seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.normal(size=n)


@pytest.mark.parametrize(("n", "d"), [(40, 2), (30, 3), (20, 4)])
def test_the_level_is_proven_and_the_same_every_time(n, d):
    X, lam = weights(n, d, seed=1)
    norm = dual_norm(X, lam)
    proof = proof_of(X, lam, norm.upper_bound)
    assert norm.value <= max(correlation_bound(X, lam, name, proof[name]) for name in SIGNS)
    assert proven_norm(X, lam, proof).upper_bound <= norm.upper_bound * (1 + 1e-9)
    assert proof == proof_of(X, lam, norm.upper_bound)
    assert "cones" in {side["kind"] for side in proof.values()}


@pytest.mark.parametrize("budget", [1, 40, 150])
def test_too_few_cones_prove_a_higher_level(budget):
    X, lam = weights(20, 4, seed=2)
    norm = dual_norm(X, lam)
    bounds = [
        max(correlation_bound(X, lam, name, proof[name]) for name in SIGNS)
        for proof in (proof_of(X, lam, norm.upper_bound, max_nodes=b) for b in (budget, 100_000))
    ]
    assert norm.value <= bounds[1] <= bounds[0]


def test_flat_data_has_a_frame():
    X, lam = weights(12, 2, seed=3)
    wide = X @ np.random.default_rng(0).normal(size=(2, 7))
    norm = dual_norm(wide, lam)
    proof = proof_of(wide, lam, norm.upper_bound)
    frames = [side["frame"] for side in proof.values() if side["kind"] == "cones"]
    assert frames
    assert all(np.shape(frame) == (2, 7) for frame in frames)
    for exact in (False, True):
        bound = max(correlation_bound(wide, lam, name, proof[name], exact=exact) for name in SIGNS)
        assert norm.value <= bound <= norm.value * (1 + 1e-9)


def test_where_nothing_is_affordable_nothing_is_claimed():
    """Thousands of rows in rank 12: no cones, and too many products. The file claims P* >= 0 then."""
    X, lam = weights(4000, 12, seed=4)
    y = np.where(lam > 0, 1.0, -1.0)
    nobody = cr.TwoLayerReLU(np.zeros((0, 12)), [])
    norm = dual_norm(X, lam, search=False)
    proven = assess(X, y, nobody, lam, norm=norm, C=1.0, better=nobody).proven()
    assert proven.proof == {"plus": None, "minus": None}
    assert proven.lower_bound == 0.0
    assert check_document(encode(proven.to_document()), X, y)[0] == 0
    assert proven.enclosure(X, y).lower == 0


def closed(V, G, positive, level):
    """Close the cone of rays V as the tree does: the leaf's mask, and its bound as the checker sees it."""
    (k, r), few = G.shape, int(positive.sum())
    G = np.vstack([G[positive], G[~positive]])
    t, said = np.full(k, 0.5), np.zeros(k, dtype=np.int64)
    scratch = np.empty((r, r)), np.empty(r), np.empty(r), np.empty(r), said
    mask = _close(
        G, np.linalg.norm(G, axis=1), V, np.zeros(r), np.arange(k), np.arange(k), few, k, V @ G.T, t, level,
        np.empty(r), np.empty((r, r)), np.empty((r, r)), np.empty(r), np.empty(r),
        np.empty((k + r, r)), np.empty(k + r), np.empty(k + r), scratch,
    )  # fmt: skip
    which = np.flatnonzero(said[: k - few] >= 0)
    given = np.zeros(len(which), int), 1 + which, said[which].astype(float)
    chords = np.maximum(V @ G[:few].T, 0).sum(axis=1)
    return mask, lambda mask: _leaves(V[None], chords[None], G[few:], 1, np.array([mask]), given, False)


@pytest.mark.parametrize("spread", [0.0, 1e-13])
@pytest.mark.parametrize("d", [3, 5])
def test_slivers_are_closed_by_their_rays(d, spread):
    """Rays that coincide have no inverse: the cone is closed at the value of its direction, or not at all."""
    rng = np.random.default_rng(d)
    for _ in range(20):
        G, positive, ray = rng.normal(size=(12, d)), rng.random(12) < 0.5, rng.normal(size=d)
        G -= np.outer(G @ ray, ray) / (ray @ ray) * rng.choice([0.0, 1.0], size=(12, 1))  # kinks on the ray
        V = ray + spread * rng.normal(size=(d, d)) * np.abs(ray).sum()
        V /= np.abs(V).sum(axis=1, keepdims=True)
        heights = G @ (ray / np.linalg.norm(ray))
        truth = float((np.where(positive, 1, -1) * np.maximum(heights, 0)).sum())
        if truth <= 0:
            continue
        mask, bound = closed(V, G, positive, truth * (1 + 1e-9))
        assert mask > 0
        assert truth * (1 - 1e-9) <= bound(mask) <= truth * (1 + 1e-9)
        assert closed(V, G, positive, truth * (1 - 1e-9))[0] < 0


def test_a_level_without_a_size_has_no_cover_by_cones():
    """Infinity is proven by anything, zero by nothing: what is left is what pairs of rows prove."""
    X, lam = np.array([[1.0, 0.0], [1.0, 2.0], [0.5, 1.0]]), np.array([1.0, 1.0, -1.0])
    for level in (0.0, np.inf):
        kinds = {name: part and part["kind"] for name, part in proof_of(X, lam, level).items()}
        assert "cones" not in kinds.values()


@pytest.mark.parametrize("size", [0, 1, 1000, 300_000])
def test_what_is_packed_is_unpacked_however_regular_it_is(size):
    """Multipliers that are all alike shrink a thousand times, and the checker takes 64 times at most."""
    for values in (np.zeros(size, dtype=int), np.arange(size) % 2, np.full(size, 2**30), np.arange(size)):
        assert np.array_equal(_unpack({"t": _pack(values, 4)}, "t", 4), values)
