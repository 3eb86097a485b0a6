"""The neuron added to a deep network: its definition by a limit, KKT conditions, and the exact oracle."""

from __future__ import annotations

import numpy as np
import pytest
import tolerances
from scipy.optimize import minimize

from convexrelu import FeedForward, InvalidInputError, PowerLeakyReLU
from convexrelu.ncf import AddedNeuron, added_outputs, maximize_added_neuron, with_neuron
from convexrelu.ncf.one_sided import on_kinks
from convexrelu.networks import RELU, forward
from convexrelu.oracle import dual_norm

KKT = 1e-6
"""A quasi-Newton ascent stops at gradients of about the root of the rounding of the value; the alternation
for several outputs and power 1 converges linearly, and stops when a round gains 1e-14."""

ACTIVATIONS = [
    PowerLeakyReLU(0.0, 1),
    PowerLeakyReLU(0.5, 1),
    PowerLeakyReLU(-0.5, 1),
    PowerLeakyReLU(1.0, 2),
    PowerLeakyReLU(0.0, 2),
    PowerLeakyReLU(0.2, 3),
]


def random_network(rng, widths, activation):
    shapes = zip(widths[1:], widths[:-1], strict=True)
    return FeedForward([rng.normal(size=shape) / np.sqrt(shape[1]) for shape in shapes], activation)


def random_problem(seed, activation, *, widths=(4, 3, 2, 2), n=60):
    rng = np.random.default_rng(seed)
    network = random_network(rng, widths, activation)
    return network, rng.normal(size=(n, widths[0])), rng.normal(size=(n, widths[-1]))


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
@pytest.mark.parametrize("layer", [1, 2])
def test_the_outputs_change_by_h1_to_lowest_order(activation, layer):
    """NP Lemma 8: H(W + delta neuron) = H(W) + delta^{p+1} H_{1,l} + higher orders."""
    network, X, z = random_problem(1, activation)
    neuron = maximize_added_neuron(network, X, z, layers=[layer], rng=0).best
    assert neuron.layer == layer
    expected = added_outputs(network, X, neuron)
    errors = []
    for delta in (1e-2, 1e-3):
        grown = with_neuron(network, neuron, delta)
        change = (grown(X) - network(X)) / delta ** (activation.power + 1)
        errors.append(np.abs(change - expected).max() / np.abs(expected).max())
    # linear in between kinks; otherwise the next order in delta^{p+1}, down to the rounding of the difference
    rounding = 1e-13 * np.abs(network(X)).max() / (1e-3 ** (activation.power + 1) * np.abs(expected).max())
    assert errors[1] <= max(0.05 * errors[0], rounding, tolerances.ROUNDING)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=str)
def test_points_are_kkt_points_of_unit_norm(activation):
    """NP Lemma 9: ||a||^2 = p ||b||^2; the value is z^T H_1, and the residual is small."""
    network, X, z = random_problem(1, activation)
    found = maximize_added_neuron(network, X, z, rng=0)
    assert {point.layer for point in found.points} == {1, 2}
    for point in found.points:
        into, out = point.incoming @ point.incoming, point.outgoing @ point.outgoing
        assert into + out == pytest.approx(1.0, rel=tolerances.ROUNDING)
        assert into == pytest.approx(activation.power * out, rel=tolerances.ROUNDING)
        value = float(np.sum(z * added_outputs(network, X, point)))
        assert point.value == pytest.approx(value, rel=tolerances.KERNEL)
        assert point.value > 0
        assert point.stationarity <= KKT
    values = [point.value for point in found.points]
    assert values == sorted(values, reverse=True)
    assert found.best is found.points[0]
    assert "NCF" in str(found)


