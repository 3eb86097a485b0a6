"""Which runs are wanted, and what is refused before any work."""

import numpy as np
import pytest

import convexrelu as cr


@pytest.mark.parametrize(
    "arguments",
    [
        {"width": 0},
        {"width": []},
        {"width": [4, 4]},
        {"n_runs": -1},
        {"init_scale": -1.0},
        {"init_scale": [1e-3, 0.0]},
        {"init_scale": 1e-160},
        {"init_scale": 1e200},
        {"starts": [cr.TwoLayerReLU(np.zeros((0, 2)), [])]},
        {"starts": [cr.TwoLayerReLU([[1e200, 0.0]], [1.0])]},
        {"starts": [cr.TwoLayerReLU([[1e-160, 0.0]], [1e-160])]},
        {"time_limit": 0.0},
        {"checkpoint": "no/such/folder/runs.json"},
        {"checkpoint": "/proc/runs.json"},  # a folder in which nobody can write
        {"checkpoint": "."},
    ],
)
def test_bad_arguments(arguments, solve_nothing):
    solve_nothing()
    with pytest.raises(cr.InvalidInputError):
        cr.verify_gradient_descent([[1.0, 0.0], [0.0, 1.0]], [1, -1], **arguments)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("width", [[2, 3]]),
        ("width", {2, 3}),
        ("width", [[1], [2, 3]]),
        ("starts", cr.TwoLayerReLU([[1.0, 0.0]], [1.0])),
        ("starts", 3),
        ("checkpoint", 3),
        ("rng", "x"),
    ],
)
def test_arguments_of_a_wrong_kind(name, value, solve_nothing):
    solve_nothing()
    with pytest.raises(cr.InvalidInputError, match=name):
        cr.verify_gradient_descent([[1.0, 0.0], [0.0, 1.0]], [1, -1], **{name: value})


@pytest.mark.parametrize("factor", [1e200, 1e-200])
def test_data_whose_squares_leave_float64(factor):
    with pytest.raises(cr.InvalidInputError, match="rescale"):
        cr.verify_gradient_descent(factor * np.eye(2), [1, -1], init_scale=1e-3 / np.sqrt(factor))


@pytest.mark.parametrize("factor", [1.0, 1e80, 1e-80])
@pytest.mark.parametrize("scale", [2e-99, 5e98])
def test_the_smallest_and_the_largest_initial_scale(factor, scale):
    """They are meant in units in which the longest row has length 1; nothing overflows within them."""
    unit = np.sqrt(factor)
    report = cr.verify_gradient_descent(factor * np.eye(2), [1, -1], init_scale=scale / unit, n_runs=1, rng=0)
    assert report.runs[0].verdict == ("global optimum" if scale < 1 else "never fitted the data")
    for beyond in (2e-100, 5e99):
        with pytest.raises(cr.InvalidInputError, match="init_scale"):
            cr.verify_gradient_descent(factor * np.eye(2), [1, -1], init_scale=beyond / unit)


def test_rows_so_different_that_one_would_vanish_in_units_of_the_other():
    X = [[1e60, 0.0], [0.0, 1e-60]]
    with pytest.raises(cr.InvalidInputError, match="times as long"):
        cr.verify_gradient_descent(X, [1, -1])


def test_no_starts_given():
    X, y = cr.datasets.load("wang-pilanci-f1")
    plain, none = (
        cr.verify_gradient_descent(X, y, n_runs=1, rng=0, **more) for more in ({}, {"starts": None})
    )
    assert plain.to_document() == none.to_document()


def test_starts_of_the_wrong_shape_and_for_classes():
    wrong = cr.TwoLayerReLU([[1.0, 0.0, 0.0]], [1.0])
    with pytest.raises(cr.InvalidInputError, match="2 inputs"):
        cr.verify_gradient_descent([[1.0, 0.0], [0.0, 1.0]], [1, -1], starts=[wrong])
    with pytest.raises(cr.InvalidInputError, match="two labels"):
        cr.verify_gradient_descent(np.eye(3), [0, 1, 2], starts=[wrong])
