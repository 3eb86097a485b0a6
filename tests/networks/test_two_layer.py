from __future__ import annotations

import json
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from convexrelu.errors import InvalidInputError
from convexrelu.networks import TwoLayerReLU

ROUNDING = 1e-12  # relative, for sums of at most a hundred products
PAPER_X, PAPER_Y = np.array([[1.65, -0.47], [-0.47, 1.35]]), np.array([1.0, -1.0])

weight = st.floats(-10, 10, allow_nan=False).map(lambda v: round(v, 3))


@st.composite
def networks(draw):
    m, d = draw(st.integers(0, 6)), draw(st.integers(1, 4))
    return TwoLayerReLU(
        draw(hnp.arrays(float, (m, d), elements=weight)), draw(hnp.arrays(float, m, elements=weight))
    )


def samples(network, n=20, seed=0):
    return np.random.default_rng(seed).normal(size=(n, network.n_features))


def values_by_hand(W1, w2, X):
    return np.array([sum(w2[i] * max(float(W1[i] @ x), 0.0) for i in range(len(w2))) for x in X])


def assert_same_function(one, other, *, factor=1.0):
    X = samples(one)
    scale = 1.0 + np.abs(one.W1).sum() * np.abs(one.w2).sum() * np.abs(X).max()
    np.testing.assert_allclose(other(X), factor * one(X), rtol=0, atol=ROUNDING * scale * max(factor, 1.0))


@given(networks())
def test_values_are_the_sum_over_neurons(network):
    X = samples(network)
    expected = values_by_hand(network.W1, network.w2, X)
    np.testing.assert_allclose(network(X), expected, rtol=0, atol=1e-11)
    np.testing.assert_array_equal(network.predict_margin(X), network(X))
    np.testing.assert_array_equal(network.predict(X) == 1, network(X) > 0)


@given(networks(), st.floats(1e-3, 1e3))
def test_scaling_multiplies_function_and_objective(network, c):
    scaled = network.scaled_function(c)
    assert_same_function(network, scaled, factor=c)
    assert scaled.objective() == pytest.approx(c * network.objective(), rel=ROUNDING)
    assert_same_function(network, network.scaled_weights(c), factor=c**2)


@given(networks())
def test_balanced_network_has_the_least_objective_of_the_function(network):
    balanced = network.balanced()
    assert_same_function(network, balanced)
    np.testing.assert_allclose(np.linalg.norm(balanced.W1, axis=1), np.abs(balanced.w2), rtol=1e-14, atol=0)
    # The inequality of the two means: 1/2 (a^2 + b^2) >= a b, with equality for a = b.
    assert balanced.objective() == pytest.approx(network.group_norm(), rel=ROUNDING)
    assert network.objective() >= network.group_norm() * (1 - ROUNDING)


@pytest.mark.parametrize(
    ("first", "second"), [(1e-200, 1e200), (1e200, 1e-200), (3e-300, 5e-300), (1e-310, 1.0)]
)
def test_balancing_survives_weights_whose_squares_do_not(first, second):
    balanced = TwoLayerReLU([[3 * first, 4 * first]], [-second]).balanced()
    root = math.sqrt(5) * math.sqrt(first) * math.sqrt(second)
    np.testing.assert_allclose(balanced.w2, [-root], rtol=1e-9)
    np.testing.assert_allclose(balanced.W1, [[0.6 * root, 0.8 * root]], rtol=1e-9)


@given(networks())
def test_directions_and_signs_are_the_network(network):
    again = TwoLayerReLU.from_directions(network.u[network.signs != 0], network.signs[network.signs != 0])
    assert_same_function(network, again)
    assert again.objective() == pytest.approx(network.group_norm(), rel=ROUNDING)
    assert again.n_neurons == np.count_nonzero(np.any(network.u != 0, axis=1))


def ray(row):
    """The row divided by its first non-zero entry's size, exactly: equal for rows of one direction."""
    pivot = next(abs(v) for v in row if v)
    return tuple(Fraction(int(v), int(pivot)) for v in row)


@given(
    hnp.arrays(np.int64, st.tuples(st.integers(0, 12), st.just(2)), elements=st.integers(-2, 2)),
    st.data(),
)
def test_merging_leaves_one_neuron_for_each_direction_and_sign(W1, data):
    w2 = data.draw(hnp.arrays(np.int64, len(W1), elements=st.integers(-3, 3)))
    network = TwoLayerReLU(W1, w2)
    merged = network.merged()
    distinct = {(ray(row), np.sign(v)) for row, v in zip(W1, w2, strict=True) if v and row.any()}
    assert merged.n_neurons == len(distinct)
    assert_same_function(network, merged)
    assert merged.group_norm() == pytest.approx(network.group_norm(), rel=ROUNDING)
    assert merged.objective() == pytest.approx(merged.group_norm(), rel=ROUNDING)


