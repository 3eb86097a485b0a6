from __future__ import annotations

import numpy as np
import pytest

import convexrelu as cr
from convexrelu.certificates.certificate import assess
from convexrelu.certificates.document import encode
from convexrelu.check import SIGNS, check_document, correlation_bound
from convexrelu.oracle import dual_norm
from convexrelu.oracle.witness import proof_of, proven_norm


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