def independent_maximum(network, X, z, layer, power, rng):
    """The best of many runs of Nelder-Mead on the definition, over a and b together."""
    widths = network.widths
    split = widths[layer - 1]

    def negative(v):
        w = v / np.linalg.norm(v)
        trial = AddedNeuron(
            layer=layer,
            incoming=w[:split],
            outgoing=w[split:],
            value=0.0,
            stationarity=0.0,
            n_starts=0,
            proven=False,
        )
        return -float(np.sum(z * added_outputs(network, X, trial)))

    size = split + widths[layer + 1]
    options = {"xatol": 1e-8, "fatol": 1e-8, "maxiter": 300, "maxfev": 300, "adaptive": True}
    runs = [
        minimize(negative, rng.normal(size=size), method="Nelder-Mead", options=options) for _ in range(4)
    ]
    return -min(run.fun for run in runs)


@pytest.mark.parametrize("activation", [PowerLeakyReLU(0.5, 1), PowerLeakyReLU(1.0, 2)], ids=str)
@pytest.mark.parametrize("layer", [1, 2])
def test_no_direct_search_does_better(activation, layer):
    network, X, z = random_problem(2, activation, widths=(2, 2, 2, 1), n=20)
    best = maximize_added_neuron(network, X, z, layers=[layer], rng=0).best
    rival = independent_maximum(network, X, z, layer, activation.power, np.random.default_rng(0))
    assert best.value >= rival * (1 - 1e-6)
    assert rival >= 0.9 * best.value  # the rival searched the same function


def on_kinks_above(widths, seed):
    """A ReLU network whose first neurons are off on samples, so that the sums above them are zero there."""
    network, X, z = random_problem(seed, RELU, widths=widths, n=30)
    weights = [np.abs(W) if layer else W for layer, W in enumerate(network.weights)]
    network = FeedForward(weights, RELU)
    run = forward(network.weights, RELU, X)
    assert on_kinks(run, 1).any()
    assert not on_kinks(run, 1).all()
    return network, X, z


