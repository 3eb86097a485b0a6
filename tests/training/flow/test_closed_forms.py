"""The flow against solutions worked out by hand; times are true times throughout."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expi
from tolerances import FLOW

from convexrelu.networks import TwoLayerReLU
from convexrelu.training import gradient_flow


def positive_neuron(w1):
    return TwoLayerReLU([w1], [np.linalg.norm(w1)])


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_tanh_law_while_the_pattern_lasts(sign):
    # docs/theory.md section 6: c = cos(w1, s g), lam = y/2, obeys c' = ||g|| (1 - c^2), for m neurons at once
    rng = np.random.default_rng(0)
    X, y = np.abs(rng.normal(size=(6, 3))) + 0.1, np.full(6, sign)
    W1 = 1e-10 * (np.abs(rng.normal(size=(5, 3))) + 0.1)
    path = gradient_flow(X, y, TwoLayerReLU(W1, sign * np.linalg.norm(W1, axis=1)), t_max=1.5)
    g = X.T @ np.ones(6) / 2
    cosine = path.directions @ g / np.linalg.norm(g)
    law = np.tanh(np.linalg.norm(g) * path.times[:, None] + np.arctanh(cosine[0]))
    assert not path.events
    np.testing.assert_allclose(cosine, law, atol=1e-9)


def test_orthogonal_rows_decouple():
    # a neuron along each row: u_n = y_n f(x_n) obeys u' = 2 l_n u / (1 + e^u), so log u + Ei(u) = 2 l_n t + c
    lengths, signs = np.array([0.5, 1.0, 3.0]), np.array([1.0, -1.0, 1.0])
    sizes = np.array([0.1, 0.3, 0.01])
    path = gradient_flow(np.diag(lengths), signs, TwoLayerReLU(np.diag(sizes), signs * sizes), t_max=1e3)
    u = path.margins
    clock = np.log(u) + expi(u)
    for n, length in enumerate(lengths):
        np.testing.assert_allclose(clock[:, n] - clock[0, n], 2 * length * path.times, rtol=FLOW, atol=FLOW)


def test_inactive_rows_of_orthogonal_data_stay_inactive():
    # x_n^T w1 changes only by w2 lam_n ||x_n||^2 while row n is active: the reason for the counterexample to
    # WP's Theorem 2 in docs/theory.md section 6
    rng = np.random.default_rng(4)
    X, W1 = np.diag([1.0, 2.0, 0.5, 1.5]), 0.3 * rng.normal(size=(6, 4))
    path = gradient_flow(
        X,
        [1, -1, 1, -1],
        TwoLayerReLU(W1, np.linalg.norm(W1, axis=1) * np.where(W1[:, 0] > 0, 1, -1)),
        t_max=50.0,
    )
    off = W1 < 0
    np.testing.assert_allclose(path.W1[-1][off], W1[off], rtol=1e-9)
    assert all(event.kind == "off" for event in path.events)


@pytest.mark.parametrize("length", [0.25, 1.0, 4.0])
def test_square_loss_grows_logistically(length):
    # p = w^2 obeys p' = 2 a p (1 - a p): the two-layer analogue of KH-beyond, Example 1
    path = gradient_flow(
        [[length, 0.0]], [1], positive_neuron([0.01, 0.0]), t_max=30.0 / length, loss="square"
    )
    start = length * 1e-4
    law = 1 / (1 + (1 / start - 1) * np.exp(-2 * length * path.times))
    np.testing.assert_allclose(path.margins[:, 0], law, rtol=FLOW)


def test_square_loss_on_orthogonal_rows_of_different_lengths():
    lengths, sizes = np.array([0.5, 2.0, 1.0]), np.array([0.02, 0.1, 1.8])
    signs = np.array([1.0, 1.0, -1.0])
    path = gradient_flow(
        np.diag(lengths), signs, TwoLayerReLU(np.diag(sizes), signs * sizes), t_max=12.0, loss="square"
    )
    start = lengths * sizes**2
    law = 1 / (1 + (1 / start - 1) * np.exp(-2 * lengths * path.times[:, None]))
    np.testing.assert_allclose(path.margins, law, rtol=FLOW)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_exponential_loss_in_closed_form(sign):
    # u = a w^2 obeys u' = 2 a u e^{-u}, hence Ei(u) = 2 a t + c
    path = gradient_flow(
        [[2.0, 0.0]], [sign], TwoLayerReLU([[0.1, 0.0]], [0.1 * sign]), t_max=1e6, loss="exponential"
    )
    clock = expi(path.margins[:, 0])
    np.testing.assert_allclose(clock - clock[0], 4 * path.times, rtol=FLOW, atol=FLOW)


# Sliding by hand. Rows x_1 and x_3 of label +, row x_2 = (0, c) of label -; a positive balanced neuron on the
# hyperplane of x_2 is (x, 0) with w2 = x. There q_2 = 0, so lam_2 = -1/2, and with the others' upward pull N
# the velocity across is x (N - t c / 2): below the hyperplane (t = 0) upwards, above it (t = 1) downwards as
# long as 0 < N < c / 2, so it slides with the multiplier t = 2 N / c. Along it u = x^2 obeys u' = 2 u times
# the others' pull along the first axis.


def test_sliding_in_until_the_multiplier_is_0():
    # N = 1.5/(1 + e^{2u}) - 1/(1 + e^u) vanishes where z = e^u solves z^2 - 1.5 z - 0.5 = 0
    X, y = np.array([[2.0, 1.5], [0.0, 1.0], [1.0, -1.0]]), np.array([1.0, -1.0, 1.0])
    path = gradient_flow(X, y, positive_neuron([0.3, 0.0]), t_max=3.0)
    u = np.log((1.5 + np.sqrt(4.25)) / 2)
    moment, _ = quad(
        lambda u: 0.5 / u / (2 / (1 + np.exp(2 * u)) + 1 / (1 + np.exp(u))), 0.09, u, epsabs=1e-13
    )
    event = path.events[0]
    assert (event.row, event.before, event.kind) == (1, "slide", "off")
    assert event.time == pytest.approx(moment, abs=FLOW)
    assert (path.W1[path.times < moment, 0, 1] == 0).all()
    assert (path.W1[path.times > moment + 1e-3, 0, 1] < 0).all()


def test_sliding_until_the_multiplier_is_1():
    # N = 1/(1 + e^u) - 0.9/(1 + e^{2u}) rises from 0.05 to c / 2 = 0.1, where z = e^u
    # solves z^2 - 9 z + 10 = 0
    X, y = np.array([[1.0, 1.0], [0.0, 0.2], [2.0, -0.9]]), np.array([1.0, -1.0, 1.0])
    path = gradient_flow(X, y, positive_neuron([0.1, 0.0]), t_max=3.0)
    z = (9 - np.sqrt(41)) / 2
    moment, _ = quad(
        lambda u: 0.5 / u / (1 / (1 + np.exp(u)) + 2 / (1 + np.exp(2 * u))), 0.01, np.log(z), epsabs=1e-13
    )
    event = path.events[0]
    assert (event.row, event.before, event.kind) == (1, "slide", "on")
    assert event.time == pytest.approx(moment, abs=FLOW)


def test_sliding_along_dependent_hyperplanes():
    # three hyperplanes through the third axis have no unique multipliers; along it u' = 2 u / (1 + e^u)
    X = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.3, 0.2, 1.0]])
    path = gradient_flow(X, [-1, -1, -1, 1], positive_neuron([0.0, 0.0, 0.2]), t_max=50.0)
    assert np.abs(path.W1[:, 0, :2]).max() <= 1e-30
    u = path.margins[:, 3]
    clock = (np.log(u) + expi(u)) / 2
    np.testing.assert_allclose(clock - clock[0], path.times, rtol=FLOW, atol=FLOW)


def test_a_slide_ends_where_the_output_weight_changes_its_sign():
    # at tiny scale x' = b/2, b' = x/2 along the first axis: b = 0 at tanh(t/2) = 1/2, and there the
    # hyperplane of row 1 turns from attracting to repelling
    X, y, scale = np.array([[1.0, -0.2], [0.0, 1.0]]), np.ones(2), 1e-9
    path = gradient_flow(X, y, TwoLayerReLU([[scale, 0.0]], [-0.5 * scale]), t_max=2.0)
    event = path.events[0]
    assert (event.row, event.before, event.kind) == (1, "slide", "off")
    assert event.time == pytest.approx(2 * np.arctanh(0.5), abs=1e-9)


def test_a_hyperplane_left_and_met_again_within_one_step():
    # at tiny scale a'' = a/4: with a(0) = 1, w2(0) = -0.8 the least a is 0.6; the height a - h over a
    # hyperplane with h = 0.6 + 1e-6 is negative for |t - t*| < 2 arcosh(h / 0.6), about 0.007, while steps
    # are about 1. The second row is so short that it changes nothing.
    h, scale = 0.6 + 1e-6, 1e-9
    X = np.array([[1.0, 0.0], [1e-10, -1e-10 * h]])
    path = gradient_flow(X, [1, 1], TwoLayerReLU([[scale, scale]], [-0.8 * scale]), t_max=5.0, rtol=1e-9)
    middle, half = 2 * np.arctanh(0.8), 2 * np.arccosh(h / 0.6)
    assert [(event.row, event.before, event.kind) for event in path.events] == [
        (1, "on", "off"),
        (1, "off", "on"),
    ]
    np.testing.assert_allclose(
        [event.time for event in path.events], [middle - half, middle + half], atol=1e-6
    )


def test_times_beyond_floating_point():
    # log u + Ei(u) = 2 t + c, and Ei(u) = e^u/u (1 + 1/u + 2/u^2 + 6/u^3 + ...) at u = 1000
    path = gradient_flow([[1.0, 0.0]], [1], positive_neuron([0.1, 0.0]), log_t_max=1000.0)
    u = path.margin[-1]
    tail = np.log(1 + 1 / u + 2 / u**2 + 6 / u**3 + 24 / u**4)
    assert path.status == "finished"
    assert path.times[-1] == np.inf
    assert path.log_times[-1] == 1000.0
    assert u - np.log(2 * u) + tail == pytest.approx(1000.0, abs=1e-6)
    finite = np.isfinite(path.times) & (path.times > 0)
    np.testing.assert_allclose(np.log(path.times[finite]), path.log_times[finite], atol=1e-12)
    assert "log t = 1000" in str(path)
