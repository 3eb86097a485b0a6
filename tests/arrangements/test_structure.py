from __future__ import annotations

import itertools
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import ortho_group
from tolerances import KERNEL, ROUNDING

from convexrelu.arrangements import is_orthogonally_separable, is_spike_free
from convexrelu.arrangements.structure import spike_bound
from convexrelu.datasets import orthogonally_separable, spike_free
from convexrelu.errors import InvalidInputError

F1 = np.array([[1.65, -0.47], [-0.47, 1.35]])
F2 = np.array([[1.65, 0.47], [0.47, 1.35]])
GRID = st.integers(1, 5).flatmap(
    lambda n: st.integers(1, 3).flatmap(
        lambda d: hnp.arrays(float, (n, d), elements=st.integers(-2, 2).map(float))
    )
)


def spike(X, U):
    """The largest breach of WP Definition 2 over the rows of U: ||X^+ (X u)_+|| <= 1, (X u)_+ in range(X)."""
    U = U / np.linalg.norm(U, axis=1, keepdims=True)
    features = np.maximum(U @ X.T, 0)
    answers = features @ np.linalg.pinv(X).T
    outside = np.linalg.norm(answers @ X.T - features, axis=1)
    return max(outside.max(), (np.linalg.norm(answers, axis=1) - 1).max())


def directions(X):
    """Random ones, and those where X u has two entries, of opposite signs: that is where spikes sit."""
    n, d = X.shape
    rng = np.random.default_rng(0)
    pairs = [
        np.eye(n)[i] - t * np.eye(n)[j]
        for i, j in itertools.permutations(range(n), 2)
        for t in np.logspace(-3, 1, 30)
    ]
    targets = np.array([*pairs, np.ones(n)]) @ np.linalg.pinv(X).T
    targets = targets[np.linalg.norm(targets, axis=1) > ROUNDING]
    return np.vstack([rng.normal(size=(2000, d)), X[X.any(axis=1)], -X[X.any(axis=1)], targets])


@given(GRID)
def test_spike_free_is_the_definition_on_integer_grids(X):
    breach = spike(X, directions(X))
    # on grids this small a breach is no smaller than the square of 1/(determinant times size): far above 1e-5
    assert is_spike_free(X) == (breach <= 1e-5)


@pytest.mark.parametrize("seed", range(30))
def test_spike_free_is_the_definition_on_data_built_to_be_either(seed):
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(2, 5)), 5
    # rows whose dual basis makes only obtuse angles are spike-free
    off = -rng.uniform(0.01, 0.2, size=(n, n))
    dual_gram = np.triu(off, 1) + np.triu(off, 1).T + np.eye(n)
    X = np.linalg.cholesky(np.linalg.inv(dual_gram)) @ ortho_group.rvs(d, random_state=seed)[:n]
    assert is_spike_free(X)
    assert spike(X, directions(X)) <= KERNEL
    dual_gram[0, 1] = dual_gram[1, 0] = 0.05
    X = np.linalg.cholesky(np.linalg.inv(dual_gram)) @ ortho_group.rvs(d, random_state=seed)[:n]
    assert not is_spike_free(X)
    assert spike(X, directions(X)) > 1e-4


@given(st.floats(-np.pi, np.pi), st.floats(0.1, 10), st.floats(0.1, 10))
def test_two_independent_rows_are_spike_free_iff_their_product_is_not_negative(angle, first, second):
    X = np.array([[first, 0.0, 0.0], [second * np.cos(angle), second * np.sin(angle), 0.0]])
    if abs(np.sin(angle)) > 1e-6 and abs(np.cos(angle)) > 1e-6:
        assert is_spike_free(X) == (np.cos(angle) > 0)


def test_the_papers_matrices():
    assert is_spike_free(F2)
    assert spike(F2, directions(F2)) <= ROUNDING
    assert not is_spike_free(F1)
    assert spike(F1, directions(F1)) > 1e-2
    assert is_orthogonally_separable(F1, [1, -1])
    assert not is_orthogonally_separable(F1, [1, 1])
    assert is_orthogonally_separable(F2, [1, 1])
    assert not is_orthogonally_separable(F2, [1, -1])