@pytest.mark.parametrize("widths", [(2, 1, 1, 1), (2, 1, 2, 1), (2, 2, 1, 2), (2, 1, 2, 2, 1)], ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_both_sides_of_kinks_above_are_searched(widths, seed):
    """The value is the change of the outputs to lowest order, on kinks too; no direct search does better."""
    network, X, z = on_kinks_above(widths, seed)
    best = maximize_added_neuron(network, X, z, layers=[1], rng=0).best
    change = (with_neuron(network, best, 1e-4)(X) - network(X)) / 1e-8
    assert best.value == pytest.approx(float(np.sum(z * change.reshape(z.shape))), rel=1e-6)
    rival = independent_maximum(network, X, z, 1, 1, np.random.default_rng(0))
    assert best.value >= rival * (1 - 1e-6)
    assert best.stationarity <= KKT
    assert best.proven == (widths[2] == 1)


def test_the_derivative_from_the_left_misses_the_best_neuron():
    """One sample, on which all is silent: only a neuron that switches it on changes anything."""
    network, X = FeedForward([[[1.0]], [[1.0]], [[1.0]]]), [[-2.0]]
    best = maximize_added_neuron(network, X, [3.0], rng=0).best
    assert (best.layer, best.proven) == (1, False)  # on the other side there is nothing to be proven
    assert best.value == pytest.approx(3.0)  # 3 b a (-2) with a = -1/sqrt 2, b = 1/sqrt 2
    assert best.outgoing[0] > 0
    # nothing lowers an output that is zero already, but a chain with a negative weight at its end
    assert maximize_added_neuron(network, X, [-3.0], rng=0).points == ()
    assert maximize_added_neuron(network, X, [-3.0], order=2, rng=0).best.outgoing[0] < 0


@pytest.mark.parametrize("alpha", [0.5, -0.5, -1.0])
def test_leaky_relus_pass_both_sides_of_a_kink(alpha):
    """x and -x cancel in the first layer, so that the sum above is zero on every sample."""
    activation = PowerLeakyReLU(alpha)
    rng = np.random.default_rng(3)
    rows = np.array([[1.0, 0.5], [1.0, 0.5]])
    network = FeedForward([rows, [[1.0, -1.0]], [[0.7]]], activation)
    X, z = rng.normal(size=(12, 2)), rng.normal(size=(12, 1))
    best = maximize_added_neuron(network, X, z, layers=[1], rng=0).best
    change = (with_neuron(network, best, 1e-4)(X) - network(X)) / 1e-8
    assert best.value == pytest.approx(float(z[:, 0] @ change), rel=1e-6)
    angles = np.linspace(0, 2 * np.pi, 4001)
    below = activation(X @ np.array([np.cos(angles), np.sin(angles)]))
    dense = max((0.7 * z[:, 0] @ activation(sign * below)).max() for sign in (1.0, -1.0)) / 2
    assert dense * (1 - 1e-9) <= best.value <= dense * (1 + 1e-3)
    assert best.proven


@pytest.mark.parametrize("order", [2, 3])
@pytest.mark.parametrize(
    "activation", [PowerLeakyReLU(1.0), PowerLeakyReLU(0.5), PowerLeakyReLU(1.0, 2)], ids=str
)
def test_neurons_one_behind_the_other(order, activation):
    """The next order of what new neurons add, by the limit that defines it, at unit norm."""
    network, X, z = random_problem(7, activation, widths=(3, 2, 2, 2, 2), n=40)
    found = maximize_added_neuron(network, X, z, order=order, rng=0)
    assert {point.layer for point in found.points} == set(range(1, 5 - order))
    degree = sum(activation.power**k for k in range(order + 1))
    for point in found.points:
        assert point.order == order
        total = (
            point.incoming @ point.incoming + np.sum(np.square(point.links)) + point.outgoing @ point.outgoing
        )
        assert total == pytest.approx(1.0, rel=tolerances.ROUNDING)
        assert point.value == pytest.approx(float(np.sum(z * added_outputs(network, X, point))), rel=1e-9)
    best = found.best
    delta = 1e-3 if activation.power == 1 else 0.05 if order == 2 else 0.3  # above the rounding of outputs
    change = (with_neuron(network, best, delta)(X) - network(X)) / delta**degree
    expected = added_outputs(network, X, best)
    assert np.abs(change - expected).max() <= 0.02 * np.abs(expected).max()


@pytest.mark.parametrize("seed", range(3))
def test_two_layers_of_relu_are_the_dual_norm(seed):
    """KH2 Lemma H.1: the maximum is h(z)/2, proven by the exact oracle."""
    network, X, z = random_problem(seed, RELU, widths=(3, 2, 1), n=25)
    found = maximize_added_neuron(network, X, z[:, 0], rng=0)
    assert found.best.proven
    assert found.best.value == pytest.approx(dual_norm(X, z[:, 0]).value / 2, rel=tolerances.ORACLE)
    assert sum(point.proven for point in found.points) == 1


@pytest.mark.parametrize("alpha", [-0.5, 0.3])
def test_proven_maxima_of_leaky_relus_beat_a_dense_sample(alpha):
    network, X, z = random_problem(4, PowerLeakyReLU(alpha), widths=(2, 2, 1), n=15)
    best = maximize_added_neuron(network, X, z, rng=0).best
    angles = np.linspace(0, 2 * np.pi, 20_001)
    activities = PowerLeakyReLU(alpha)(X @ np.array([np.cos(angles), np.sin(angles)]))
    dense = np.abs(z[:, 0] @ activities).max() / 2
    assert best.proven
    assert dense <= best.value * (1 + tolerances.ROUNDING)
    assert dense >= best.value * (1 - 1e-3)  # at a kink, the grid's spacing


def test_the_dominant_neuron_joins_the_layer_of_the_largest_value():
    """NP D.6: scaling the layers against each other keeps the function and moves the choice."""
    network, X, z = random_problem(5, RELU, widths=(3, 2, 2, 1))
    chosen = []
    for c in (0.01, 100.0):
        W1, W2, W3 = network.weights
        scaled = FeedForward([c * W1, W2, W3 / c], RELU)
        np.testing.assert_allclose(scaled(X), network(X), rtol=tolerances.KERNEL)
        found = maximize_added_neuron(scaled, X, z, rng=0)
        best_of_each = [found.of_layer(layer)[0].value for layer in (1, 2)]
        assert found.best.value == max(best_of_each)
        chosen.append(found.best.layer)
    assert chosen == [1, 2]


def test_a_seed_gives_the_same_points():
    network, X, z = random_problem(6, PowerLeakyReLU(0.5))
    first, second = (maximize_added_neuron(network, X, z, rng=3) for _ in range(2))
    assert [p.value for p in first.points] == [p.value for p in second.points]
    np.testing.assert_array_equal(first.best.incoming, second.best.incoming)


def test_zero_rows_duplicates_and_antiparallel_rows():
    X = np.array([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 0.0], [0.0, 1.0], [0.0, -2.0]])
    z = np.array([1.0, 2.0, -1.0, 5.0, -3.0, 1.0])
    network = FeedForward([[[1.0, 0.5]], [[1.0]]])
    best = maximize_added_neuron(network, X, z, rng=0).best
    assert best.proven
    assert best.value == pytest.approx(dual_norm(X, z).value / 2, rel=tolerances.ORACLE)
    assert best.stationarity <= tolerances.KERNEL


