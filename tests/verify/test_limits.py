"""The KKT point that a run is heading for."""

import numpy as np
import pytest

import convexrelu as cr
from convexrelu.verify import multi_class_counterexample
from convexrelu.verify.limits import Limit, enlarged, headings
from convexrelu.verify.training import CLOSE

EXAMPLE = multi_class_counterexample()
SEPARATE = np.eye(3)  # one neuron a row: the KKT point of objective 3
SIGNS = np.array([1.0, -1.0, -1.0])
LAM = EXAMPLE.y.copy()  # its multiplier


def test_without_other_neurons_it_is_heading_for_the_point_of_its_own():
    network = cr.TwoLayerReLU.from_directions(SEPARATE * [[1.1], [1.0], [1.2]], SIGNS)
    [first, *_] = headings(EXAMPLE.X, EXAMPLE.y, network, LAM)
    assert first.network.objective() == pytest.approx(3.0, abs=1e-7)
    assert np.allclose(first.lam, LAM, atol=1e-5)
    assert first.settled


def test_a_neuron_that_outgrows_the_others_counts_however_small_it_is():
    """(e_2 + e_3)/sqrt 2 correlates sqrt 2 > 1 with the multiplier of the point of objective 3.

    At a share of 1e-9 it is below what the convex program takes from the network, and must be found by its
    correlation.
    """
    late = np.array([0.0, 1.0, 0.9]) * 1e-9
    network = cr.TwoLayerReLU.from_directions(np.vstack([SEPARATE, late]), np.append(SIGNS, -1.0))
    found = list(headings(EXAMPLE.X, EXAMPLE.y, network, LAM))
    assert not found[0].settled
    assert found[0].largest == pytest.approx(1.9 / np.hypot(1.0, 0.9), rel=1e-4)
    assert found[1].settled
    assert found[1].network.objective() == pytest.approx(1 + np.sqrt(2), abs=1e-6)


def test_the_gap_to_a_heading_is_what_weak_duality_says():
    """sum ||u_i|| - P = sum ||u_i|| (1 - r_i) + sum |lam_n| (margin_n - 1), term by term."""
    X, y = cr.datasets.orthogonally_separable(12, 3, rng=0)
    report = cr.verify_gradient_descent(X, y, width=6, n_runs=1, rng=0)
    last = report.runs[0].trajectories[0].network_at(-1).rescaled_to_margin(X, y)
    [first, *_] = headings(X, y, last, report.runs[0].trajectories[0].relative_lam[-1])
    sizes = np.linalg.norm(last.u, axis=1)
    live = sizes > 0
    units = last.u[live] / sizes[live, None]
    correlations = last.signs[live] * (first.lam @ np.maximum(X @ units.T, 0))
    slack = np.abs(first.lam) @ (y * last(X) - 1)
    total = sizes[live] @ (1 - correlations) + slack
    assert first.settled
    assert (correlations <= 1 + 1e-4).all()
    assert sizes.sum() - np.abs(first.lam).sum() == pytest.approx(total, abs=1e-9)
    assert total <= CLOSE * sizes.sum()


def test_an_added_neuron_improves_the_point_or_leaves_it():
    point = Limit(network=cr.TwoLayerReLU.from_directions(SEPARATE, SIGNS), lam=LAM)
    root = np.sqrt(0.5)
    better = enlarged(EXAMPLE.X, EXAMPLE.y, point, np.array([[0.0, root, root]]), np.array([-1.0]))
    assert better.network.objective() == pytest.approx(1 + np.sqrt(2), abs=1e-6)
    useless = np.array([[0.0, 1.0, 0.0]])
    assert enlarged(EXAMPLE.X, EXAMPLE.y, point, useless, np.array([-1.0])) is point
