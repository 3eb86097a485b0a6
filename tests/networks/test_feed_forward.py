from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tolerances import ROUNDING

from convexrelu import FeedForward, InvalidInputError, PowerLeakyReLU, TwoLayerReLU
from convexrelu.networks import Tanh, forward, pack, unpack

DIFFERENCE = 1e-7
"""Central differences with a step of 1e-5: 1e-10 from the step and 1e-11 from rounding, times derivatives of
functions of degree up to 40."""

SHAPES = [(3, 4, 1), (3, 4, 2), (3, 4, 3, 1), (3, 3, 2, 3, 2)]
CASES = [(a, p, w) for a in (-0.5, 0.0, 0.1, 1.0) for p in (1, 2, 3) for w in SHAPES]


def network_of(alpha, power, widths, seed=0):
    """Weights of a size that keeps activities near 1."""
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=(k, j)) / np.sqrt(j) for j, k in pairwise(widths)]
    return FeedForward(weights, PowerLeakyReLU(alpha, power))


def data_of(widths, n=7, seed=1):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, widths[0])), rng.normal(size=(n, widths[-1]))


def correlation(network, X, z):
    return float((forward(network.weights, network.activation, X).outputs * z).sum())


def moved(network, direction, step):
    return network.with_weights([W + step * V for W, V in zip(network.weights, direction, strict=True)])


@pytest.mark.parametrize(("alpha", "power", "widths"), CASES)
def test_derivatives_are_limits_of_difference_quotients(alpha, power, widths):
    network, (X, z) = network_of(alpha, power, widths), data_of(widths)
    direction = network_of(alpha, power, widths, seed=2).weights
    ahead, behind = moved(network, direction, 1e-5), moved(network, direction, -1e-5)
    gradient, product = network.gradient(X, z), network.hessian_vector_product(X, z, direction)
    size = np.linalg.norm(pack(gradient)) * np.linalg.norm(pack(direction))
    numeric = (correlation(ahead, X, z) - correlation(behind, X, z)) / 2e-5
    assert abs(numeric - pack(gradient) @ pack(direction)) <= DIFFERENCE * size
    numeric = (pack(ahead.gradient(X, z)) - pack(behind.gradient(X, z))) / 2e-5
    size = max(size, np.linalg.norm(pack(product)))
    np.testing.assert_allclose(pack(product), numeric, rtol=0, atol=DIFFERENCE * size)


@pytest.mark.parametrize(("alpha", "power", "widths"), CASES)
def test_euler_identities(alpha, power, widths):
    network, (X, z) = network_of(alpha, power, widths), data_of(widths)
    w, gradient = pack(network.weights), pack(network.gradient(X, z))
    size = np.linalg.norm(w) * np.linalg.norm(gradient)
    assert network.degree == sum(power**k for k in range(len(widths) - 1))
    assert abs(w @ gradient - network.degree * correlation(network, X, z)) <= ROUNDING * size
    radial = pack(network.hessian_vector_product(X, z, network.weights))
    np.testing.assert_allclose(radial, (network.degree - 1) * gradient, atol=ROUNDING * size)


@given(seed=st.integers(0, 1000), c=st.floats(1e-2, 1e2), case=st.sampled_from(CASES))
def test_it_is_homogeneous_in_its_weights(seed, c, case):
    alpha, power, widths = case
    network, (X, _) = network_of(alpha, power, widths, seed), data_of(widths)
    np.testing.assert_allclose(network.scaled_weights(c)(X), c**network.degree * network(X), rtol=1e-10)
    assert network.scaled_weights(c).norm == pytest.approx(c * network.norm, rel=ROUNDING)
    np.testing.assert_allclose(network.scaled_function(c)(X), c * network(X), rtol=1e-10)
    assert network.normalized().norm == pytest.approx(1.0, rel=ROUNDING)


