"""Derivatives of the loss that a grown network is refitted on."""

from __future__ import annotations

import numpy as np
import pytest

from convexrelu import FeedForward, PowerLeakyReLU
from convexrelu.networks import RELU, SmoothedLeakyReLU
from convexrelu.pursuit import GradientDescent, LevenbergMarquardt, LimitedMemoryBFGS
from convexrelu.pursuit.square_loss import SquareLoss

SOLVERS = [LimitedMemoryBFGS(), LevenbergMarquardt(), GradientDescent(step_size=0.05, n_steps=20_000)]


def random_loss(seed, activation, trainable=None):
    rng = np.random.default_rng(seed)
    shapes = [(3, 4), (2, 3), (2, 2)]
    network = FeedForward([rng.normal(size=shape) for shape in shapes], activation, trainable=trainable)
    X, Y = rng.normal(size=(7, 4)), rng.normal(size=(7, 2))
    return SquareLoss(network=network, activation=activation, X=X, Y=Y)


@pytest.mark.parametrize("activation", [RELU, PowerLeakyReLU(0.3, 2), SmoothedLeakyReLU(0.3, 0.2)], ids=str)
@pytest.mark.parametrize("trainable", [None, [True, False, np.eye(2)]])
@pytest.mark.parametrize("decay", [0.0, 0.3])
def test_derivatives_are_those_of_the_loss(activation, trainable, decay):
    loss = random_loss(0, activation, trainable).with_decay(decay)
    w, step = loss.start, 1e-6
    value, gradient = loss.value_and_gradient(w)
    assert value == pytest.approx(loss.with_decay(0.0).value(w) + 0.5 * decay * (w @ w), rel=1e-12)
    assert len(w) == (22 if trainable is None else 12 + 2)
    differences = [(loss.value(w + step * e) - loss.value(w - step * e)) / (2 * step) for e in np.eye(len(w))]
    np.testing.assert_allclose(gradient, differences, rtol=1e-5, atol=1e-7)
    again, same, matrix = loss.normal_equations(w)
    assert again == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(same, gradient, rtol=1e-10, atol=1e-13)
    outputs = [
        (loss.network_of(w + step * e)(loss.X) - loss.network_of(w - step * e)(loss.X)) / (2 * step)
        for e in np.eye(len(w))
    ]
    if not isinstance(activation, SmoothedLeakyReLU):  # networks carry their own activation
        J = np.array(outputs).reshape(len(w), -1).T / loss.size
        np.testing.assert_allclose(matrix, J.T @ J + decay * np.eye(len(w)), rtol=1e-5, atol=1e-7)
