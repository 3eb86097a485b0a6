"""Multipliers of the parts without a price, in the exact reading of the floats."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import convexrelu as cr
from convexrelu import losses
from convexrelu.certificates.equations import Equations, _reach, _sums
from convexrelu.certificates.weight_decay import weight_decay
from convexrelu.check_losses import cancelled

NOISES = [0.0, 1e-16, 3e-16, 1e-15, 1e-14, 1e-12, 1e-10]


def exact(values):
    return np.vectorize(Fraction, otypes=[object])(np.asarray(values, dtype=float))


def least_squares(A, r):
    """Half the least ||r - A c||^2, in rational numbers."""
    left, directions = r.copy(), []
    for a in A.T:
        for q in directions:
            a = a - (a @ q) / (q @ q) * q
        if any(a):
            directions.append(a)
            left = left - (left @ a) / (a @ a) * a
    return (left @ left) / 2


def nearly_dependent(rng, n, noise, *, copies=1):
    """Two columns, and sums of them that are sums but for rounding, or for noise."""
    base = rng.normal(size=(n, 2))
    sums = base @ rng.normal(size=(2, copies))
    return np.hstack([base, sums * (1 + noise * rng.normal(size=(n, copies)))])


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.sampled_from(NOISES), st.integers(1, 3), st.sampled_from([False, True]))
def test_no_bound_is_above_a_network_that_uses_what_rounding_left(seed, noise, copies, bias):
    """The linear part refitted in rational numbers, whose weights are 1e16 then."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3 + copies, 13))
    X, y = nearly_dependent(rng, n, noise, copies=copies), rng.normal(size=n)
    problem = {"loss": "squared", "beta": rng.uniform(0.05, 0.5), "skip": True, "output_bias": bias}
    solution = cr.solve(X, y, **problem)
    network = solution.network
    outputs = np.maximum(exact(X) @ exact(network.W1).T, 0) @ exact(network.W2)
    norms = [*exact(network.W1).ravel(), *exact(network.W2).ravel()]
    price = Fraction(problem["beta"]) * sum(v * v for v in norms) / 2
    A = np.hstack([X, np.ones((n, int(bias)))])
    refitted = least_squares(exact(A), exact(y) - outputs) + price
    assert Fraction(solution.lower_bound) <= refitted
    enclosure = solution.certificate.check(X, y, arithmetic="exact")
    assert solution.lower_bound <= enclosure.lower * (1 + Fraction(1, 10**9)) + Fraction(1, 10**12)
    for lam in (solution.lam, y - y.mean()):
        certificate = cr.certify(X, y, network, lam, improve=False, **problem)
        assert Fraction(certificate.lower_bound) <= refitted
        assert certificate.check(X, y)


@pytest.mark.parametrize("noise", [0.0, 1e-15, 1e-12])
def test_columns_that_are_independent_but_for_nothing_leave_no_bound(noise):
    """Six columns of rank two and rounding fit any six targets exactly: P* = 0."""
    rng = np.random.default_rng(0)
    X, y = nearly_dependent(rng, 6, noise, copies=4), rng.normal(size=6)
    assert least_squares(exact(X), exact(y)) == 0
    solution = cr.solve(X, y, loss="squared", beta=0.1, skip=True)
    assert solution.lower_bound == 0
    assert solution.certificate.check(X, y)
    # and what is believed of floats is refused
    lam = weight_decay(X, y, loss="squared", beta=0.1, skip=True).feasible(y)
    assert lam.any()
    assert cr.certify(X, y, solution.network, lam, loss="squared", beta=0.1, skip=True).lower_bound == 0


@pytest.mark.parametrize("loss", ["absolute", "huber", "logistic", "hinge", "squared_hinge", "exponential"])
@pytest.mark.parametrize("noise", [0.0, 1e-14])
def test_bounds_in_memory_are_those_of_rational_arithmetic(loss, noise):
    rng = np.random.default_rng(1)
    for n in (8, 14):
        X, y = nearly_dependent(rng, n, noise), rng.normal(size=n)
        y = np.sign(y) if losses.get_loss(loss).takes_labels else y
        certificate = cr.solve(X, y, loss=loss, beta=0.1, skip=True, output_bias=True).certificate
        lower = certificate.check(X, y, arithmetic="exact").lower
        assert certificate.lower_bound <= lower + Fraction(1, 10**9)
        assert certificate.check(X, y)


