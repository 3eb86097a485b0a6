"""Cases that once went wrong, each with what must hold instead."""

import numpy as np
import pytest

import convexrelu as cr


def soft_objective(X, y, network, C):
    margins = np.asarray(y) * network(X)
    return network.objective() + C * np.maximum(1 - margins, 0).sum()


@pytest.mark.parametrize("seed", range(3))
def test_a_tolerance_out_of_reach_gives_bounds(seed):
    """The linear tail may end with directions that no master has seen: they must not be mixed."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(8, 3)), rng.choice([-1, 1], 8)
    solution = cr.solve_max_margin(X, y, tol=1e-15)
    assert solution.status == "bounded"
    assert solution.lower_bound <= solution.objective
    assert solution.gap <= 1e-6


@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_one_ray_with_both_labels_in_any_units(scale):
    """X -> s X, C -> C multiplies nothing but the neurons: P* tends to 316.667 as they get cheap."""
    X, y = scale * np.array([[1.0], [2.0], [0.5], [-1.0], [3.0]]), np.array([1, -1, 1, 1, 1])
    solution = cr.solve_max_margin(X, y, C=100.0)
    assert solution.status == "optimal"
    assert solution.certificate.check(X, y)
    # the network handed out is the one whose objective is stated
    assert soft_objective(X, y, solution.network, 100.0) == pytest.approx(solution.objective, rel=1e-9)


@pytest.mark.parametrize("scale", [1e-200, 1e155, 1e300])
def test_rows_beyond_the_range_are_refused_by_name(scale):
    X, y = np.array([[1.0, 2.0], [-1.0, 0.5], [0.3, -1.0]]), [1, -1, -1]
    with pytest.raises(cr.InvalidInputError, match="rows 0"):
        cr.solve_max_margin(scale * X, y)


def test_a_single_tiny_row_is_not_called_zero():
    X = np.array([[1e-200, 2e-200], [-1.0, 0.5], [0.3, -1.0]])
    with pytest.raises(cr.InvalidInputError, match="rescale"):
        cr.solve_max_margin(X, [1, -1, -1])


def test_a_dual_variable_that_overflows_is_refused():
    X, y = np.array([[1.0, 2.0], [-1.0, 0.5]]), [1, -1]
    network = cr.TwoLayerReLU(np.eye(2), [1.0, -1.0])
    with pytest.raises(cr.InvalidInputError, match="lam"):
        cr.certify(X, y, network, lam=[1e308, -1e308])


def test_a_device_is_written_to_and_not_replaced(tmp_path):
    import os
    import threading

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()))
    reader.start()
    cr.TwoLayerReLU([[1.0]], [1.0]).save(pipe)
    reader.join(timeout=10)
    assert pipe.is_fifo()
    assert "W1" in read[0]