def test_merging_compares_with_the_leader_only():
    angles = np.array([0.0, 0.8, 1.6]) * 1e-3
    W1 = np.column_stack([np.cos(angles), np.sin(angles)])
    network = TwoLayerReLU(W1, [3.0, 2.0, 1.0])
    assert network.merged().n_neurons == 3
    assert network.merged(1e-3).n_neurons == 2  # the third is close to the second, not to the leader
    assert network.merged(2e-3).n_neurons == 1
    X, bound = samples(network), 2 * 2e-3 * network.group_norm()
    assert (np.abs(network.merged(2e-3)(X) - network(X)) <= bound * np.linalg.norm(X, axis=1)).all()


@given(networks(), st.sampled_from([0.0, 1e-12, 0.05, 0.5]))
def test_pruning_changes_values_by_no_more_than_it_says(network, tol):
    pruned = network.pruned(tol)
    dropped = network.n_neurons - pruned.n_neurons
    X = samples(network)
    bound = dropped * tol * network.group_norm() * np.linalg.norm(X, axis=1)
    assert (np.abs(pruned(X) - network(X)) <= bound + 1e-11).all()
    assert (
        np.abs(pruned.w2) * np.linalg.norm(pruned.W1, axis=1) > tol * network.group_norm() * (1 - 1e-9)
    ).all()


def test_pruning_keeps_the_others_unchanged():
    network = TwoLayerReLU([[1.0, 2.0], [0.0, 0.0], [3.0, 4.0], [1e-14, 0.0]], [2.0, 9.0, 0.0, 1.0])
    pruned = network.pruned()
    np.testing.assert_array_equal(pruned.W1, [[1.0, 2.0]])
    np.testing.assert_array_equal(pruned.w2, [2.0])


@pytest.mark.parametrize("tol", [0.0, 1e-12])
def test_pruning_weights_whose_products_overflow(tol):
    pruned = TwoLayerReLU([[1e200, 0.0], [0.0, 3e190], [0.0, 0.0]], [1e200, 1e150, 1e200]).pruned(tol)
    assert pruned.n_neurons == (2 if tol == 0 else 1)


def test_margin_one_on_the_papers_optimum():
    """WP F.1: u = (0.560576, -0.159679), u' = (-0.230009, 0.660664), P* = 1.2824322, both margins active."""
    network = TwoLayerReLU.from_directions([[0.560576, -0.159679], [-0.230009, 0.660664]], [1, -1])
    np.testing.assert_allclose(PAPER_Y * network(PAPER_X), 1.0, atol=2e-6)
    rescaled = network.scaled_function(7.0).rescaled_to_margin(PAPER_X, PAPER_Y)
    assert rescaled.margin(PAPER_X, PAPER_Y) == pytest.approx(1.0, rel=1e-14)
    assert rescaled.objective() == pytest.approx(1.2824322, rel=2e-6)


@pytest.mark.parametrize("y", [[1, -1], [1, 0], [7, 3], ["yes", "no"], [True, False]])
def test_margin_takes_any_two_labels(y):
    network = TwoLayerReLU([[1.0, 0.0], [0.0, 2.0]], [3.0, -1.0])
    assert network.margin(PAPER_X, y) == pytest.approx(min(3 * 1.65, 2 * 1.35))


def test_a_network_that_does_not_fit_cannot_be_scaled_to_margin_one():
    network = TwoLayerReLU([[1.0, 0.0]], [1.0])
    with pytest.raises(InvalidInputError, match=r"margin 0\b|margin -0\b"):
        network.rescaled_to_margin(PAPER_X, PAPER_Y)
    with pytest.raises(InvalidInputError, match=r"margin -1\.65"):
        network.rescaled_to_margin(PAPER_X, -PAPER_Y)


def test_the_zero_network():
    zero = TwoLayerReLU(np.empty((0, 3)), [])
    assert (zero.n_neurons, zero.n_features) == (0, 3)
    np.testing.assert_array_equal(zero(np.ones((4, 3))), np.zeros(4))
    for same in (zero.balanced(), zero.merged(), zero.pruned(), zero.scaled_function(2.0)):
        assert (same.n_neurons, same.n_features, same.objective()) == (0, 3, 0.0)
    everything = TwoLayerReLU([[0.0, 0.0], [1.0, 1.0]], [1.0, 0.0])
    assert everything.pruned().n_neurons == everything.merged().n_neurons == 0
    assert "0 neurons" in str(zero)


def test_weights_are_read_only_copies():
    W1, w2 = np.ones((2, 3), dtype=np.float32), np.ones(2)
    network = TwoLayerReLU(W1, w2)
    w2[:] = 5
    assert network.w2.tolist() == [1.0, 1.0]
    assert network.W1.dtype == np.float64
    with pytest.raises(ValueError, match="read-only"):
        network.W1[0, 0] = 2.0
    with pytest.raises(AttributeError):
        network.w2 = w2


@pytest.mark.parametrize(
    ("W1", "w2", "message"),
    [
        ([[1.0, np.nan]], [1.0], "W1 must be finite"),
        ([[1.0]], [np.inf], "w2 must be finite"),
        ([1.0, 2.0], [1.0, 2.0], "W1 must be a matrix"),
        ([[1.0], [2.0]], [1.0], "w2 must have 2 entries, got 1"),
        (np.empty((0, 0)), [], "W1 must hold"),
        ([["a"]], [1.0], "W1 must be an array of real numbers"),
        ([[1.0]], [[1.0]], "w2 must be a vector"),
    ],
)
def test_bad_weights_are_refused(W1, w2, message):
    with pytest.raises(InvalidInputError, match=message):
        TwoLayerReLU(W1, w2)


