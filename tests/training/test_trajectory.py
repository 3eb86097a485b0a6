import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convexrelu.losses import get_loss
from convexrelu.networks import TwoLayerReLU
from convexrelu.training import Trajectory, gradient_descent

F1_X, F1_Y = np.array([[1.65, -0.47], [-0.47, 1.35]]), np.array([1.0, -1.0])
F1_OPTIMUM, F1_LAM = 1.282432, np.array([0.582875, -0.699557])


def still(X, y, W1, w2, loss="logistic"):
    return Trajectory(
        X=np.array(X, dtype=float),
        y=np.array(y, dtype=float),
        times=np.zeros(1),
        W1=np.array([W1], dtype=float),
        w2=np.array([w2], dtype=float),
        rule=get_loss(loss),
        status="finished",
        kind="flow",
        events=(),
    )


@pytest.fixture(scope="module")
def run():
    start = TwoLayerReLU([[0.02, 0.01], [0.01, 0.02], [-0.01, -0.01]], [0.02, -0.02, 0.01])
    return gradient_descent(F1_X, F1_Y, start, step_size=0.3, n_steps=5000, normalized=True, record=20)


def test_bounds_bracket_the_optimum_at_every_point(run):
    assert (run.lower_bound <= F1_OPTIMUM + 1e-6).all()
    assert (run.objective >= F1_OPTIMUM - 1e-6).all()
    fits = np.isfinite(run.objective)
    assert fits[-1]
    np.testing.assert_allclose(run.gap[fits], 1 - run.lower_bound[fits] / run.objective[fits], atol=1e-14)
    assert (run.gap[~fits] == np.inf).all()
    assert run.gap_at(-1) == run.gap[-1]
    assert run.gap[-1] <= 5e-3


def test_loss_weights_tend_to_the_dual_optimum_of_wp_f1(run):
    np.testing.assert_allclose(run.relative_lam[-1] * np.abs(F1_LAM).sum(), F1_LAM, rtol=1e-2)


def test_quantities_agree_with_the_network(run):
    for index in (0, len(run) // 2, -1):
        network = run.network_at(index)
        q = F1_Y * network(F1_X)
        np.testing.assert_allclose(run.margins[index], q, rtol=1e-13)
        assert run.margin[index] == pytest.approx(network.margin(F1_X, F1_Y), rel=1e-13)
        assert run.loss[index] == pytest.approx(np.logaddexp(0, -q).sum(), rel=1e-12)
        np.testing.assert_allclose(run.lam[index], F1_Y / (1 + np.exp(q)), rtol=1e-12)
    np.testing.assert_allclose(np.exp(run.log_loss[:5]), run.loss[:5], rtol=1e-12)
    assert run.objective[-1] == pytest.approx(run.network_at().objective() / run.margin[-1], rel=1e-13)


def test_the_bound_needs_no_margin_to_fit_in_float64():
    # margins of 4000: every loss and loss weight is 0, while their proportions and the bound are not
    path = still(F1_X, F1_Y, [[50.0, 0.0], [0.0, 50.0]], [50.0, -50.0])
    assert path.loss[0] == 0
    assert (path.lam == 0).all()
    bound = path.bound_at()
    assert bound > 0
    assert bound <= F1_OPTIMUM


@given(st.integers(0, 10**6), st.sampled_from(["logistic", "exponential", "square"]))
@settings(max_examples=20, deadline=None)
def test_weak_duality_for_any_network_and_loss(seed, loss):
    # two networks bound each other: the lower bound of one never exceeds the objective of another that fits
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(4, 3))
    teacher = still(X, np.ones(4), rng.normal(size=(2, 3)), rng.normal(size=2))
    y = np.where(teacher.margins[0] >= 0, 1.0, -1.0)
    upper = still(X, y, teacher.W1[0], teacher.w2[0]).objective[0]
    lower = still(X, y, rng.normal(size=(3, 3)), rng.normal(size=3), loss).bound_at()
    assert 0 <= lower <= upper * (1 + 1e-9)


def test_square_weights_of_the_wrong_sign_do_not_enter_the_bound():
    path = still([[1.0], [3.0]], [1, 1], [[1.0]], [0.9], "square")
    assert path.relative_lam[0, 1] < 0
    assert path.bound_at() == pytest.approx(1.0, rel=1e-9)  # lam = (1, 0): h = 1; P* = 1 is the first row's
    assert still([[1.0]], [1], [[1.0]], [1.0], "square").bound_at() == 0


def test_alignment_is_the_cosine_of_wp_theorem_1_and_0_where_undefined():
    X, y = np.array([[1.0, 0.0], [1.0, 1.0]]), np.array([1.0, -1.0])
    path = still(X, y, [[1.0, 0.0], [0.0, 0.0], [-1.0, -1.0], [0.0, 2.0]], [-1.0, 1.0, 1.0, 1.0])
    # both rows active: X^T y = (0, -1), orthogonal to w1; none; none; second: (-1, -1), cosine -1/sqrt 2
    np.testing.assert_allclose(path.alignment[0], [0.0, 0.0, 0.0, -(0.5**0.5)], atol=1e-15)


def test_inactive_neurons_never_move():
    rng = np.random.default_rng(3)
    X, y = np.abs(rng.normal(size=(6, 2))), np.array([1.0, -1.0] * 3)
    start = TwoLayerReLU([[-1.0, -0.5], [0.3, 0.1], [0.0, 0.0]], [0.5, -0.3, 0.4])
    path = gradient_descent(X, y, start, step_size=0.1, n_steps=50)
    assert path.inactive.tolist() == [True, False, True]
    moved = (path.W1[0] != path.W1).any(axis=(0, 2)) | (path.w2 != path.w2[0]).any(axis=0)
    assert moved.tolist() == [False, True, False]


def test_printed_form_says_what_happened(run):
    assert "finished at step 5000" in str(run)
    assert "objective 1.28" in str(run)
    assert "not fitted" in str(still([[1.0]], [1], [[1.0]], [-1.0]))
