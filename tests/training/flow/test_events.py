import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import DOP853
from scipy.special import comb

from convexrelu.losses import get_loss
from convexrelu.networks import TwoLayerReLU
from convexrelu.training import gradient_descent, gradient_flow
from convexrelu.training.flow.events import first_below
from convexrelu.training.flow.field import Field
from convexrelu.training.flow.step import STAGES, estimate_error, fill_polynomial, fill_stages


def random_problem(seed, n=15, d=3, m=5, scale=0.1, *, balanced=True):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(n, d)), np.where(rng.random(n) < 0.5, 1.0, -1.0)
    W1 = scale * rng.normal(size=(m, d))
    w2 = np.linalg.norm(W1, axis=1) * np.where(np.arange(m) % 2, -1.0, 1.0)
    return X, y, TwoLayerReLU(W1, w2 if balanced else scale * rng.normal(size=m))


def imbalance(path):
    return np.square(path.W1).sum(axis=2) - np.square(path.w2)


def bernstein(roots, shift):
    """Bernstein coefficients of prod (x - root) + shift, of degree 7."""
    power = np.zeros(8)
    power[: len(roots) + 1] = np.poly(roots)[::-1]
    power[0] += shift
    return np.array([sum(comb(j, k) / comb(7, k) * power[k] for k in range(j + 1)) for j in range(8)])


@given(st.lists(st.integers(-16, 48), min_size=1, max_size=7, unique=True))
@settings(max_examples=100, deadline=None)
def test_first_root_is_the_first_of_all_roots(numerators):
    # roots at (k + 1/2)/32, distinct; the polynomial is turned so that it starts positive
    roots = (np.array(numerators) + 0.5) / 32
    c = bernstein(roots, 0.0)
    inside = np.sort(roots[(roots > 0) & (roots < 1)])
    found = first_below(c * np.sign(c[0]), 0.0)
    assert found == (pytest.approx(inside[0], abs=1e-6) if len(inside) else 2.0)


@pytest.mark.parametrize(("depth", "is_seen"), [(1e-9, True), (-1e-9, False)])
def test_a_short_dip_is_seen_and_a_near_miss_is_not(depth, is_seen):
    # (x - 0.37)^2 - depth: below 0 on an interval of length 6e-5, or nowhere
    found = first_below(bernstein([0.37, 0.37], -depth), 0.0)
    assert (found == pytest.approx(0.37 - np.sqrt(1e-9), abs=1e-9)) if is_seen else found == 2.0


@pytest.mark.parametrize("form", ["polar", "cartesian"])
def test_a_step_and_its_interpolant_are_scipys(form):
    # an independent implementation of the same method, from the same state
    X, y, start = random_problem(3)
    field = Field.of(X, y, get_loss("logistic"), start.W1, start.w2, polar=form == "polar")
    state = field.start(start.W1, start.w2)
    mode = field.mode_of(field.initial_sides(state), ())
    solver = DOP853(
        lambda _, s: field.velocity(s, mode), 0.0, state, 1.0, first_step=0.02, rtol=1e-6, atol=1e-6
    )
    solver.step()
    h = solver.t
    K, end, point = np.empty((STAGES + 4, len(state))), np.empty(len(state)), np.empty(len(state))
    fill_stages(field.problem, mode, state, h, 0, STAGES, K, end)
    fill_stages(field.problem, mode, state, h, STAGES + 1, STAGES + 3, K, point)
    coefficients = np.empty((len(state), 8))
    fill_polynomial(state, end, h, K, coefficients)
    np.testing.assert_allclose(end, solver.y, atol=1e-14)
    dense = solver.dense_output()
    j = np.arange(8)
    for x in np.linspace(0, 1, 9):
        here = coefficients @ (comb(7, j) * x**j * (1 - x) ** (7 - j))
        np.testing.assert_allclose(here, dense(x * h), atol=1e-14)
    assert 0 < estimate_error(X.shape[1], state, end, h, K, 1e-6) < 1


def test_event_times_do_not_depend_on_the_tolerance():
    # to 1e-8, on problems with crossings, slides and leaves
    kinds = set()
    for seed in range(8):
        X, y, start = random_problem(seed)
        coarse, fine = (gradient_flow(X, y, start, t_max=2.0, rtol=rtol) for rtol in (1e-10, 1e-13))
        same = [[(e.neuron, e.row, e.before, e.kind) for e in path.events] for path in (coarse, fine)]
        assert same[0] == same[1]
        np.testing.assert_allclose(
            [e.time for e in coarse.events], [e.time for e in fine.events], rtol=0, atol=1e-8
        )
        kinds |= {(e.before, e.kind) for e in fine.events}
    assert kinds == {
        ("on", "off"),
        ("off", "on"),
        ("on", "slide"),
        ("off", "slide"),
        ("slide", "off"),
        ("slide", "on"),
    }


def test_long_steps_miss_no_event():
    # a tolerance of 1e-5 makes steps several times longer; the order of events is the same
    for seed in range(8):
        X, y, start = random_problem(seed, n=10, m=3)
        coarse, fine = (gradient_flow(X, y, start, t_max=2.0, rtol=rtol) for rtol in (1e-5, 1e-12))
        kept = [
            [[(e.row, e.kind) for e in path.events if e.neuron == i] for i in range(3)]
            for path in (coarse, fine)
        ]
        assert kept[0] == kept[1]