def test_bad_arguments_are_refused():
    network = TwoLayerReLU([[1.0, 2.0, 3.0]], [1.0])
    with pytest.raises(InvalidInputError, match=r"3 columns.*\(4, 2\).*with_bias"):
        network(np.ones((4, 2)))
    with pytest.raises(InvalidInputError, match=r"3 columns.*\(4, 5\)$"):
        network(np.ones((4, 5)))
    for c in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(InvalidInputError, match="c must be a positive finite number"):
            network.scaled_function(c)
    with pytest.raises(InvalidInputError, match="c must be"):
        network.scaled_weights(-1.0)
    for tol in (-1.0, math.nan, math.inf):
        with pytest.raises(InvalidInputError, match="tol"):
            network.merged(tol)
        with pytest.raises(InvalidInputError, match="tol"):
            network.pruned(tol)
    with pytest.raises(InvalidInputError, match="signs must be"):
        TwoLayerReLU.from_directions([[1.0]], [0.5])
    with pytest.raises(InvalidInputError, match="signs must have 1 entries"):
        TwoLayerReLU.from_directions([[1.0]], [1, 1])


def test_what_a_person_reads():
    network = TwoLayerReLU(np.arange(1.0, 31).reshape(15, 2), [1.0, -1.0, 0.0] * 5)
    assert repr(network) == f"TwoLayerReLU(n_neurons=15, n_features=2, objective={network.objective():.6g})"
    text = str(network)
    assert "15 neurons (5 positive, 5 negative)" in text
    assert "and 5 smaller ones" in text  # of size zero
    first = text.splitlines()[1]
    assert first.startswith("  - 38.9")  # neuron 14, (27, 28): the largest of those with w2 != 0
    assert "[27. 28.]" in first
    assert "and 3 smaller ones" in str(TwoLayerReLU(np.eye(15), np.ones(15)))
    leftovers = TwoLayerReLU([[1.0]] * 3, [1.0, 1e-7, 1e-7])  # of a tolerance
    assert "and 2 smaller ones" in str(leftovers)


@given(
    hnp.arrays(float, (3, 2), elements=st.floats(allow_nan=False, allow_infinity=False)),
    hnp.arrays(float, 3, elements=st.floats(allow_nan=False, allow_infinity=False)),
)
def test_files_keep_every_bit(tmp_path_factory, W1, w2):
    path = tmp_path_factory.mktemp("networks") / "network.json"
    TwoLayerReLU(W1, w2).save(path)
    again = TwoLayerReLU.load(path)
    assert again.W1.tobytes() == W1.tobytes()
    assert again.w2.tobytes() == w2.tobytes()


def test_saving_replaces_the_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "network.json"
    TwoLayerReLU([[1.0, 2.0]], [1.0]).save(str(path))
    TwoLayerReLU(np.empty((0, 4)), []).save(path)
    assert TwoLayerReLU.load(path).n_features == 4
    assert [p.name for p in tmp_path.iterdir()] == ["network.json"]
    for bad in (tmp_path / "missing" / "network.json", tmp_path):
        with pytest.raises(InvalidInputError, match=f"cannot write {bad}"):
            TwoLayerReLU([[1.0]], [1.0]).save(bad)


GOOD = {"format": "convexrelu.TwoLayerReLU", "version": 1, "n_features": 2, "W1": [[1.0, 2.0]], "w2": [1.0]}


@pytest.mark.parametrize(
    "document",
    [
        [],
        {**GOOD, "format": "something else"},
        {**GOOD, "version": 2},
        {**GOOD, "version": "1"},
        {key: GOOD[key] for key in ("format", "version", "n_features", "W1")},
        {**GOOD, "w2": [1.0, 2.0]},
        {**GOOD, "W1": [[1.0, 2.0], [3.0]]},
        {**GOOD, "W1": [[1.0, math.nan]]},
        {**GOOD, "W1": [[1.0, 10**400]]},
        {**GOOD, "W1": "text"},
        {**GOOD, "n_features": 3},
        {**GOOD, "n_features": -1},
        {**GOOD, "W1": [], "w2": [], "n_features": "many"},
        {**GOOD, "W1": [], "w2": [1.0]},
    ],
)
def test_misshapen_files_are_refused_by_name(tmp_path, document):
    path = tmp_path / "network.json"
    path.write_text(json.dumps(GOOD))
    assert TwoLayerReLU.load(path).n_neurons == 1
    path.write_text(json.dumps(document))
    with pytest.raises(InvalidInputError, match=r"network\.json"):
        TwoLayerReLU.load(path)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000])
def test_unreadable_files_are_refused_by_name(tmp_path, content):
    path = tmp_path / "network.json"
    path.write_bytes(content)
    for bad in (path, tmp_path / "missing.json", tmp_path):
        with pytest.raises(InvalidInputError, match=str(bad)):
            TwoLayerReLU.load(bad)