@pytest.mark.parametrize(
    ("X", "expected"),
    [
        ([[2.0]], True),
        ([[2.0], [0.5], [0.0]], True),
        ([[2.0], [-0.5]], False),
        ([[0.0, 0.0]], True),
        ([[1.0, 2.0], [2.0, 4.0], [0.0, 0.0]], True),
        ([[1.0, 2.0], [-2.0, -4.0]], False),
        ([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], False),
        (np.eye(4), True),
    ],
)
def test_degenerate_data_against_the_definition(X, expected):
    X = np.asarray(X)
    assert is_spike_free(X) is expected
    rng = np.random.default_rng(0)
    assert (spike(X, rng.normal(size=(4000, X.shape[1]))) <= KERNEL) == expected


@pytest.mark.parametrize("power", range(1, 12))
def test_nearly_dependent_rows_are_not_called_spike_free(power):
    # x_3 = x_1 + x_2 + delta e_3: the dual vectors of x_1 and x_2 make an acute angle, for every delta > 0
    delta = 10.0**-power
    X = np.array([[1, 0, 0], [0, 1, 0], [1, 1, delta]])
    u = np.array([delta / 3, -delta / 2, -1 / 6])  # (X u)_+ picks x_1 alone, whose dual vector is long
    assert spike(X, u[None]) > 0.5
    assert not is_spike_free(X)


@given(GRID, st.integers(0, 2**20))
def test_spike_free_does_not_depend_on_order_scale_or_coordinates(X, seed):
    rng = np.random.default_rng(seed)
    expected = is_spike_free(X)
    turn = np.linalg.qr(rng.normal(size=(X.shape[1],) * 2))[0]
    order, stretch = rng.permutation(len(X)), 10.0 ** rng.uniform(-6, 6, size=(len(X), 1))
    assert is_spike_free((X * stretch)[order] @ turn) == expected


def separable_by_definition(X, y):
    pairs = itertools.product(range(len(y)), repeat=2)
    return all((X[i] @ X[j] > 0) if y[i] == y[j] else (X[i] @ X[j] <= 0) for i, j in pairs)


@given(GRID, st.integers(1, 4), st.integers(0, 2**20))
def test_orthogonally_separable_is_the_definition_for_any_number_of_classes(X, classes, seed):
    y = np.random.default_rng(seed).integers(classes, size=len(X))
    expected = separable_by_definition(X, y)
    assert is_orthogonally_separable(X, y) == expected
    assert is_orthogonally_separable(X, [f"class {label}" for label in y]) == expected


@pytest.mark.parametrize("classes", [1, 2, 3, 4, 6])
def test_blocks_of_positive_rows_are_orthogonally_separable(classes):
    rng = np.random.default_rng(classes)
    y = np.repeat(np.arange(classes), 4)
    X = np.zeros((len(y), 3 * classes))
    for k in range(classes):
        X[y == k, 3 * k : 3 * k + 3] = rng.uniform(0.1, 1, size=(4, 3))
    X = X @ ortho_group.rvs(3 * classes, random_state=0)  # products between classes are zero up to rounding
    assert is_orthogonally_separable(X, y)
    assert is_orthogonally_separable(X * 10.0 ** rng.uniform(-150, 150, size=(len(y), 1)), y)
    wrong = y.copy()
    wrong[0] = -1
    assert not is_orthogonally_separable(X, wrong)
    shifted = X.copy()
    shifted[0] += 1e-6 * X[-1]
    assert is_orthogonally_separable(shifted, y) is (classes == 1)


def test_products_beyond_rounding_count():
    for push in (1e-14, 1e-9):
        assert not is_orthogonally_separable([[1.0, push], [0.0, 1.0]], [0, 1])
        assert is_orthogonally_separable([[1.0, push], [0.0, 1.0]], [0, 0])
        assert is_orthogonally_separable([[1.0, -push], [0.0, 1.0]], [0, 1])
    assert is_orthogonally_separable([[1.0, 0.0], [0.0, 1.0]], [0, 1])
    assert not is_orthogonally_separable([[1.0, 0.0], [0.0, 1.0]], [0, 0])


