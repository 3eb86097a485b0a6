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


def bounded_data(seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(12, 3)) * [0.01, 1.0, 100.0], np.where(rng.random(12) < 0.5, 1, -1)


@pytest.mark.parametrize("seed", [0, 2])
def test_a_limit_costs_no_proof_that_was_found(seed):
    """A search that ended by itself proves its bound, also where rounding is more than 1e-9 of it."""
    X, y = bounded_data(seed)
    free = cr.solve_max_margin(X, y)
    limited = cr.solve_max_margin(X, y, time_limit=60.0)
    assert free.gap <= 1e-6
    assert limited.gap == pytest.approx(free.gap, abs=1e-9)
    certificate = cr.certify(X, y, free.network, free.lam, time_limit=60.0)
    assert certificate.lower_bound == pytest.approx(free.lower_bound, rel=1e-8)
    assert certificate.check(X, y)


def test_soft_margins_of_many_rows_are_certified_within_a_limit():
    """Most rows have slack, and so a multiplier: the working set must grow fast, and the search finish."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(400, 3)), np.where(rng.random(400) < 0.5, 1.0, -1.0)
    solution = cr.solve_max_margin(X, y, C=0.2, time_limit=120.0)
    assert solution.status == "optimal"
    assert np.count_nonzero(solution.lam) > 350
    assert solution.certificate.check(X, y)
    assert soft_objective(X, y, solution.network, 0.2) == pytest.approx(solution.objective, rel=1e-9)


@pytest.mark.parametrize("C", [1e-3, 1.0, 1e6])
@pytest.mark.parametrize("seed", [0, 5])
def test_rows_of_sixteen_decades_have_an_answer_at_every_price(seed, C):
    """The linear master's entries then exceed what HiGHS takes by default, and its tolerances what it can."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(12, 3)), np.where(rng.random(12) < 0.5, 1, -1)
    y[:2] = 1, -1
    X = X * 10.0 ** rng.uniform(-8, 8, size=(12, 1))
    solution = cr.solve_max_margin(X, y, C=C, time_limit=2.0)
    assert 0 < solution.lower_bound <= solution.objective <= 12 * C * (1 + 1e-9)
    assert solution.certificate.check(X, y)


def test_bounds_that_the_local_search_makes_up_are_not_kept():
    """Multipliers of an interior-point method, priced too low, looked better than the optimum allows."""
    pytest.importorskip("cvxpy")
    X, y = bounded_data(1)
    y[:2] = 1, -1
    solution = cr.solve_max_margin(X, y, method="program")
    assert solution.gap <= 1e-6


def test_a_limit_reaches_the_conic_solver():
    pytest.importorskip("cvxpy")
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(18, 4)), np.where(rng.random(18) < 0.5, 1, -1)
    solution = cr.solve_max_margin(X, y, method="program", time_limit=0.5)
    assert solution.status in ("time_limit", "optimal")
    assert 0 < solution.lower_bound <= solution.objective
    assert solution.certificate.check(X, y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"solver": "foo"}, "solver must be one of"),
        ({"tol": 1.0}, "tol must be below 1"),
    ],
)
def test_bad_options_are_refused_before_any_work(options, message):
    with pytest.raises(cr.InvalidInputError, match=message):
        cr.solve_max_margin(np.eye(2), [1, -1], **options)


@pytest.mark.parametrize(("names", "shown"), [(["a", "b", "c"], "class a"), ([0, 5, 7], "class 0")])
def test_infeasible_classes_are_named(names, shown):
    with pytest.raises(cr.InfeasibleError, match=f"{shown} against the rest: .*rows 0, 1") as caught:
        cr.solve_max_margin([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], names)
    y = np.array([1.0, -1.0, -1.0])
    assert y @ caught.value.farkas > 0
    assert (y * caught.value.farkas >= 0).all()
