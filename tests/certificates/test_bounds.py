from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convexrelu import InvalidInputError, TwoLayerReLU, solve_max_margin
from convexrelu.certificates import bound, certify, least_squares_multipliers, loss_weights
from convexrelu.oracle import dual_norm

F1, Y1 = np.array([[1.65, -0.47], [-0.47, 1.35]]), np.array([1.0, -1.0])
P1 = 1.2824322246767
# (X, y, P*) with P* in closed form (docs/theory.md, sections 4 to 6)
KNOWN = [
    (F1, Y1, P1),
    (np.eye(3), np.array([1.0, -1.0, -1.0]), 1 + np.sqrt(2)),
    (np.array([[1, 0, 0], [0, 1, 0], [0, -0.8, 0.6]]), np.array([1.0, -1.0, -1.0]), 3.0),
    (np.array([[1.0, -2.0], [1.0, 0.0], [1.0, 2.0]]), np.ones(3), 1.0),
    (np.array([[0.5], [2.0], [-4.0]]), np.array([1.0, 1.0, -1.0]), 2.25),
]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(KNOWN), st.integers(0, 2**32 - 1), st.integers(0, 6), st.booleans())
def test_weak_duality_for_any_network_and_any_multiplier(known, seed, m, sparse):
    X, y, value = known
    rng = np.random.default_rng(seed)
    network = TwoLayerReLU(rng.normal(size=(m, X.shape[1])), rng.normal(size=m) * 10 ** rng.uniform(-3, 3))
    lam = y * rng.exponential(size=len(y)) * (rng.random(len(y)) < (0.5 if sparse else 1.0))
    certificate = certify(X, y, network, lam)
    assert certificate.lower_bound <= value * (1 + 1e-12)
    assert certificate.objective >= value * (1 - 1e-12)
    margin = (y * network(X)).min()
    assert certificate.margin == pytest.approx(margin, rel=1e-12)
    # the objective is the upper bound of docs/theory.md section 3 with its sum written out
    by_hand = ((network.W1**2).sum() + (network.w2**2).sum()) / (2 * margin) if margin > 0 else np.inf
    assert certificate.objective == pytest.approx(by_hand, rel=1e-9)
    assert np.isinf(certificate.gap) == (margin <= 0)
    assert not certificate.not_optimal
    if lam.any():
        U = rng.normal(size=(500, X.shape[1]))
        U /= np.linalg.norm(U, axis=1)[:, None]
        sampled = np.abs(np.maximum(U @ X.T, 0) @ lam).max()
        assert sampled <= certificate.dual_feasibility
        assert certificate.lower_bound == pytest.approx(y @ lam / certificate.dual_feasibility, rel=1e-9)
    assert certificate.check(X, y)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(KNOWN), st.integers(0, 2**32 - 1))
def test_a_network_certifies_itself(known, seed):
    """Without lam: loss weights or least-squares multipliers, whichever bounds better."""
    X, y, value = known
    rng = np.random.default_rng(seed)
    network = TwoLayerReLU(rng.normal(size=(5, X.shape[1])), rng.normal(size=5))
    certificate = certify(X, y, network)
    assert 0 < certificate.lower_bound <= value * (1 + 1e-12)
    assert (y * certificate.lam >= 0).all()
    for lam in (loss_weights(X, y, network), least_squares_multipliers(X, y, network)):
        if lam.any():
            assert certificate.lower_bound >= certify(X, y, network, lam).lower_bound * (1 - 1e-9)


@pytest.mark.parametrize(("X", "y", "value"), KNOWN)
def test_an_optimal_network_proves_its_own_optimality(X, y, value):
    network = solve_max_margin(X, y).network
    certificate = certify(X, y, network)  # lam is found from the network alone
    assert certificate.globally_optimal
    assert certificate.objective == pytest.approx(value, rel=1e-9)
    assert certificate.lower_bound == pytest.approx(value, rel=1e-6)
    assert "globally optimal" in certificate.verdict


def test_logistic_loss_weights():
    """lam_n = y_n / (1 + e^{q_n}) up to a common factor, also where the exponential overflows."""
    network = TwoLayerReLU([[1.0, 0.0], [0.0, 1.0]], [1.0, -1.0])
    X, y = np.array([[1.0, 0.5], [0.2, 3.0], [2.0, 0.1]]), np.array([1.0, -1.0, 1.0])
    q = y * network(X)
    lam = loss_weights(X, y, network)
    expected = y / (1 + np.exp(q))
    np.testing.assert_allclose(lam / lam[0], expected / expected[0], rtol=1e-12)
    far = loss_weights(2000 * X, y, network)
    assert np.isfinite(far).all()
    assert np.abs(far).max() == 1


