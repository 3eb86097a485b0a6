import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convexrelu.errors import InvalidInputError
from convexrelu.losses import get_loss

NAMES = ["logistic", "exponential", "square"]
EXTREMES = np.array([-1e300, -1e6, -800.0, -40.0, -1.0, 0.0, 1.0, 35.9, 36.1, 700.0, 1e6, 1e300])


@pytest.mark.parametrize("name", NAMES)
def test_slope_is_minus_the_derivative(name):
    loss, q, step = get_loss(name), np.linspace(-5, 5, 41), 1e-5
    difference = (loss.value(q - step) - loss.value(q + step)) / (2 * step)
    np.testing.assert_allclose(loss.slope(q), difference, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", [*NAMES, "correlation"])
def test_slope_is_minus_the_derivative_in_the_output_for_any_target(name):
    rng, step = np.random.default_rng(0), 1e-5
    f, y = rng.normal(size=(2, 30)), rng.normal(size=30)
    loss = get_loss(name)
    y = np.sign(y) if loss.takes_labels else y
    difference = (loss.value(f - step, y) - loss.value(f + step, y)) / (2 * step)
    np.testing.assert_allclose(loss.slope(f, y), difference, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", [*NAMES, "correlation"])
def test_with_labels_a_loss_is_that_of_the_margin(name):
    rng, loss = np.random.default_rng(1), get_loss(name)
    f, y = 10 * rng.normal(size=50), np.where(rng.random(50) < 0.5, 1.0, -1.0)
    assert np.array_equal(loss.value(f, y), loss.value(y * f))
    assert np.array_equal(loss.slope(f, y), y * loss.slope(y * f))


def test_every_loss_has_a_number_of_its_own():
    assert len({get_loss(name).code for name in [*NAMES, "correlation"]}) == 4


@pytest.mark.parametrize("name", NAMES)
def test_logarithms_agree_with_the_values(name):
    loss, q = get_loss(name), np.linspace(-30, 0.9, 100)
    np.testing.assert_allclose(np.exp(loss.log_value(q)), loss.value(q), rtol=1e-13)
    np.testing.assert_allclose(np.exp(loss.log_slope(q)), loss.slope(q), rtol=1e-13)


@pytest.mark.parametrize("name", ["logistic", "exponential"])
def test_log_domain_is_finite_and_tends_to_minus_q(name):
    loss = get_loss(name)
    assert np.isfinite(loss.log_value(EXTREMES)).all()
    assert np.isfinite(loss.log_slope(EXTREMES)).all()
    large = EXTREMES[EXTREMES > 30]
    np.testing.assert_allclose(loss.log_value(large), -large, rtol=1e-13)
    np.testing.assert_allclose(loss.log_slope(large), -large, rtol=1e-13)


def test_logistic_against_the_series_beyond_the_switch():
    # log log(1 + x) = log x - x/2 + 5 x^2/24 - ..., x = e^{-q}
    q = np.array([20.0, 30.0, 35.999, 36.001, 50.0])
    x = np.exp(-q)
    np.testing.assert_allclose(get_loss("logistic").log_value(q), -q - x / 2 + 5 * x**2 / 24, rtol=2e-16 * 10)


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=6), st.sampled_from(NAMES))
def test_relative_slopes_sum_to_one_and_keep_proportions(margins, name):
    loss, q = get_loss(name), np.array(margins)
    weights = loss.relative_slope(q)
    assert np.isfinite(weights).all()
    assert math.isclose(np.abs(weights).sum(), 1.0, rel_tol=1e-12) or (q == 1.0).all()
    slopes = loss.slope(q)
    if np.isfinite(slopes).all() and 1e-250 < np.abs(slopes).sum() < 1e250:
        np.testing.assert_allclose(weights * np.abs(slopes).sum(), slopes, rtol=1e-9, atol=1e-300)


@given(st.lists(st.floats(-600, 600), min_size=1, max_size=6), st.sampled_from(NAMES))
def test_log_total_is_the_logarithm_of_the_sum(margins, name):
    loss, q = get_loss(name), np.array(margins)
    total = loss.value(q).sum()
    if 1e-280 < total < 1e280:
        assert math.isclose(float(loss.log_total(q)), math.log(total), rel_tol=1e-12, abs_tol=1e-12)


def test_log_total_of_vanishing_losses():
    assert get_loss("square").log_total(np.ones(3)) == -np.inf
    assert float(get_loss("exponential").log_total(np.full(4, 1e5))) == pytest.approx(
        -1e5 + math.log(4), rel=1e-15
    )
    assert (get_loss("square").relative_slope(np.ones((2, 3))) == 0).all()


@pytest.mark.parametrize("name", ["hinge", "", "Logistic"])
def test_unknown_loss_lists_the_names(name):
    with pytest.raises(InvalidInputError, match="'logistic', 'exponential', 'square'"):
        get_loss(name)
