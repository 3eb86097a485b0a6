from __future__ import annotations

import warnings

import numpy as np
import pytest

import convexrelu as cr
from convexrelu import losses
from convexrelu.errors import CertificateError, InvalidInputError

PARTS = [{}, {"output_bias": True}, {"output_bias": "penalised"}, {"skip": True}]


def problem(seed, loss, n=15, d=3, p=6):
    rng = np.random.default_rng(seed)
    X, gates = rng.normal(size=(n, d)), rng.normal(size=(p, d))
    y = rng.normal(size=n)
    return X, np.sign(y) if losses.get_loss(loss).takes_labels else y, gates


@pytest.mark.parametrize("parts", PARTS, ids=repr)
@pytest.mark.parametrize("loss", ["squared", "logistic", "huber", "absolute", "squared_hinge"])
def test_gated_networks_agree_with_the_program(loss, parts):
    pytest.importorskip("cvxpy")
    if loss == "absolute" and "skip" in parts:
        pytest.skip("the sweeps take half a minute")
    X, y, gates = problem(0, loss)
    options = {"loss": loss, "beta": 0.6, **parts}
    program = cr.primal_program(X, y, (X @ gates.T > 0).T, gated=True, **options)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Solution may be inaccurate")
        value = float(program.problem.solve(solver="CLARABEL"))
    solution = cr.solve(X, y, gates=gates, **options)
    assert solution.status == "optimal"
    assert solution.objective == pytest.approx(value, rel=2e-6)
    f, network = solution.network(X), solution.network
    decay = 0.6 * np.linalg.norm(network.U, axis=1).sum()
    decay += 0.3 * float(network.output_bias) ** 2 if parts.get("output_bias") == "penalised" else 0.0
    assert losses.get_loss(loss).value(f, y).sum() + decay == pytest.approx(solution.objective, rel=1e-9)
    pulls = [np.linalg.norm(X.T @ (solution.lam * (X @ g > 0))) for g in gates]
    assert max(pulls) <= 0.6 * (1 + 1e-9)
    assert solution.certificate.check(X, y)


def test_a_gated_optimum_is_at_most_that_of_relu_with_the_same_patterns():
    pytest.importorskip("cvxpy")
    X, y, gates = problem(1, "squared")
    gated = cr.solve(X, y, loss="squared", beta=0.6, gates=gates)
    relu = cr.primal_program(X, y, (X @ gates.T > 0).T, loss="squared", beta=0.6)
    assert gated.lower_bound <= float(relu.problem.solve(solver="CLARABEL")) * (1 + 1e-7)


def test_high_dimension_duplicates_and_a_start():
    X, y, gates = problem(2, "squared", n=60, d=20, p=30)
    once = cr.solve(X, y, loss="squared", beta=2.0, gates=gates)
    twice = cr.solve(X, y, loss="squared", beta=2.0, gates=np.vstack([gates, 2 * gates]))
    warm = cr.solve(X, y, loss="squared", beta=2.0, gates=gates, start=once.network)
    assert once.gap <= 1e-6
    assert twice.objective == pytest.approx(once.objective, rel=2e-6)
    assert len(warm.history) <= 2
    assert cr.solve(X, y, loss="squared", beta=1e3, gates=gates).network.n_neurons == 0


def test_gates_are_part_of_what_is_certified(tmp_path):
    X, y, gates = problem(3, "squared")
    certificate = cr.solve(X, y, loss="squared", beta=0.6, gates=gates).certificate
    certificate.save(tmp_path / "gated.json")
    again = cr.RegularizedCertificate.load(tmp_path / "gated.json")
    assert again.check(X, y)
    object.__setattr__(again, "gates", gates[::-1][:2])
    with pytest.raises(CertificateError):
        again.check(X, y)
    with pytest.raises(InvalidInputError, match="gates"):
        cr.solve(X, y, loss="squared", beta=0.6, gates=gates[:, :2])