def test_wrong_signs_are_refused_and_rounding_is_not():
    network = TwoLayerReLU([[1.0, 0.0], [0.0, 1.0]], [1.0, -1.0])
    with pytest.raises(InvalidInputError, match="rows 1"):
        certify(F1, Y1, network, [0.5, 0.1])
    clean = certify(F1, Y1, network, [0.5, 1e-12])
    np.testing.assert_array_equal(clean.lam, [0.5, 0.0])


@pytest.mark.parametrize(
    "lam", [[1.0], [1.0, -1.0, 1.0], [[1.0, -1.0]], [np.nan, -1.0], [np.inf, -1.0], ["a", "b"]]
)
def test_bad_multipliers_are_refused(lam):
    with pytest.raises(InvalidInputError, match="lam"):
        certify(F1, Y1, TwoLayerReLU([[1.0, 0.0]], [1.0]), lam)


def test_networks_of_other_sizes_are_refused():
    with pytest.raises(InvalidInputError, match="2 inputs"):
        certify(F1, Y1, TwoLayerReLU([[1.0]], [1.0]))
    with pytest.raises(InvalidInputError, match="2 inputs"):
        certify(F1, Y1, TwoLayerReLU([[1.0, 0.0]], [1.0]), better=TwoLayerReLU([[1.0]], [1.0]))
    with pytest.raises(InvalidInputError, match="TwoLayerReLU"):
        certify(F1, Y1, [TwoLayerReLU([[1.0, 0.0]], [1.0])])
    with pytest.raises(InvalidInputError, match="3 TwoLayerReLU"):
        certify(np.eye(3), [0, 1, 2], [TwoLayerReLU([[1.0, 0.0, 0.0]], [1.0])])


# Soft margin --------------------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 7), st.sampled_from([1e-3, 0.1, 1.0, 20.0]))
def test_soft_objective_is_the_best_rescaling(seed, n, C):
    """min over a >= 0 of a ||theta||^2/2 + C sum (1 - a q_n)_+: piecewise linear, so at a kink or at 0."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(n, 2)), rng.choice([1.0, -1.0], n)
    network = TwoLayerReLU(rng.normal(size=(3, 2)), rng.normal(size=3))
    certificate = certify(X, y, network, C * y, C=C)
    q, half = y * network(X), network.objective()
    scales = np.r_[0.0, 1 / q[q > 0], np.linspace(0, 20, 200)]
    values = scales * half + C * np.maximum(1 - scales[:, None] * q, 0).sum(axis=1)
    assert certificate.objective == pytest.approx(values.min(), rel=1e-9)
    assert certificate.objective <= C * n * (1 + 1e-12)
    assert certificate.lower_bound <= certificate.objective * (1 + 1e-12)


@pytest.mark.parametrize("C", [0.05, 0.3, 1.0])
def test_soft_bounds_bracket_the_soft_optimum(C):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(7, 2)), rng.choice([1.0, -1.0], 7)
    value = solve_max_margin(X, y, C=C).objective
    for _ in range(20):
        network = TwoLayerReLU(rng.normal(size=(4, 2)), rng.normal(size=4))
        certificate = certify(X, y, network, y * rng.exponential(size=7), C=C)
        assert certificate.lower_bound <= value * (1 + 1e-6)
        assert certificate.objective >= value * (1 - 1e-6)
        # lam is scaled down to its cap as well: no multiplier above C is ever credited
        assert certificate.lower_bound <= C * 7


# What proves that a network is not optimal ----------------------------------------------------------------


def test_only_a_better_network_proves_that_one_is_not_optimal():
    poor = TwoLayerReLU.from_directions([[2.0, 0.0], [0.0, 2.0]], [1, -1])
    optimum = solve_max_margin(F1, Y1).network
    alone = certify(F1, Y1, poor)
    assert not alone.globally_optimal
    assert not alone.not_optimal  # the gap is open, but nothing better has been shown
    assert "not decided" in alone.verdict
    judged = certify(F1, Y1, poor, better=optimum)
    assert judged.not_optimal
    assert judged.better_objective == pytest.approx(P1, rel=1e-9)
    assert "not globally optimal" in judged.verdict
    assert judged.check(F1, Y1)
    # a network that is worse, equal, or does not fit proves nothing
    assert not certify(F1, Y1, optimum, better=poor).not_optimal
    assert not certify(F1, Y1, poor, better=poor.scaled_function(3.0)).not_optimal
    useless = certify(F1, Y1, poor, better=TwoLayerReLU([[-1.0, -1.0]], [1.0]))
    assert not useless.not_optimal
    assert np.isinf(useless.better_objective)


def test_a_multiplier_with_norm_above_one_proves_nothing():
    """Neuron (1, 0) is optimal by lam = (0, 1, 0), yet lam = (.5, 0, .5) is a KKT multiplier, h = 1.118."""
    X, y = np.array([[1.0, -2.0], [1.0, 0.0], [1.0, 2.0]]), np.ones(3)
    network = TwoLayerReLU([[1.0, 0.0]], [1.0])
    other = certify(X, y, network, [0.5, 0.0, 0.5])
    assert other.dual_feasibility == pytest.approx(np.sqrt(1.25), rel=1e-9)
    assert not other.not_optimal
    assert not other.globally_optimal
    right = certify(X, y, network, [0.0, 1.0, 0.0])
    assert right.globally_optimal
    assert right.dual_feasibility == pytest.approx(1, rel=1e-9)
    assert certify(X, y, network).globally_optimal  # and it is found without help


def test_bounds_are_rounded_outwards():
    """The optimum's own certificate brackets a value known to 16 digits: one row of norm 5, P* = 1/5."""
    X, y = np.array([[3.0, 4.0]]), np.array([1.0])
    network = TwoLayerReLU.from_directions([[0.12, 0.16]], [1])
    lam = np.array([0.2])
    proven = bound(X, y, network, lam, dual_norm(X, lam), np.inf)
    assert proven.lower_bound <= 0.2 <= proven.objective
    assert proven.gap <= 1e-13
    assert proven.exact


