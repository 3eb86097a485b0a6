"""Rank-one KKT points (K-deep Theorems 3, 4): construction, conditions, second-order sign, tables."""

from __future__ import annotations

import numpy as np
import pytest
from tolerances import ROUNDING

from convexrelu import FeedForward, InvalidInputError, PowerLeakyReLU, ncf_stationarity, rank_one_kkt_point
from convexrelu.ncf import check_rank_one
from convexrelu.ncf.rank_one import kappa

RESIDUAL = 1e-10
"""Polished points end at rounding, 1e-14; with ties in several layers, the gates end at 1e-13."""


def sphere_data(n=30, d=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    return X / np.linalg.norm(X, axis=1, keepdims=True), rng.normal(size=n)


@pytest.mark.parametrize("alpha", [-0.5, 0.0, 0.1, 1.0])
@pytest.mark.parametrize("power", [1, 2, 3])
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_the_construction_is_a_kkt_point(alpha, power, depth):
    """Theorems 3 and 4, both signs; and which sparsity is a strict maximum."""
    X, z = sphere_data(seed=depth)
    s, widths = PowerLeakyReLU(alpha, power), (4, *(3,) * (depth - 1), 1)
    for sign, n_active in ((1, 1), (-1, 2)):
        network = rank_one_kkt_point(X, z, widths=widths, activation=s, sign=sign, n_active=n_active, rng=0)
        report = check_rank_one(network, X, z)
        assert report.holds
        assert report.n_active == (n_active,) * (depth - 1)
        assert report.value > 0
        assert max(report.stationarity, report.direction, report.balance) <= RESIDUAL
        assert np.sign(network.weights[-1]).sum() == sign * n_active
        relative = report.second_order / report.value
        if power > 1:
            assert relative > 1e-3 if n_active == 1 else relative < -1e-3
        elif n_active == 2 or alpha == 1.0:  # weight moves between neurons at no cost
            assert abs(relative) <= 1e-9
        else:
            assert relative > 1e-3


@pytest.mark.parametrize(("power", "n_active"), [(2, 2), (3, 2), (2, 3)])
def test_delta_of_a_saddle_in_closed_form(power, n_active):
    """Doubled neurons, two layers: weight that moves between them has Delta = -(p^2 - 1) N."""
    X, z = sphere_data()
    network = rank_one_kkt_point(
        X, z, widths=(4, 3, 1), activation=PowerLeakyReLU(0.0, power), n_active=n_active, rng=0
    )
    report = check_rank_one(network, X, z)
    assert report.second_order == pytest.approx(-(power**2 - 1) * report.value, rel=1e-9)


def test_each_condition_is_noticed_when_broken():
    X, z = sphere_data()
    s = PowerLeakyReLU(0.1, 2)
    network = rank_one_kkt_point(X, z, widths=(4, 3, 3, 1), activation=s, n_active=2, rng=0)
    rng = np.random.default_rng(0)
    W1, W2, W3 = network.weights

    def report(*layers):
        return check_rank_one(FeedForward(layers, s), X, z)

    assert report(W1 + 0.1 * rng.normal(size=W1.shape), W2, W3).kappa > 1e-4
    assert report(2 * W1, W2, W3).norms > 1e-2
    assert report(2 * W1, W2, W3).balance > 1e-2
    unequal = np.diag([2.0, 1.0, 1.0])
    assert report(unequal @ W1, W2, W3).entries > 0.1
    assert report(unequal @ W1, W2, W3).alignment > 0.1
    assert report(np.diag([-1.0, 1.0, 1.0]) @ W1, W2, W3).rho > 0.1
    turned = W1 @ np.linalg.qr(rng.normal(size=(4, 4)))[0]
    assert report(turned, W2, W3).direction > 1e-3
    assert not any(r.holds for r in (report(2 * W1, W2, W3), report(turned, W2, W3)))
    assert "do not all hold" in str(report(turned, W2, W3))
    assert str(report(W1, W2, W3)).startswith("the conditions of K-deep Theorems 3 and 4 hold")


def test_kappa_resolves_what_a_difference_from_one_cannot():
    """kappa = 1 - 1/sqrt(1 + q) ~ q/2: at q = 1e-20 the difference itself is rounded to 0."""
    assert kappa([np.diag([1.0, 1e-10])]) == pytest.approx(5e-21, rel=1e-9)
    assert kappa([np.eye(2)]) == pytest.approx(1 - 1 / np.sqrt(2), rel=ROUNDING)
    assert kappa([np.zeros((2, 2)), np.outer([1.0, 2.0], [3.0, 4.0])]) <= ROUNDING**2


def test_free_entries_for_power_one():
    """Theorem 3: any non-negative a_l = b_{l+1} will do, entries of different sizes as well."""
    X, z = sphere_data()
    s = PowerLeakyReLU(0.0)
    network = rank_one_kkt_point(X, z, widths=(4, 3, 3, 1), activation=s, rng=0)
    e, f = np.array([0.6, 0.8, 0.0]), np.array([2.0, 1.0, 2.0]) / 3
    u = network.weights[0][0] * np.sqrt(3)
    mixed = FeedForward([np.outer(e, u) / 3**0.5, np.outer(f, e) / 3**0.5, f[None] / 3**0.5], s)
    report = check_rank_one(mixed, X, z)
    assert report.holds
    assert report.n_active == (2, 3)
    assert report.stationarity <= RESIDUAL


def test_many_samples_are_resolved_to_the_last_digit():
    X, z = sphere_data(n=2500)
    network = rank_one_kkt_point(X, z, widths=(4, 3, 1), activation=PowerLeakyReLU(0.1), rng=0)
    assert ncf_stationarity(network, X, z) <= RESIDUAL


@pytest.mark.parametrize("power", [1, 2])
def test_one_sign_only_gives_the_other_sign_of_n(power):
    """With z > 0 and ReLU no direction is negative: q = -1 gives a KKT point with N < 0."""
    X, z = sphere_data()
    s = PowerLeakyReLU(0.0, power)
    network = rank_one_kkt_point(X, np.abs(z), widths=(4, 2, 1), activation=s, sign=-1, rng=0)
    assert np.abs(z) @ network(X) < -1e-3
    assert ncf_stationarity(network, X, np.abs(z)) <= RESIDUAL


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sign": 0}, "sign must be 1 or -1"),
        ({"n_active": 0}, "n_active"),
        ({"widths": (4, 2, 2)}, "one output"),
        ({"widths": (3, 2, 1)}, "begin with the 4 columns"),
        ({"z": np.zeros(30)}, "other than zero"),
    ],
)
def test_bad_input_is_refused(change, message):
    X, z = sphere_data()
    given = {"z": z, "widths": (4, 2, 1), "activation": PowerLeakyReLU(0.0, 2), "rng": 0, **change}
    with pytest.raises(InvalidInputError, match=message):
        rank_one_kkt_point(X, given.pop("z"), **given)


def test_only_networks_of_the_theorems_are_checked():
    X, z = sphere_data()
    ones = [np.ones((2, 4)), np.ones((1, 2))]
    with pytest.raises(InvalidInputError, match="frozen"):
        check_rank_one(FeedForward(ones, trainable=[True, False]), X, z)
    with pytest.raises(InvalidInputError, match="layer that is zero"):
        check_rank_one(FeedForward([ones[0], np.zeros((1, 2))]), X, z)
    with pytest.raises(InvalidInputError, match="one output"):
        check_rank_one(FeedForward([ones[0], np.ones((2, 2))]), X, np.ones((30, 2)))