def test_a_zero_row_is_never_orthogonally_separable():
    assert not is_orthogonally_separable([[1.0, 0.0], [0.0, 0.0]], [1, -1])
    assert not is_orthogonally_separable([[0.0]], [1])


def test_the_blocked_computation_sees_every_pair(monkeypatch):
    from convexrelu.arrangements import structure

    monkeypatch.setattr(structure, "_BLOCK_ENTRIES", 40)
    rng = np.random.default_rng(0)
    X, y = rng.uniform(0.1, 1, size=(10, 2)), np.ones(10)
    assert is_orthogonally_separable(X, y)
    for i in range(10):
        broken = X.copy()
        broken[i] *= -1
        assert not is_orthogonally_separable(broken, y)


@pytest.mark.parametrize(
    ("X", "y"),
    [([[1.0]], [1, 2]), ([[1.0]], [[1]]), ([[np.nan]], [1]), ([1.0], [1]), ([[1.0], [2.0]], [1.0, np.nan])],
)
def test_bad_input_is_refused(X, y):
    with pytest.raises(InvalidInputError):
        is_orthogonally_separable(X, y)


@given(st.integers(0, 2**20), st.integers(1, 4), st.floats(-3, 0))
def test_no_spike_is_longer_than_its_bound(seed, r, flatness):
    """||z||^2 - 1 for (V u)_+ = V z and unit u, on rows of every conditioning, spike-free or not."""
    rng = np.random.default_rng(seed)
    V = rng.normal(size=(r, r)) + 10.0**-flatness * np.ones(r)
    V /= np.linalg.norm(V, axis=1, keepdims=True)
    allowed = spike_bound(V)
    U = directions(V)
    U /= np.linalg.norm(U, axis=1, keepdims=True)
    Z = np.linalg.solve(V, np.maximum(V @ U.T, 0)).T
    rounding = ROUNDING * np.linalg.cond(V) ** 2
    assert (np.linalg.norm(Z, axis=1) ** 2 - 1).max() <= allowed + rounding
    assert (allowed == 0) <= is_spike_free(V)


@pytest.mark.parametrize("n", [2, 5, 20])
def test_clearly_spike_free_rows_have_no_spikes_at_all_and_orthogonal_ones_tiny_ones(n):
    X = spike_free(n, n, rng=n).X
    V = X / np.linalg.norm(X, axis=1, keepdims=True)
    assert spike_bound(V) == 0
    assert 0 <= spike_bound(ortho_group.rvs(n, random_state=n)) <= ROUNDING * n**2
    assert np.isinf(spike_bound(np.tile(V[0], (n, 1))))


def test_the_means_refute_what_the_pairs_refute(monkeypatch):
    """The quick test never speaks against orthogonally separable data, and often against other data."""
    from convexrelu.arrangements import structure

    rng = np.random.default_rng(0)
    slow = 0
    original = structure._pairs_agree

    def counted(*args):
        nonlocal slow
        slow += 1
        return original(*args)

    monkeypatch.setattr(structure, "_pairs_agree", counted)
    for trial in range(200):
        n, d, classes = rng.integers(1, 12), rng.integers(1, 5), rng.integers(1, 4)
        X = rng.integers(-1, 3, size=(n, d)).astype(float)
        y = rng.integers(classes, size=n)
        if trial % 2:
            X = np.where(y[:, None] == np.arange(d) % classes, np.abs(X), 0.0)
        assert is_orthogonally_separable(X, y) == separable_by_definition(X, y)
    assert slow < 150


def test_twenty_thousand_orthogonally_separable_rows_take_a_second():
    data = orthogonally_separable(20_000, 30, rng=0)
    started = time.process_time()
    assert is_orthogonally_separable(data.X, data.y)
    assert time.process_time() - started < 8  # 2e8 products: 1.2 s on a quiet core
    mixed = np.random.default_rng(0).permutation(data.y)
    started = time.process_time()
    assert not is_orthogonally_separable(data.X, mixed)
    assert time.process_time() - started < 1