# Classes ------------------------------------------------------------------------------------------------


def test_class_certificates_are_sums():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(6, 2)), np.array([0, 1, 2, 0, 1, 2])
    networks = [TwoLayerReLU(rng.normal(size=(8, 2)), rng.normal(size=8)) for _ in range(3)]
    together = certify(X, y, networks)
    apart = [certify(X, np.where(y == k, 1, -1), network) for k, network in enumerate(networks)]
    assert together.lower_bound == pytest.approx(sum(c.lower_bound for c in apart), rel=1e-12)
    assert together.objective == sum(c.objective for c in apart)
    assert together.check(X, y)
    lams = np.array([np.where(y == k, 1.0, -1.0) for k in range(3)])
    assert certify(X, y, networks, lams).check(X, y)
    with pytest.raises(InvalidInputError, match="one row for each"):
        certify(X, y, networks, lams[:2])


# Independence ---------------------------------------------------------------------------------------------


def test_a_certificate_meets_no_solver():
    """The code that checks a certificate cannot have trusted what it does not import."""
    program = """
import sys
import numpy as np
import convexrelu.certificates as certificates
from convexrelu.networks import TwoLayerReLU
X, y = [[1.65, -0.47], [-0.47, 1.35]], [1, -1]
network = TwoLayerReLU([[1.0, 0.0], [0.0, 1.0]], [1.0, -1.0])
assert certificates.certify(X, y, network).check(X, y)
certificates.check_kkt(X, y, network, [0.5, -0.5])
banned = ["convexrelu.solvers", "convexrelu.programs"]
banned += ["cvxpy", "clarabel", "scs", "ecos", "highspy", "sklearn"]
print([name for name in banned if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("power", [-40, 0, 7, 60])
def test_the_margin_is_in_the_units_of_the_data(power):
    """One neuron along a row of length 5: f = 3 * 5 there, times the powers of two."""
    X, network = 2.0**power * np.array([[3.0, 4.0]]), TwoLayerReLU([[0.6, 0.8]], [3.0])
    judged = bound(X, np.ones(1), network, np.zeros(1), dual_norm(X, np.zeros(1)), np.inf)
    assert judged.margin == pytest.approx(15 * 2.0**power, rel=1e-15)
    heavy = TwoLayerReLU(1024 * network.W1, 1024 * network.w2)
    judged = bound(X, np.ones(1), heavy, np.zeros(1), dual_norm(X, np.zeros(1)), np.inf)
    assert judged.margin == pytest.approx(15 * 2.0 ** (power + 20), rel=1e-15)
