"""Clarke's subdifferential against the subgradient 0 at ties, where the two differ."""

import numpy as np
import pytest

from convexrelu.errors import InvalidInputError
from convexrelu.networks import TwoLayerReLU
from convexrelu.training import gradient_descent, gradient_flow


def both(X, y, start, t_max, **options):
    return [
        gradient_flow(X, y, start, t_max=t_max, selection=rule, **options)
        for rule in ("clarke", "zero_at_ties")
    ]


def test_they_agree_where_neurons_only_cross():
    X, y = np.array([[1.0, 1.0], [0.0, 1.0]]), np.ones(2)
    start = TwoLayerReLU([[0.1, -0.05]], [np.hypot(0.1, 0.05)])
    clarke, zero = both(X, y, start, 20.0)
    assert [event.kind for event in zero.events] == ["on"]
    np.testing.assert_array_equal(zero.W1, clarke.W1)


def test_no_solution_where_a_neuron_would_slide():
    # the sliding example of test_flow.py: with x_2 inactive on its hyperplane the velocity there leads up,
    # above it down, so that no absolutely continuous curve follows it; Clarke's flow goes on
    X, y, w1 = np.array([[1.0, 1.0], [0.0, 2.0]]), np.array([1.0, -1.0]), np.array([0.3, -1e-3])
    clarke, zero = both(X, y, TwoLayerReLU([w1], [np.linalg.norm(w1)]), 5.0)
    assert clarke.status == "finished"
    assert zero.status == "no_solution"
    assert zero.times[-1] == pytest.approx(clarke.events[0].time, abs=1e-12)
    assert "no_solution" in str(zero)


def test_no_solution_from_a_start_that_would_slide():
    X, y = np.array([[1.0, 1.0], [0.0, 2.0]]), np.array([1.0, -1.0])
    clarke, zero = both(X, y, TwoLayerReLU([[0.3, 0.0]], [0.3]), 5.0)
    assert (clarke.status, zero.status) == ("finished", "no_solution")
    assert zero.times[-1] == 0.0


def test_antiparallel_rows_of_opposite_labels_hold_a_neuron():
    # rows (1,0) of label +, (-1,0) of label - and (0,1) of label +; the neuron is on the first two rows'
    # hyperplane. Either side pulls along (1,0) with lam = 1/2, so that is Clarke's only velocity; with both
    # rows left out, as descent does too, the neuron never leaves.
    X, y = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]]), np.array([1.0, -1.0, 1.0])
    start = TwoLayerReLU([[0.0, 0.1]], [0.1])
    clarke, zero = both(X, y, start, 5.0)
    descent = gradient_descent(X, y, start, step_size=1e-4, n_steps=50_000)
    assert (zero.W1[:, 0, 0] == 0).all()
    np.testing.assert_allclose(zero.W1[-1], descent.W1[-1], atol=1e-4)
    assert clarke.W1[-1, 0, 0] > 0.5
    assert clarke.loss[-1] < zero.loss[-1]
    # at the start Clarke's velocity is w2 (1/2, 1/2), and the other w2 (0, 1/2)
    speed = (clarke.W1[1] - start.W1)[0] / clarke.times[1]
    np.testing.assert_allclose(speed, [0.05, 0.05], rtol=0.1)


def test_a_tie_on_which_both_rules_rest():
    # row (1,0) of label + alone on the hyperplane: both sides lead away or along, and 0 decides in both
    X, y = np.array([[1.0, 0.0], [0.0, 1.0]]), np.ones(2)
    clarke, zero = both(X, y, TwoLayerReLU([[0.0, 0.1]], [0.1]), 5.0)
    np.testing.assert_allclose(zero.W1[-1], clarke.W1[-1], atol=1e-12)
    assert (zero.W1[:, 0, 0] == 0).all()


@pytest.mark.parametrize(
    "options",
    [
        {"selection": "autograd"},
        {"form": "spherical"},
        {"t_max": None},
        {"log_t_max": 1.0},
        {"t_max": None, "log_t_max": np.inf},
        {"t_max": None, "log_t_max": -1e3},
    ],
)
def test_bad_options(options):
    with pytest.raises(InvalidInputError):
        gradient_flow([[1.0]], [1], TwoLayerReLU([[1.0]], [1.0]), **({"t_max": 1.0} | options))