def test_events_tell_what_was_before():
    X, y, start = random_problem(1)
    path = gradient_flow(X, y, start, t_max=3.0)
    known = {(i, n): "on" if start.W1[i] @ X[n] > 0 else "off" for i in range(5) for n in range(15)}
    for event in path.events:
        assert known[event.neuron, event.row] == event.before
        known[event.neuron, event.row] = event.kind
        assert event.log_time == pytest.approx(np.log(event.time), abs=1e-9)
    for (i, n), state in known.items():
        height = path.W1[-1, i] @ X[n] / np.linalg.norm(path.W1[-1, i])
        assert (abs(height) < 1e-12) if state == "slide" else (height > 0) == (state == "on")
    assert "->" in str(path.events[0])


@pytest.mark.parametrize("loss", ["logistic", "exponential", "square"])
@pytest.mark.parametrize("balanced", [True, False])
def test_both_forms_agree(loss, balanced):
    X, y, start = random_problem(2, scale=0.3, balanced=balanced)
    polar, cartesian = (
        gradient_flow(X, y, start, t_max=1.5, loss=loss, form=form, rtol=1e-11)
        for form in ("polar", "cartesian")
    )
    np.testing.assert_allclose(cartesian.W1[-1], polar.W1[-1], atol=1e-8)
    np.testing.assert_allclose(cartesian.w2[-1], polar.w2[-1], atol=1e-8)
    np.testing.assert_allclose(
        [e.time for e in cartesian.events], [e.time for e in polar.events], rtol=0, atol=1e-8
    )
    # Lemma 1, which the Cartesian form does not enforce
    np.testing.assert_allclose(
        imbalance(cartesian), np.broadcast_to(imbalance(polar)[0], (len(cartesian), 5)), atol=1e-8
    )


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_balance_is_conserved_to_1e_9(seed):
    # WP Lemma 1, relative to the squared size of all weights, over whole runs in all three losses
    rng = np.random.default_rng(seed)
    X, y, start = random_problem(
        seed,
        n=int(rng.integers(1, 12)),
        d=int(rng.integers(1, 4)),
        m=int(rng.integers(1, 5)),
        scale=10 ** rng.uniform(-4, 0),
        balanced=bool(rng.random() < 0.5),
    )
    loss = ["logistic", "exponential", "square"][int(rng.integers(3))]
    path = gradient_flow(X, y, start, t_max=5.0, loss=loss, time_limit=20.0)
    size = np.square(path.W1).sum(axis=(1, 2)) + np.square(path.w2).sum(axis=1)
    assert (np.abs(imbalance(path) - imbalance(path)[0]) <= 1e-9 * size[:, None]).all()


def test_the_direction_converges_out_to_e_to_the_1000():
    # two orthogonally separable classes: the objective tends to P* = 1/gamma_+ + 1/gamma_- (docs/theory.md
    # section 4) and its excess falls like 1 / ||theta||^2, hence like 1 / log t
    X, y = np.array([[1.0, 0.2], [0.8, 0.5], [-0.3, -1.0], [-1.0, -0.4]]), np.array([1.0, 1.0, -1.0, -1.0])
    W1 = 1e-2 * np.array([[1.0, 0.3], [0.2, 1.0], [-1.0, -0.2], [-0.1, -1.0]])
    start = TwoLayerReLU(W1, np.linalg.norm(W1, axis=1) * np.array([1, 1, -1, -1]))
    path = gradient_flow(X, y, start, log_t_max=1000.0)
    assert path.status == "finished"
    assert path.log_times[-1] == 1000.0
    assert path.margin[-1] == pytest.approx(1000.0, rel=0.02)
    late = path.log_times > 10
    assert (np.diff(path.objective[late]) <= 1e-12).all()
    bound = path.bound_at(-1)
    excess = path.objective - bound
    tenth = int(np.searchsorted(path.log_times, 100.0))
    assert excess[-1] <= 2e-3 * bound
    assert excess[-1] < 0.2 * excess[tenth]
    size = np.square(path.W1).sum(axis=(1, 2)) + np.square(path.w2).sum(axis=1)
    assert (np.abs(imbalance(path) - imbalance(path)[0]) <= 1e-9 * size[:, None]).all()


ONLY_CROSSINGS = [(4, 5, 4), (5, 5, 4), (0, 6, 2), (3, 6, 2), (6, 6, 2)]
"""Seed, samples and neurons of problems on which no neuron slides."""

WITH_SLIDES = [(seed, 15, 5) for seed in range(8)]


@pytest.mark.parametrize(("problems", "slides"), [(ONLY_CROSSINGS, False), (WITH_SLIDES, True)])
def test_descent_tends_to_the_flow_at_first_order(problems, slides):
    # Euler's method on a smooth system converges at first order; crossings keep that, and on a slide descent
    # zigzags about the hyperplane in steps of that size. Where in the zigzag it ends is chance, so the slope
    # is fitted to the mean of log errors over the problems.
    counts = 2000 * 2 ** np.arange(6)
    errors = np.zeros((len(problems), len(counts)))
    for row, (seed, n, m) in zip(errors, problems, strict=True):
        X, y, start = random_problem(seed, n=n, m=m)
        end = gradient_flow(X, y, start, t_max=1.5)
        assert end.events
        assert any(event.kind == "slide" for event in end.events) == slides
        for k, count in enumerate(counts):
            path = gradient_descent(X, y, start, step_size=1.5 / count, n_steps=int(count))
            row[k] = np.abs(path.W1[-1] - end.W1[-1]).max() + np.abs(path.w2[-1] - end.w2[-1]).max()
    slope, _ = np.polyfit(-np.log(counts), np.log(errors).mean(axis=0), 1)
    assert 0.9 <= slope <= 1.1