@pytest.mark.parametrize(("alpha", "power", "widths"), CASES[::3])
def test_a_batch_is_a_loop(alpha, power, widths):
    X, z = data_of(widths)
    networks = [network_of(alpha, power, widths, seed) for seed in range(3)]
    directions = [network_of(alpha, power, widths, seed + 9).weights for seed in range(3)]
    batch = [np.array(layers) for layers in zip(*(net.weights for net in networks), strict=True)]
    run = forward(batch, networks[0].activation, X)
    together = [np.array(layers) for layers in zip(*directions, strict=True)]
    gradients, products = run.gradient(z), run.hessian_vector_product(z, together)
    for i, net in enumerate(networks):
        single = forward(net.weights, net.activation, X)
        np.testing.assert_allclose(run.outputs[i], single.outputs, rtol=1e-10, atol=ROUNDING)
        for many, one in zip(gradients, net.gradient(X, z), strict=True):
            np.testing.assert_allclose(many[i], one, rtol=1e-10, atol=ROUNDING)
        for many, one in zip(products, net.hessian_vector_product(X, z, directions[i]), strict=True):
            np.testing.assert_allclose(many[i], one, rtol=1e-10, atol=ROUNDING)


def test_pack_and_unpack_are_inverse_with_leading_axes():
    layers = [np.arange(24.0).reshape(2, 3, 4), np.arange(6.0).reshape(2, 1, 3)]
    vector = pack(layers)
    assert vector.shape == (2, 15)
    for layer, again in zip(layers, unpack(vector, layers), strict=True):
        np.testing.assert_array_equal(layer, again)


@pytest.mark.parametrize(("alpha", "power", "widths"), CASES)
def test_balance_keeps_the_function_and_has_least_norm(alpha, power, widths):
    """NP Lemma 3: ||incoming||^2 = p ||outgoing||^2, where the norm is least among all rescalings."""
    network, (X, _) = network_of(alpha, power, widths), data_of(widths)
    balanced = network.balanced()
    np.testing.assert_allclose(balanced(X), network(X), rtol=1e-9, atol=1e-12)
    for into, out in zip(balanced.incoming_norms, balanced.outgoing_norms, strict=True):
        np.testing.assert_allclose(into**2, power * out**2, rtol=1e-10)
    rng = np.random.default_rng(3)
    for _ in range(5):  # any other rescaling is longer
        weights = [np.array(W) for W in balanced.weights]
        for layer in range(len(weights) - 1):
            c = np.exp(0.3 * rng.normal(size=len(weights[layer])))
            weights[layer] *= c[:, None]
            weights[layer + 1] *= c**-power
        assert network.with_weights(weights).norm > balanced.norm


def test_balance_zeroes_neurons_that_contribute_nothing():
    network = FeedForward([[[1.0], [2.0]], [[3.0, 0.0]]])
    balanced = network.balanced()
    np.testing.assert_array_equal(balanced.zero_preserving_set(0.0)[0], [1])
    np.testing.assert_allclose(balanced([[1.0]]), [3.0])


def test_the_two_layer_network_is_the_case_of_two_layers():
    rng = np.random.default_rng(0)
    small = TwoLayerReLU(rng.normal(size=(4, 3)), rng.normal(size=4))
    network, X = FeedForward.from_two_layer(small), rng.normal(size=(6, 3))
    np.testing.assert_array_equal(network(X), small(X))
    np.testing.assert_array_equal(network.as_two_layer().W1, small.W1)
    with pytest.raises(InvalidInputError, match="two layers"):
        network_of(0.1, 1, (3, 4, 1)).as_two_layer()


def test_zero_preserving_sets_stay_zero_under_the_gradient():
    """KH-beyond Lemma 16: in- and outgoing gradients of a neuron without weights vanish (power >= 2)."""
    widths = (3, 4, 3, 1)
    weights = [np.array(W) for W in network_of(0.1, 2, widths).weights]
    weights[0][[1, 3]], weights[1][:, [1, 3]] = 0.0, 0.0
    weights[1][2], weights[2][:, 2] = 0.0, 0.0
    network, (X, z) = FeedForward(weights, PowerLeakyReLU(0.1, 2)), data_of(widths)
    zero = network.zero_preserving_set(1e-6)
    assert [list(layer) for layer in zero] == [[1, 3], [2]]
    gradient = network.gradient(X, z)
    assert not gradient[0][[1, 3]].any()
    assert not gradient[1][:, [1, 3]].any()
    assert not gradient[1][2].any()
    assert not gradient[2][:, 2].any()


