import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convexrelu.errors import InvalidInputError
from convexrelu.losses import _LOSSES, NO_LOOP, EpsilonInsensitive, Huber, Quantile, get_loss, stored_loss

TRAINED = [name for name, loss in _LOSSES.items() if loss.code != NO_LOOP]
OF_MARGINS = [name for name in TRAINED if name != "correlation"]
SCALAR = [
    *(loss for loss in _LOSSES.values() if not loss.vector),
    *(Huber(delta=0.4), Quantile(tau=0.8), EpsilonInsensitive(epsilon=0.7)),
]
VECTOR = [loss for loss in _LOSSES.values() if loss.vector]


def some_targets(loss, size, rng):
    """Targets that the loss takes, and among them the extreme ones."""
    if loss.takes_labels:
        return np.where(rng.random(size) < 0.5, 1.0, -1.0)
    if loss.name == "poisson":
        return np.r_[0.0, rng.poisson(2.0, size=size - 1)]
    return rng.normal(size=size)


EXTREMES = np.array([-1e300, -1e6, -800.0, -40.0, -1.0, 0.0, 1.0, 35.9, 36.1, 700.0, 1e6, 1e300])


@pytest.mark.parametrize("name", OF_MARGINS)
def test_slope_is_minus_the_derivative(name):
    loss, q, step = get_loss(name), np.linspace(-5, 5, 41), 1e-5
    difference = (loss.value(q - step) - loss.value(q + step)) / (2 * step)
    np.testing.assert_allclose(loss.slope(q), difference, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", sorted(TRAINED))
def test_slope_is_minus_the_derivative_in_the_output_for_any_target(name):
    rng, step = np.random.default_rng(0), 1e-5
    f, y = rng.normal(size=(2, 30)), rng.normal(size=30)
    loss = get_loss(name)
    y = np.sign(y) if loss.takes_labels else y
    difference = (loss.value(f - step, y) - loss.value(f + step, y)) / (2 * step)
    np.testing.assert_allclose(loss.slope(f, y), difference, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", sorted(TRAINED))
def test_with_labels_a_loss_is_that_of_the_margin(name):
    rng, loss = np.random.default_rng(1), get_loss(name)
    f, y = 10 * rng.normal(size=50), np.where(rng.random(50) < 0.5, 1.0, -1.0)
    assert np.array_equal(loss.value(f, y), loss.value(y * f))
    assert np.array_equal(loss.slope(f, y), y * loss.slope(y * f))


def test_every_loss_has_a_number_of_its_own():
    assert len({_LOSSES[name].code for name in TRAINED}) == len(TRAINED)


@pytest.mark.parametrize("name", OF_MARGINS)
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


@given(st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=6), st.sampled_from(OF_MARGINS))
def test_relative_slopes_sum_to_one_and_keep_proportions(margins, name):
    loss, q = get_loss(name), np.array(margins)
    weights = loss.relative_slope(q)
    assert np.isfinite(weights).all()
    assert math.isclose(np.abs(weights).sum(), 1.0, rel_tol=1e-12) or (q == 1.0).all()
    slopes = loss.slope(q)
    if np.isfinite(slopes).all() and 1e-250 < np.abs(slopes).sum() < 1e250:
        np.testing.assert_allclose(weights * np.abs(slopes).sum(), slopes, rtol=1e-9, atol=1e-300)


@given(st.lists(st.floats(-600, 600), min_size=1, max_size=6), st.sampled_from(OF_MARGINS))
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


@pytest.mark.parametrize("name", ["no such", "", "Logistic"])
def test_unknown_loss_lists_the_names(name):
    with pytest.raises(InvalidInputError, match="'logistic', 'exponential', 'square'"):
        get_loss(name)


@pytest.mark.parametrize("loss", SCALAR, ids=repr)
def test_the_slope_is_minus_the_derivative_where_there_is_one(loss):
    rng, step = np.random.default_rng(2), 1e-6
    y, f = some_targets(loss, 200, rng), 2 * rng.normal(size=200)
    left, right = loss.slope(f - step, y), loss.slope(f + step, y)
    difference = (loss.value(f - step, y) - loss.value(f + step, y)) / (2 * step)
    assert (difference >= np.minimum(left, right) - 1e-7).all()
    assert (difference <= np.maximum(left, right) + 1e-7).all()
    assert (np.abs(left - right) <= 1e-4 * np.exp(np.abs(f))).mean() > 0.9  # no loss has many kinks


@pytest.mark.parametrize("loss", SCALAR, ids=repr)
def test_the_curvature_is_the_derivative_of_the_slope_and_none_at_kinks(loss):
    rng, step = np.random.default_rng(3), 1e-6
    y, f = some_targets(loss, 200, rng), 2 * rng.normal(size=200)
    curvature = loss.curvature(f, y)
    if curvature is None:
        assert loss.bend == 0
        return
    difference = (loss.slope(f - step, y) - loss.slope(f + step, y)) / (2 * step)
    smooth = loss.curvature(f - step, y) == pytest.approx(loss.curvature(f + step, y), rel=1e-3, abs=1e-3)
    assert smooth or loss.name in ("huber", "squared_hinge")
    np.testing.assert_allclose(curvature, difference, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("loss", SCALAR, ids=repr)
def test_the_conjugate_is_the_supremum_and_finite_on_the_domain_alone(loss):
    rng = np.random.default_rng(4)
    y = some_targets(loss, 40, rng)
    low, high = loss.domain(y)
    inside = rng.uniform(np.maximum(low, -3.0), np.minimum(high, 3.0))
    outside = np.where(rng.random(40) < 0.5, low - 0.1, high + 0.1)
    grid, fine = np.linspace(-60.0, 60.0, 12_001)[:, None], np.linspace(-0.01, 0.01, 2001)[:, None]
    for v in (inside, np.where(np.isfinite(low), low, inside), np.where(np.isfinite(high), high, inside)):
        best = grid[(v * grid - loss.value(grid, y)).argmax(axis=0), 0]
        supremum = (v * (best + fine) - loss.value(best + fine, y)).max(axis=0)
        conjugate = loss.conjugate(v, y)
        assert np.isfinite(conjugate).all()
        assert (supremum <= conjugate + 1e-12 * (1 + np.abs(conjugate))).all()
        # a kink lies half a step from the grid at most
        np.testing.assert_allclose(supremum, conjugate, atol=2e-5)
    ends = np.isfinite(outside)
    assert np.isinf(loss.conjugate(np.where(ends, outside, inside), y)[ends]).all()


@pytest.mark.parametrize("loss", SCALAR, ids=repr)
def test_fenchel_young_holds_with_equality_at_the_derivative(loss):
    rng = np.random.default_rng(5)
    y, f = some_targets(loss, 100, rng), 3 * rng.normal(size=100)
    v = -loss.slope(f, y)
    low, high = loss.domain(y)
    assert ((v >= low) & (v <= high)).all()
    np.testing.assert_allclose(loss.value(f, y) + loss.conjugate(v, y), v * f, rtol=1e-11, atol=1e-12)
    others = 3 * rng.normal(size=(50, 100))
    assert (loss.value(others, y) + loss.conjugate(v, y) >= v * others - 1e-9).all()


@pytest.mark.parametrize("loss", VECTOR, ids=repr)
def test_losses_of_several_outputs_by_differences_and_fenchel_young(loss):
    rng, step = np.random.default_rng(6), 1e-6
    y = loss.targets(
        rng.integers(3, size=20) if loss.name == "softmax" else rng.normal(size=(20, 3)), length=20
    )
    f = 2 * rng.normal(size=y.shape)
    moves = step * np.eye(3)[:, None, :]
    slope = (loss.value(f - moves, y) - loss.value(f + moves, y)).T / (2 * step)
    np.testing.assert_allclose(loss.slope(f, y), slope, atol=1e-8)
    bend = np.moveaxis(loss.slope(f - moves, y) - loss.slope(f + moves, y), 0, -1) / (2 * step)
    np.testing.assert_allclose(loss.curvature(f, y), bend, atol=1e-8)
    v = -loss.slope(f, y)
    np.testing.assert_allclose(loss.value(f, y) + loss.conjugate(v, y), (v * f).sum(axis=-1), atol=1e-12)
    others = 3 * rng.normal(size=(50, *y.shape))
    assert (loss.value(others, y) + loss.conjugate(v, y) >= (v * others).sum(axis=-1) - 1e-9).all()
    if loss.name == "softmax":
        assert np.isinf(loss.conjugate(v + 0.1, y)).all()


@pytest.mark.parametrize("loss", [*SCALAR, *VECTOR], ids=repr)
def test_a_loss_is_found_by_its_name_and_parameters(loss):
    again = stored_loss(loss.name, loss.parameters)
    assert type(again) is type(loss)
    assert again.parameters == loss.parameters
    assert get_loss(loss) is loss


def test_parameters_and_targets_are_checked():
    for bad in (
        lambda: Huber(delta=0.0),
        lambda: Quantile(tau=1.0),
        lambda: EpsilonInsensitive(epsilon=-1.0),
    ):
        with pytest.raises(InvalidInputError, match=r"delta|tau|epsilon"):
            bad()
    with pytest.raises(InvalidInputError, match="at least 0"):
        get_loss("poisson").targets([1.0, -1.0], length=2)
    with pytest.raises(InvalidInputError, match="two classes"):
        get_loss("softmax").targets([1, 1], length=2)
    with pytest.raises(InvalidInputError, match="has the parameters"):
        stored_loss("huber", {"tau": 0.3})
    assert get_loss("squared") is get_loss("square")
    assert (get_loss("hinge").targets([3, 5], length=2) == [-1, 1]).all()


OUTPUTS, LABELS = np.array([0.7, -1.3, 2.1, 0.4, 0.9]), np.array([1.0, 1.0, -1.0, -1.0, 1.0])


@pytest.mark.parametrize("name", OF_MARGINS)
def test_descent_of_two_layers_weighs_samples_by_the_slope(name):
    from convexrelu.training.kernels.sample_weights import weigh

    loss, q, n = get_loss(name), OUTPUTS.copy(), len(LABELS)
    weights = np.empty(n)
    log_scale, log_loss = weigh(LABELS, n, q, loss.code, True, np.empty(n), weights)
    np.testing.assert_allclose(weights * math.exp(log_scale), loss.slope(OUTPUTS, LABELS), rtol=1e-12)
    assert math.exp(log_loss) == pytest.approx(loss.value(OUTPUTS, LABELS).sum(), rel=1e-12)


@pytest.mark.parametrize("name", sorted(TRAINED))
def test_descent_of_deep_networks_weighs_samples_by_the_slope(name):
    from convexrelu.training.kernels.feed_forward import _residuals

    loss, weights = get_loss(name), np.empty((1, len(LABELS)))
    total = _residuals(OUTPUTS[None, :], LABELS[None, :], loss.code, 1.0, weights)
    np.testing.assert_allclose(weights[0], loss.slope(OUTPUTS, LABELS), rtol=1e-12)
    assert total == pytest.approx(loss.value(OUTPUTS, LABELS).sum(), rel=1e-12)


@pytest.mark.parametrize("name", OF_MARGINS)
def test_the_flow_weighs_samples_by_the_slope(name):
    """One neuron e^r (v, b) in one dimension, v = b = 1 and r = 0, whose outputs are the inputs."""
    from convexrelu.training.flow.step import fill_weights

    loss, weights = get_loss(name), np.empty(len(LABELS))
    state = np.array([1.0, 1.0, 0.0, 0.0])
    log_pace = fill_weights(OUTPUTS[None, :], LABELS, np.ones((1, 5)), loss.code, state, weights)
    np.testing.assert_allclose(weights * math.exp(-log_pace), loss.slope(OUTPUTS, LABELS), rtol=1e-12)


def test_the_entropy_of_a_small_multiplier_keeps_its_digits():
    # a log a + (1 - a) log(1 - a) = a log a - a + a^2 / 2 + ...
    a = np.array([1e-8, 1e-12, 1e-20])
    expected = a * np.log(a) - a + a**2 / 2
    np.testing.assert_allclose(get_loss("logistic").conjugate(-a, np.ones(3)), expected, rtol=4e-16)
    ends = get_loss("logistic").conjugate(np.array([-1.1, 0.1, -1.0, 0.0]), np.ones(4))
    np.testing.assert_array_equal(ends, [np.inf, np.inf, 0.0, 0.0])