@pytest.mark.parametrize("n", [1, 2])
def test_one_dimension_has_two_directions(n):
    X, z = np.array([[2.0], [-3.0]])[:n], np.array([1.0, 4.0])[:n]
    network = FeedForward([[[1.0]], [[1.0]]])
    found = maximize_added_neuron(network, X, z, n_starts=2, rng=0)
    assert sorted(point.value for point in found.points) == pytest.approx([1.0, 6.0][:n])


def test_the_ncf_is_zero_at_a_saddle_of_a_deep_linear_network():
    """NP D.3: at the saddle of the leading singular pair H_1 is orthogonal to the residual."""
    rng = np.random.default_rng(0)
    U, s, Vt = np.linalg.svd(rng.normal(size=(4, 4)))
    root = s[0] ** (1 / 3)
    network = FeedForward([root * Vt[:1], [[root]], root * U[:, :1]], PowerLeakyReLU(1.0))
    residual = (U[:, 1:] * s[1:] @ Vt[1:]).T  # outputs are rows: the transpose of S - W3 W2 W1
    found = maximize_added_neuron(network, np.eye(4), residual, rng=0)
    assert found.points == ()
    assert "zero" in str(found)
    with pytest.raises(InvalidInputError, match="zero in all layers"):
        found.best  # noqa: B018
    # the next order is that of a network of three layers: the second singular value over 3^{3/2}
    chain = maximize_added_neuron(network, np.eye(4), residual, order=2, rng=0).best
    assert chain.value == pytest.approx(s[1] / 3**1.5, rel=1e-9)
    assert "layers 1 to 2" in str(chain)


def test_no_residual_and_no_samples_of_value_give_no_neuron():
    network = FeedForward([[[1.0, 0.0]], [[1.0]]])
    assert maximize_added_neuron(network, np.eye(2), np.zeros(2), rng=0).points == ()
    assert maximize_added_neuron(network, np.zeros((2, 2)), np.ones(2), rng=0).points == ()


def test_bad_input_is_refused():
    network, X, z = random_problem(0, RELU)
    neuron = maximize_added_neuron(network, X, z, rng=0).best
    frozen = FeedForward(network.weights, RELU, trainable=[True, False, True])
    for call, message in [
        (lambda: maximize_added_neuron(network, X, z[:-1]), "row for each of 60 samples"),
        (lambda: maximize_added_neuron(network, X, z, layers=[3]), "hidden layers, 1..2"),
        (lambda: maximize_added_neuron(network, X, z, layers=[]), "hidden layers"),
        (lambda: maximize_added_neuron(network, X, z, n_starts=0), "n_starts"),
        (lambda: maximize_added_neuron(network, X, z, order=3), "order must be at most"),
        (lambda: maximize_added_neuron(frozen, X, z), "frozen"),
        (lambda: maximize_added_neuron(FeedForward([[[1.0]]]), [[1.0]], [1.0]), "at least two layers"),
        (lambda: with_neuron(network, neuron, 0.0), "delta"),
    ]:
        with pytest.raises(InvalidInputError, match=message):
            call()
