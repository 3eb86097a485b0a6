"""What the oracle knows without searching: exact by structure, in any dimension, and never too small."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tolerances import ORACLE

from convexrelu import datasets
from convexrelu.oracle import dual_norm


def known(X, lam):
    found = dual_norm(X, lam, search=False)
    assert found.exact
    assert found.upper_bound - found.value <= ORACLE * found.value
    return found


@pytest.mark.parametrize("d", [3, 12, 60])
def test_orthogonally_separable_support(d):
    """WP section 3.1: h(lam) is the longer of the classes' weighted sums, whichever sign attains it."""
    X, y = datasets.orthogonally_separable(200, d, rng=d)
    rng = np.random.default_rng(d)
    for share in (0.1, 1.0, 10.0):
        lam = y * rng.uniform(size=len(y)) * np.where(y > 0, share, 1.0)
        lam[rng.random(len(y)) < 0.5] = 0.0
        lengths = [np.linalg.norm(X[y == label].T @ lam[y == label]) for label in (1, -1)]
        for sign in (1.0, -1.0):
            found = known(X, sign * lam)
            assert found.value == pytest.approx(max(lengths), rel=ORACLE)
            assert found.sign == sign * (1.0 if lengths[0] > lengths[1] else -1.0)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_weights_of_one_sign_on_rows_in_a_cone(sign):
    rng = np.random.default_rng(0)
    X, lam = rng.uniform(size=(300, 30)), sign * rng.uniform(size=300)
    assert known(X, lam).value == pytest.approx(np.linalg.norm(X.T @ lam), rel=ORACLE)
    assert known(X, lam).sign == sign


@pytest.mark.parametrize("n", [2, 5, 30])
def test_spike_free_rows_with_weights_of_any_signs(n):
    """WP Definition 2: ``(X u)_+ = X z``, so that a neuron active on all rows is the best."""
    X = datasets.spike_free(n, n + 2, rng=n).X
    rng = np.random.default_rng(n)
    for _ in range(5):
        lam = rng.normal(size=n)
        found = known(X, lam)
        assert (X @ found.direction >= -ORACLE).all()
        assert np.abs(lam @ X @ found.direction) == pytest.approx(found.value, rel=ORACLE)


@given(st.integers(0, 2**20), st.integers(1, 12))
def test_rank_one(seed, n):
    rng = np.random.default_rng(seed)
    x = rng.integers(-2, 3, size=n).astype(float)
    lam = rng.integers(-2, 3, size=n).astype(float)
    sums = [np.abs(lam[side] @ x[side]) for side in (x > 0, x < 0)]
    found = dual_norm(np.outer(x, [0.6, 0.0, -0.8]), lam, search=False)
    assert found.value == pytest.approx(max(sums), abs=ORACLE)
    assert found.upper_bound == pytest.approx(max(sums), abs=ORACLE)


@given(st.integers(0, 2**20), st.integers(3, 4), st.floats(1, 8))
def test_rows_nearly_free_of_spikes_are_not_bounded_too_low(seed, r, closeness):
    """Dual vectors at an angle of nearly 90 degrees, acute or obtuse, on bases of every conditioning."""
    rng = np.random.default_rng(seed)
    gram = -rng.uniform(0, 0.3, size=(r, r))
    gram[0, 1] = 10.0**-closeness * rng.choice([-1, 1])
    gram = np.triu(gram, 1) + np.triu(gram, 1).T + np.eye(r)
    X = np.linalg.inv(np.linalg.cholesky(gram)).T * 10.0 ** rng.uniform(-2, 2, size=(r, 1))
    lam = rng.normal(size=r)
    bound, truth = dual_norm(X, lam, search=False), dual_norm(X, lam)
    assert truth.exact
    assert bound.upper_bound >= truth.value
    U = np.linalg.solve(X, rng.normal(size=(r, 2000))).T
    U /= np.linalg.norm(U, axis=1, keepdims=True)
    assert np.abs(np.maximum(U @ X.T, 0) @ lam).max() <= bound.upper_bound