@pytest.mark.parametrize("loss", ["multi_squared", "softmax"])
def test_bounds_of_several_outputs_take_columns_as_they_are(loss):
    rng = np.random.default_rng(2)
    X = nearly_dependent(rng, 9, 1e-15, copies=2)
    Y = rng.normal(size=(9, 2)) if loss == "multi_squared" else np.arange(9) % 3
    solution = cr.solve(X, Y, loss=loss, beta=0.2, skip=True, tol=1e-3)
    assert solution.certificate.check(X, Y)
    problem = weight_decay(X, Y, loss=loss, beta=0.2, skip=True)
    moved, off = problem.equations.located(solution.lam, problem._room(solution.lam))
    sums = np.abs(exact(X).T @ exact(moved))
    assert (sums <= np.abs(exact(X)).T @ exact(off)).all()  # as far as rounding tells
    if loss == "multi_squared":
        network = solution.network
        outputs = np.maximum(exact(X) @ exact(network.W1).T, 0) @ exact(network.W2).T
        price = (
            Fraction(0.2) * sum(v * v for v in [*exact(network.W1).ravel(), *exact(network.W2).ravel()]) / 2
        )
        fits = [least_squares(exact(X), exact(Y[:, k]) - outputs[:, k]) for k in range(2)]
        assert Fraction(solution.lower_bound) <= sum(fits) + price


@pytest.mark.parametrize(
    "parts", [{"output_bias": True}, {"skip": True}, {"output_bias": True, "skip": True}]
)
@pytest.mark.parametrize("loss", ["squared", "logistic", "huber", "softmax", "multi_squared"])
def test_independent_columns_cost_the_bound_nothing(loss, parts):
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(60, 5)) * 10.0 ** np.arange(-2, 3), rng.normal(size=60)
    y = np.sign(y) if loss == "logistic" else np.arange(60) % 3 if loss == "softmax" else y
    y = np.column_stack([y, y[::-1]]) if loss == "multi_squared" else y
    problem = weight_decay(X, y, loss=loss, beta=1e9, **parts)
    assert problem.equations.plain
    lam = problem.feasible(problem.multipliers(0.1 * rng.normal(size=problem.y.shape)))
    assert lam.any()
    value = problem.dual_value(lam)
    assert value * (1 - 1e-12) <= problem.proven_value(lam, 1.0) <= value


@pytest.mark.parametrize("kind", ["one hot", "repeated", "difference", "zero", "constant"])
def test_columns_that_depend_to_the_last_bit_ask_for_nothing(kind):
    rng = np.random.default_rng(4)
    X, y = np.round(64 * rng.normal(size=(30, 3))) / 64, rng.normal(size=30)
    own = {
        "one hot": np.eye(3)[np.arange(30) % 3],
        "repeated": 3.0 * X[:, :1],
        "difference": X[:, :1] - X[:, 1:2],
        "zero": np.zeros((30, 1)),
        "constant": np.full((30, 1), 0.1),
    }[kind]
    X = np.hstack([X, own])
    problem = {"loss": "squared", "beta": 0.5, "skip": True, "output_bias": True}
    equations = weight_decay(X, y, **problem).equations
    assert equations.plain
    assert equations.basis.shape[1] == np.linalg.matrix_rank(np.hstack([X, np.ones((30, 1))]))
    solution = cr.solve(X, y, **problem)
    assert solution.gap < 1e-6
    enclosure = solution.certificate.check(X, y, arithmetic="exact")
    assert float(enclosure.lower) == pytest.approx(solution.lower_bound, rel=1e-9)


def test_where_each_sample_has_an_output_without_room_all_are_moved():
    X = np.column_stack([np.ones(4), np.arange(4.0)])
    lam = np.array([[1.0, 0.0], [0.0, -1.0], [-2.0, 0.0], [0.0, 2.0]])
    moved, off = Equations(X).located(lam, np.abs(lam))
    assert (np.abs(exact(X).T @ exact(moved)) <= np.abs(exact(X)).T @ exact(off)).all()
    assert np.linalg.norm(moved) > 1
    assert np.allclose(moved, lam - X @ np.linalg.lstsq(X, lam, rcond=None)[0])


@given(st.integers(0, 10**6), st.integers(1, 4), st.floats(0, 9))
def test_the_move_of_multipliers_is_bounded(seed, q, decades):
    rng = np.random.default_rng(seed)
    B = rng.normal(size=(12, q)) * 10.0 ** (-decades * rng.random(q))
    B[:, 0] += B.sum(axis=1)
    lam = rng.normal(size=12)
    lam -= B @ np.linalg.lstsq(B, lam, rcond=None)[0]
    room = rng.random(12)
    off = _reach(B, np.array([_sums(B, lam)]).T, room)[:, 0]
    found = cancelled([Fraction(v) for v in lam.tolist()], room, B)
    assert found is not None
    moves = [abs(float(after - Fraction(before))) for after, before in zip(found, lam.tolist(), strict=True)]
    assert (moves <= off * (1 + 1e-6)).all()
    assert off.max() < 1e-2


def test_where_rounding_leaves_no_bound_there_is_none():
    X = np.column_stack([np.ones(4), np.ones(4) + 1e-15 * np.arange(4)])
    r = np.ones((2, 1))
    assert np.isinf(_reach(X, r, np.ones(4))).all()
    assert np.isinf(_reach(X[:, :1], r[:1], np.zeros(4))).all()
    assert np.isfinite(_reach(X[:, :1], r[:1], np.ones(4))).all()


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=8), st.integers(0, 10**6))
def test_sums_are_right_to_one_rounding(lam, seed):
    B = np.random.default_rng(seed).normal(size=(len(lam), 2))
    lam = np.array(lam)
    wanted = exact(B).T @ exact(lam)
    assert _sums(B, lam) == pytest.approx([float(v) for v in wanted], rel=1e-15, abs=1e-290)


