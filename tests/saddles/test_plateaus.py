"""Training runs as sequences of saddles (KH2 Theorem 5.5)."""

import numpy as np
import pytest
from tolerances import ROUNDING

import convexrelu as cr
from convexrelu.networks import FeedForward, PowerLeakyReLU
from convexrelu.saddles import relative_size, split_near_saddle, track_saddles
from convexrelu.saddles.plateaus import _turning_points, neuron_sizes
from convexrelu.training import gradient_descent, gradient_flow

SQUARES = PowerLeakyReLU(1.0, 2)


def diagonal_squares(w):
    return FeedForward([np.diag(w), np.ones((1, len(w)))], SQUARES, trainable=[np.eye(len(w)), False])


def test_saddles_of_separate_squares():
    """The flow of sum_i (w_i^2 - y_i)^2 / 2 learns the largest y first: saddle k has the rest's loss."""
    y = np.array([1.0, 9.0, 3.0])
    run = gradient_flow(
        np.eye(3), y, diagonal_squares([1e-6] * 3), t_max=60.0, reduction="sum", rtol=1e-9, loss="square"
    )
    track = track_saddles(run)
    assert [list(plateau.active[0]) for plateau in track.plateaus] == [[], [1], [1, 2], [0, 1, 2]]
    expected = [np.square(y).sum() / 2, (1 + 9) / 2, 1 / 2, 0.0]
    assert np.allclose([plateau.loss for plateau in track.plateaus], expected, atol=1e-3)
    assert [plateau.left for plateau in track.plateaus] == [True, True, True, False]
    assert len(track.peaks) == 3
    assert track.first_saddle is track.plateaus[1]
    for plateau in track.plateaus:
        assert plateau.first <= plateau.index <= plateau.last
        assert plateau.gradient_norm == run.gradient_norm[plateau.first : plateau.last + 1].min()
    assert "1 active neurons" in str(track)


def test_ties_leave_together():
    """Two equal targets are learned at the same time: one saddle less."""
    run = gradient_flow(
        np.eye(3),
        [4.0, 4.0, 1.0],
        diagonal_squares([1e-4] * 3),
        t_max=40.0,
        reduction="sum",
        rtol=1e-9,
        loss="square",
    )
    assert [p.n_active for p in track_saddles(run).plateaus] == [(0,), (2,), (3,)]


def test_turning_points_need_prominence():
    g = np.array([1.0, 0.5, 4.0, 3.0, 3.9, 0.2, 0.3, 0.1, 5.0])
    assert _turning_points(g, 2.0) == ([1, 7], [2])
    assert _turning_points(g, 1.2) == ([1, 3, 5, 7], [2, 4, 6])
    assert _turning_points(np.array([2.0]), 2.0) == ([0], [])
    assert _turning_points(np.array([1.0, 1.0, 1.0]), 2.0) == ([0], [])


def test_sizes_leave_frozen_weights_out():
    network = diagonal_squares([3.0, 0.0])
    assert np.array_equal(neuron_sizes(network.weights, network.trainable)[0], [3.0, 0.0])
    assert relative_size(network, [[1]]) == 0.0
    assert relative_size(network, [[0, 1]]) == 1.0
    assert relative_size(network, [[]]) == 0.0


def test_orthogonal_relu_saddles():
    """KH2 section 5.2 on two-layer ReLU: two orthogonal rows are learned one after the other."""
    start = FeedForward([1e-5 * np.eye(2), [[1e-5, 1e-5]]])
    run = gradient_descent(
        np.eye(2),
        [3.0, 1.0],
        start,
        step_size=0.02,
        n_steps=2000,
        reduction="sum",
        record=np.arange(0, 2001, 5),
        loss="square",
    )
    track = track_saddles(run)
    assert [p.n_active for p in track.plateaus] == [(0,), (1,), (2,)]
    assert track.plateaus[1].loss == pytest.approx(0.5, abs=1e-2)
    split = split_near_saddle(run.network_at(track.first_saddle.index), np.eye(2), [[1]])
    z = np.array([3.0, 1.0]) - split.saddle(np.eye(2))
    assert split.alignment(z) == pytest.approx(1.0, abs=1e-6)
    assert abs(split.lowest_order[0, 0]) < ROUNDING


def test_a_prominence_that_makes_every_bend_a_valley_is_refused():
    start = diagonal_squares([1.0, 1.0])
    run = gradient_descent(np.eye(2), [1.0, 1.0], start, step_size=1e-3, n_steps=1, loss="square")
    with pytest.raises(cr.InvalidInputError, match="above 1"):
        track_saddles(run, prominence=1.0)