@pytest.mark.parametrize("trainable", [[True, False, True], [False, False, True], [True, True, False]])
def test_frozen_layers_have_no_gradient_and_no_share_in_the_degree(trainable):
    base, (X, z) = network_of(0.1, 2, (3, 4, 3, 1)), data_of((3, 4, 3, 1))
    network = FeedForward(base.weights, base.activation, trainable=trainable)
    assert network.degree == sum(2 ** (2 - k) for k in range(3) if trainable[k])
    product = network.hessian_vector_product(X, z, base.weights)
    for free, G, full, V in zip(trainable, network.gradient(X, z), base.gradient(X, z), product, strict=True):
        np.testing.assert_array_equal(G, full if free else 0 * full)
        assert free or not V.any()
    np.testing.assert_allclose(
        network.scaled_weights(2.0)(X), 2.0**network.degree * network(X), rtol=ROUNDING
    )


def test_a_diagonal_linear_network_trains_its_diagonal_only():
    network = FeedForward(
        [np.diag([1.0, 2.0]), [[3.0, 4.0]]], PowerLeakyReLU(1.0), trainable=[np.eye(2), True]
    )
    X, z = np.array([[1.0, -1.0], [0.5, 2.0]]), np.array([1.0, -2.0])
    gradient = network.gradient(X, z)
    np.testing.assert_allclose(gradient[0], np.diag([3.0, 4.0] * (z @ X)))
    np.testing.assert_allclose(gradient[1], [[1.0, 2.0] * (z @ X)])
    assert network.norm == pytest.approx(np.sqrt(30.0))
    partly = FeedForward([np.ones((2, 2)), [[3.0, 4.0]]], PowerLeakyReLU(1.0), trainable=[np.eye(2), True])
    with pytest.raises(InvalidInputError, match="frozen in part"):
        _ = partly.degree


def test_what_is_saved_is_loaded_to_the_last_bit(tmp_path):
    path = tmp_path / "network.json"
    network = FeedForward(
        network_of(0.1, 3, (3, 4, 2)).weights, PowerLeakyReLU(0.1, 3), trainable=[True, False]
    )
    network.save(path)
    again = FeedForward.load(path)
    assert again.activation == network.activation
    for a, b in zip((*network.weights, *network.trainable), (*again.weights, *again.trainable), strict=True):
        np.testing.assert_array_equal(a, b)
    path.write_text(path.read_text().replace('"power": 3', '"power": -3'))
    with pytest.raises(InvalidInputError, match=r"network\.json"):
        FeedForward.load(path)
    with pytest.raises(InvalidInputError, match="cannot read"):
        FeedForward.load(tmp_path / "missing.json")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([], "at least one layer"),
        ([[[1.0, 2.0]], [[1.0, 2.0]]], "must have 1 columns"),
        ([[[np.nan]]], "must be finite"),
        ([[1.0, 2.0]], "must be a matrix"),
    ],
)
def test_bad_weights_are_refused(weights, message):
    with pytest.raises(InvalidInputError, match=message):
        FeedForward(weights)


def test_bad_arguments_are_refused():
    network, (X, z) = network_of(0.0, 1, (3, 4, 1)), data_of((3, 4, 1))
    with pytest.raises(InvalidInputError, match="columns"):
        network(X[:, :2])
    with pytest.raises(InvalidInputError, match="z must have shape"):
        network.gradient(X, z[:-1])
    with pytest.raises(InvalidInputError, match="shapes of the weights"):
        network.hessian_vector_product(X, z, [np.ones((2, 3)), np.ones((1, 2))])
    with pytest.raises(InvalidInputError, match="homogeneous activation"):
        _ = FeedForward(network.weights, Tanh()).degree
    with pytest.raises(InvalidInputError, match="no direction"):
        network.scaled_weights(0.0).normalized()
    with pytest.raises(InvalidInputError, match="without trainable weights"):
        FeedForward(network.weights, trainable=[False, False]).scaled_function(2.0)
    with pytest.raises(InvalidInputError, match="entry for each"):
        FeedForward(network.weights, trainable=[True])
    with pytest.raises(InvalidInputError, match="frozen weights"):
        FeedForward(network.weights, trainable=[True, False]).balanced()