def test_a_column_is_reduced_to_what_rounding_left_of_it():
    rng = np.random.default_rng(5)
    X = nearly_dependent(rng, 8, 0.0)
    equations = Equations(X)
    assert not equations.plain
    rest = equations.basis[:, -1]
    assert abs(rest).max() == 1
    products = exact(X[:, :2]).T @ exact(rest)
    assert all(abs(value) < 1e-15 for value in products)
    # the same space: nothing of the third column is beyond the basis
    assert least_squares(exact(equations.basis), exact(X[:, 2])) < Fraction(1, 10**60)


def test_the_objective_allows_for_outputs_that_cancel():
    """Weights of 1e16 on columns that are equal but for rounding."""
    rng = np.random.default_rng(6)
    x = rng.normal(size=10)
    X = np.column_stack([x, x * (1 + 1e-15)])
    y = rng.normal(size=10)
    for scale in (1e3, 1e8, 1e15):
        skip = scale * np.array([1.0, -1.0])
        network = cr.ReLUNetwork(rng.normal(size=(2, 2)), rng.normal(size=2), skip=skip, output_bias=0.3)
        problem = weight_decay(X, y, loss="absolute", beta=0.1, skip=True, output_bias=True)
        outputs = np.maximum(exact(X) @ exact(network.W1).T, 0) @ exact(network.W2)
        outputs = outputs + exact(X) @ exact(skip) + Fraction(0.3)
        loss = sum(abs(a - b) for a, b in zip(exact(y), outputs, strict=True))
        assert Fraction(problem.objective(network)) >= loss + Fraction(0.1) * Fraction(
            network.group_norm()
        ) * (1 - Fraction(1, 10**12))


@pytest.mark.parametrize("power", [-900, -200, 300, 900])
def test_the_unit_of_a_column_does_not_matter(power):
    rng = np.random.default_rng(7)
    A = rng.normal(size=(9, 3))
    lam = rng.normal(size=9)
    lam -= A @ np.linalg.lstsq(A, lam, rcond=None)[0]
    scaled = np.ldexp(A, [power, 0, -power // 2])
    for room in (np.abs(lam), 0.5 * np.abs(lam)):
        wanted, found = Equations(A).located(lam, room), Equations(scaled).located(lam, room)
        assert np.array_equal(found[0], wanted[0])
        assert found[1] == pytest.approx(wanted[1], rel=1e-9)


def test_where_one_sum_vanishes_the_others_count():
    """Of two orthogonal columns the first sums to zero to the last bit, the second to rounding alone."""
    A = np.array([[1.0, 0.1], [1.0, 0.1], [0.0, 0.3], [0.0, 0.7]])
    lam = np.array([1.0, -1.0, 0.1, -0.03 / 0.7])
    sums = exact(A).T @ exact(lam)
    assert sums[0] == 0
    assert 0 != abs(sums[1]) < 1e-16
    moved, off = Equations(A).located(lam, np.abs(lam))
    assert off.any()
    assert (np.abs(exact(A).T @ exact(moved)) <= np.abs(exact(A)).T @ exact(off)).all()


def test_samples_of_zeros_leave_what_rounding_left_to_the_others():
    """Nothing is left of a column in a sample of zeros; it depends on others but for rounding."""
    X = nearly_dependent(np.random.default_rng(8), 8, 0.0)
    X[3] = 0.0
    equations = Equations(X)
    assert not equations.plain
    assert equations.basis.shape == (8, 3)
    assert equations.basis[3].tolist() == [0, 0, 0]


def test_the_move_is_bounded_where_rounding_spoils_orthonormal_columns():
    """Columns equal but for 1e-14, so that M^T M is off the unit matrix by a tenth and more."""
    spoiled = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        b = rng.normal(size=40)
        B = np.column_stack([b, b + 10.0 ** -rng.uniform(13.5, 15.5) * rng.normal(size=40)])
        r = 1e-17 * rng.normal(size=(2, 1))
        room = rng.random(40)
        off = _reach(B, r, room)[:, 0]
        if np.isinf(off).any():
            continue
        spoiled += 1
        # the least move to the sums r, in rational numbers: room (B u), B^T (room B) u = r
        weighted = exact(room)[:, None] * exact(B)
        (p, q), (_, t) = exact(B).T @ weighted
        u = np.array(
            [t * Fraction(r[0, 0]) - q * Fraction(r[1, 0]), p * Fraction(r[1, 0]) - q * Fraction(r[0, 0])]
        )
        moves = np.abs((weighted @ u / (p * t - q * q)).astype(float))
        assert (moves <= off * (1 + 1e-9)).all()
    assert spoiled >= 10
