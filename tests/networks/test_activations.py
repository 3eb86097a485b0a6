from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tolerances import ROUNDING

from convexrelu import InvalidInputError
from convexrelu.networks import GELU, PowerLeakyReLU, SmoothedLeakyReLU, Tanh, homogeneous

ALPHAS = [-0.5, 0.0, 0.1, 1.0]
SMOOTH = np.array([-2.3, -1.0, -0.2, 0.3, 1.0, 1.7])  # away from the kink
STEP, DIFFERENCE = 1e-5, 1e-8  # central differences err by the square of the step, and by epsilon over it


@given(
    alpha=st.sampled_from(ALPHAS),
    power=st.integers(1, 3),
    c=st.floats(1e-3, 1e3),
    x=st.floats(-10, 10),
)
def test_it_is_homogeneous_of_its_power(alpha, power, c, x):
    s, point = PowerLeakyReLU(alpha, power), np.array([x])
    np.testing.assert_allclose(s(c * point), c**power * s(point), rtol=ROUNDING, atol=0)
    # Euler's identity, for s and for its derivative
    np.testing.assert_allclose(point * s.slope(point), power * s(point), rtol=ROUNDING, atol=1e-300)
    np.testing.assert_allclose(
        point * s.curvature(point), (power - 1) * s.slope(point), rtol=ROUNDING, atol=1e-300
    )


@pytest.mark.parametrize(
    "activation", [Tanh(), GELU(), *(PowerLeakyReLU(a, p) for a in ALPHAS for p in (1, 2, 3))], ids=repr
)
def test_slope_and_curvature_are_derivatives(activation):
    ahead, behind = SMOOTH + STEP, SMOOTH - STEP
    numeric = (activation(ahead) - activation(behind)) / (2 * STEP)
    np.testing.assert_allclose(activation.slope(SMOOTH), numeric, rtol=DIFFERENCE, atol=DIFFERENCE)
    numeric = (activation.slope(ahead) - activation.slope(behind)) / (2 * STEP)
    np.testing.assert_allclose(activation.curvature(SMOOTH), numeric, rtol=DIFFERENCE, atol=DIFFERENCE)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_values_are_those_of_the_definition(alpha):
    for power in (1, 2, 3):
        expected = [max(x, alpha * x) ** power for x in SMOOTH]
        np.testing.assert_allclose(PowerLeakyReLU(alpha, power)(SMOOTH), expected, rtol=ROUNDING)


def test_a_relu_at_zero_is_inactive():
    zero = np.zeros(1)
    assert PowerLeakyReLU(0.0).slope(zero) == 0
    assert PowerLeakyReLU(0.3).slope(zero) == 0.3
    assert PowerLeakyReLU(0.3, 2).slope(zero) == 0


def test_rounded_kinks_are_near_the_kinks():
    """0 <= s - max(x, alpha x) <= (1 - alpha) width/2, with equality at the kink."""
    t, alpha, width = np.linspace(-3, 3, 101), 0.3, 0.01
    excess = SmoothedLeakyReLU(alpha, width)(t) - PowerLeakyReLU(alpha)(t)
    most = (1 - alpha) / 2 * width
    assert excess.min() > 0
    assert excess.max() == pytest.approx(most, rel=1e-6)
    step = 1e-5
    smooth = SmoothedLeakyReLU(alpha, 0.5, shift=0.5)
    assert smooth(np.zeros(1)) == 0
    slope = (smooth(t + step) - smooth(t - step)) / (2 * step)
    curvature = (smooth.slope(t + step) - smooth.slope(t - step)) / (2 * step)
    np.testing.assert_allclose(smooth.slope(t), slope, atol=1e-9)
    np.testing.assert_allclose(smooth.curvature(t), curvature, atol=1e-8)


@pytest.mark.parametrize("arguments", [(1.5,), (np.nan,), (np.inf,), (0.0, 0), (0.0, -1)])
def test_impossible_parameters_are_refused(arguments):
    with pytest.raises(InvalidInputError):
        PowerLeakyReLU(*arguments)


@pytest.mark.parametrize("activation", [Tanh(), GELU()], ids=repr)
def test_only_power_leaky_relus_are_homogeneous(activation):
    with pytest.raises(InvalidInputError, match="homogeneous activation is needed"):
        homogeneous(activation)
    assert homogeneous(PowerLeakyReLU(0.1, 2)) == PowerLeakyReLU(0.1, 2)
