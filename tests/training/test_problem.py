import itertools

import numpy as np
import pytest

from convexrelu.errors import InvalidInputError
from convexrelu.losses import get_loss
from convexrelu.networks import GELU, FeedForward, PowerLeakyReLU, TwoLayerReLU, pack
from convexrelu.training.problem import check_deep_problem, check_problem


def small_problem(widths, activation, loss, reduction):
    rng = np.random.default_rng(0)
    layers = [0.5 * rng.normal(size=(k, j)) for j, k in itertools.pairwise(widths)]
    X, y = 0.5 * rng.normal(size=(9, widths[0])), rng.normal(size=(9, widths[-1]))
    y = np.where(y > 0, 1.0, -1.0) if get_loss(loss).takes_labels else y
    return check_deep_problem(FeedForward(layers, activation), X, y, loss=loss, reduction=reduction)


@pytest.mark.parametrize("loss", ["logistic", "exponential", "square", "correlation"])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("activation", [PowerLeakyReLU(0.1, 2), GELU()], ids=repr)
def test_residual_and_gradient_are_derivatives_of_the_loss(loss, reduction, activation):
    problem = small_problem((3, 4, 2), activation, loss, reduction)
    rng = np.random.default_rng(1)
    outputs, change = rng.normal(size=problem.Y.shape), rng.normal(size=problem.Y.shape)
    h = 1e-6
    slope = (problem.loss_of(outputs + h * change) - problem.loss_of(outputs - h * change)) / (2 * h)
    assert slope == pytest.approx(-np.vdot(problem.residual(outputs), change), rel=1e-7)
    weights = problem.network.weights
    along = [rng.normal(size=W.shape) for W in weights]
    ends = [
        problem.evaluate([W + s * h * V for W, V in zip(weights, along, strict=True)]).loss for s in (1, -1)
    ]
    gradient = problem.evaluate(weights).gradient
    assert (ends[0] - ends[1]) / (2 * h) == pytest.approx(pack(gradient) @ pack(along), rel=1e-6)


def test_a_two_layer_problem_has_labels_and_its_own_copies():
    X = np.eye(2)
    problem = check_problem(X, ["b", "a"], TwoLayerReLU(X, [1, 1]), loss="logistic", reduction="mean")
    assert problem.y.tolist() == [1.0, -1.0]
    assert problem.scale == 0.5
    assert not np.shares_memory(problem.X, X)


def test_labels_of_several_outputs():
    network = FeedForward([np.eye(2), np.ones((2, 2))])
    Y = [[1.0, -1.0], [-1.0, 1.0]]
    assert check_problem(np.eye(2), Y, network, loss="exponential", reduction="sum").Y.tolist() == Y
    with pytest.raises(InvalidInputError, match="labels"):
        check_problem(np.eye(2), np.eye(2), network, loss="exponential", reduction="sum")


def test_the_correlation_is_for_feed_forward_networks():
    with pytest.raises(InvalidInputError, match="FeedForward"):
        check_problem([[1.0]], [1], TwoLayerReLU([[1.0]], [1.0]), loss="correlation", reduction="sum")


def test_losses_without_a_compiled_loop_are_refused():
    with pytest.raises(InvalidInputError, match=r"convexrelu\.solve takes it"):
        check_problem([[1.0]], [1.0], TwoLayerReLU([[1.0]], [1.0]), loss="hinge", reduction="sum")
