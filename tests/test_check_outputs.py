"""The independent checker on several outputs."""

from __future__ import annotations

import contextlib
import copy
import json
import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import convexrelu as cr
from convexrelu.certificates import load_certificate
from convexrelu.certificates.output_proof import output_proof, proven_output_norm
from convexrelu.check import RefusedError, check_document, main, seal
from convexrelu.check_outputs import (
    Corners,
    _conjugate,
    _in_domain,
    _value,
    halves,
    orthants,
    output_bound,
)
from convexrelu.errors import InvalidInputError
from convexrelu.oracle.outputs import output_norm

LOSSES = ["multi_squared", "softmax"]
PARTS = [{}, {"output_bias": True}, {"output_bias": "penalised"}, {"skip": True, "output_bias": True}]


def data(loss, seed=0, n=12, d=2, K=3):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    return X, rng.normal(size=(n, K)) if loss == "multi_squared" else np.arange(n) % float(K)


@pytest.mark.parametrize("parts", PARTS, ids=repr)
@pytest.mark.parametrize("loss", LOSSES)
def test_several_outputs_are_verified_alone_and_exactly(loss, parts, tmp_path):
    X, y = data(loss)
    weights = np.linspace(0.5, 1.5, 12)
    options = {"loss": loss, "beta": 0.5, "sample_weight": weights, "tol": 1e-2, **parts}
    certificate = cr.solve(X, y, **options).certificate
    certificate.save(tmp_path / "c.json")
    document = json.loads((tmp_path / "c.json").read_text())
    for exact in (False, True):
        low, high = check_document(document, X, y, exact=exact)
        assert low <= high
        assert float(low) == pytest.approx(certificate.lower_bound, rel=1e-8)
        assert float(high) == pytest.approx(certificate.objective, rel=1e-8)
        assert certificate.lower_bound <= low * (1 + Fraction(1, 10**9))
    loaded = load_certificate(tmp_path / "c.json")
    assert loaded.check(X, y)
    assert loaded.check(X, y, arithmetic="exact").exact
    assert certificate.check(X, y, arithmetic="exact").exact
    lam, network, proof = np.array(document["lam"]), document["network"], document["proof"]
    uneven = np.array([0.1, 0.0, 0.0])
    changes = [
        {"lower_bound": document["lower_bound"] * (1 + 1e-8)},
        {"objective": document["objective"] * (1 - 1e-8)},
        {"beta": 0.6},
        {"lam": (lam * np.r_[0.5, np.ones(11)][:, None]).tolist()},
        {"lam": lam[:, ::-1].tolist()},
        {"lam": lam[1:].tolist()},
        {"weights": weights[1:].tolist()},
        {"weights": (-weights).tolist()},
        {"loss": "squared"},
        {"loss": LOSSES[1 - LOSSES.index(loss)]},
        {"gates": [[1.0, 0.0]]},
        {"proof": None},
        {"proof": {"plus": None, "minus": None}},
        {"proof": {**proof, "kind": "cones"}},
        {"proof": {**proof, "corners": proof["corners"][:-1]}},
        {"proof": {**proof, "corners": [dict.fromkeys(corner) for corner in proof["corners"]]}},
        {"proof": {**proof, "split": proof["split"][:-1]}},
        {"proof": {**proof, "split": []}},
        {"proof": {**proof, "split": [0] * len(proof["split"])}},
        {"proof": {**proof, "split": [99, *proof["split"]]}},
        {"proof": {**proof, "basis": proof["basis"][:-1]}},
        {"proof": {**proof, "basis": [proof["basis"][0]] * 3}},
        {"network": {**network, "W2": network["W2"][1:]}},
        {"network": {**network, "output_bias": (np.array(network["output_bias"]) + uneven).tolist()}},
        {"network": {**network, "skip": (np.array(network["skip"]) + uneven[:, None]).tolist()}},
    ]
    for change in changes:
        with pytest.raises(RefusedError):
            pytest.fail(f"{change} passes: {check_document({**document, **change}, X, y)}")
    with pytest.raises(RefusedError, match="other data"):
        check_document(document, np.nextafter(X, 9), y)
    with pytest.raises(RefusedError):
        check_document(document, X, y[::-1])


@settings(max_examples=10)
@given(st.sampled_from(LOSSES), st.sampled_from(PARTS), st.integers(0, 10**6))
def test_any_network_and_any_multipliers_are_bounds(loss, parts, seed):
    """The lower bound of one network's certificate is below the objective of every other one."""
    X, y = data(loss, seed, n=7)
    rng = np.random.default_rng(seed)
    options = {"loss": loss, "beta": rng.uniform(0.2, 2.0), **parts}
    found = []
    for exact in (False, True):
        network = cr.ReLUNetwork(rng.normal(size=(3, 2)), rng.normal(size=(3, 3)))
        certificate = cr.certify(X, y, network, improve=False, **options).proven()
        assert certificate.proof is not None
        found.append(check_document(certificate.to_document(), X, y, exact=exact))
    assert max(low for low, _ in found) <= min(high for _, high in found)


@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(1, 3), st.booleans())
def test_proofs_bound_what_neurons_attain(seed, d, K, deficient):
    rng = np.random.default_rng(seed)
    X, Lam = rng.normal(size=(6, d)), rng.normal(size=(6, K))
    Lam = Lam - Lam.mean(axis=1, keepdims=True) if deficient else Lam
    U = rng.normal(size=(2000, d))
    U /= np.linalg.norm(U, axis=1)[:, None]
    attained = float(np.linalg.norm(np.maximum(X @ U.T, 0).T @ Lam, axis=1).max())
    level = 1.02 * output_norm(X, Lam, tol=1e-2).upper_bound + 1e-12
    proof = output_proof(X, Lam, level)
    assert proof is not None
    for exact in (False, True):
        bound = output_bound(X, Lam, json.loads(json.dumps(proof)), exact=exact)
        assert attained * (1 - 1e-12) <= bound <= level * (1 + 1e-9)
    norm = proven_output_norm(X, Lam, proof)
    assert norm.value <= norm.upper_bound <= level * (1 + 1e-9)
    # whatever the tree, it is a bound
    other = copy.deepcopy(proof)
    other["basis"] = (np.array(proof["basis"]) @ rng.normal(size=(K, K))).tolist()
    with contextlib.suppress(RefusedError):  # proofs of other corners need not fit
        assert output_bound(X, Lam, other) >= attained * (1 - 1e-12)


def test_vectors_that_depend_on_each_other_cover_nothing():
    """Where outputs do not matter in one direction, a tree about that alone would prove a norm of zero."""
    X, Lam = np.eye(2), np.array([[1.0, -1.0], [2.0, -2.0]])
    nothing = {"plus": None, "minus": None}
    proof = {"kind": "outputs", "basis": [[1.0, 1.0], [2.0, 2.0]], "split": [0, 0], "corners": [nothing] * 4}
    with pytest.raises(RefusedError, match="depend on each other"):
        output_bound(X, Lam, proof)


def test_a_norm_that_is_a_sum_of_squares():
    """Orthogonal rows, one for each output: h(Lam)^2 is the largest of the weights squared."""
    proof = output_proof(np.eye(2), np.diag([3.0, 4.0]), 4.004)
    assert 4 <= output_bound(np.eye(2), np.diag([3.0, 4.0]), proof, exact=True) <= Fraction(4.004)
    assert output_proof(np.eye(2), np.diag([3.0, 4.0]), 3.9) is None


@given(st.integers(1, 4), st.integers(0, 10**6), st.integers(0, 6))
def test_parts_cover_what_they_are_parts_of(K, seed, cuts):
    rng = np.random.default_rng(seed)
    basis = np.array([[int(v) for v in row] for row in rng.integers(-50, 51, (K, K)) + 200 * np.eye(K)])
    cones = list(orthants(basis.astype(object)))
    assert len(cones) == 2 ** (K - 1)
    for _ in range(cuts if K > 1 else 0):
        cone = cones.pop(rng.integers(len(cones)))
        cones += halves(cone, int(rng.integers(1, K * (K - 1) // 2 + 1)))
    for w in rng.normal(size=(20, K)):
        shares = [np.linalg.solve(cone.astype(float).T, w) for cone in cones]
        assert any((a >= -1e-9).all() or (a <= 1e-9).all() for a in shares)


def test_multipliers_at_a_corner_are_right_to_one_rounding():
    rng = np.random.default_rng(3)
    Lam, w = rng.normal(size=(5, 3)), np.array([3, -(10**30), 7], dtype=object)
    lam, power = Corners(rng.normal(size=(5, 2)), Lam).weights(w)
    for row, value in zip(Lam.tolist(), lam, strict=True):
        exact = sum(Fraction(a) * int(b) for a, b in zip(row, w, strict=True))
        assert value == float(exact / 2**power)


@given(st.sampled_from(LOSSES), st.integers(0, 10**6), st.floats(0, 1))
def test_values_and_conjugates_are_those_of_the_losses_rounded_upwards(loss, seed, size):
    rng, rule = np.random.default_rng(seed), cr.losses.get_loss(loss)
    f, y, off = 5 * rng.normal(size=3), rng.normal(size=3), 0.1 * size * rng.random(3)
    y = np.eye(3)[seed % 3] if loss == "softmax" else y
    exact = [[Fraction(v) for v in values.tolist()] for values in (y, f, off)]
    none = [Fraction(0)] * 3
    assert float(_value(loss, exact[0], exact[1], none)) == pytest.approx(float(rule.value(f, y)), rel=1e-11)
    for signs in rng.choice([-1.0, 1.0], size=(8, 3)):
        assert float(_value(loss, *exact)) >= rule.value(f + signs * off, y) * (1 - 1e-12) - 1e-13
    a = y - rng.dirichlet(np.ones(3)) if loss == "softmax" else rng.normal(size=3)
    moved = _in_domain(loss, [Fraction(v) for v in a.tolist()], exact[0], Fraction(1))
    assert [float(v) for v in moved] == pytest.approx(a.tolist(), abs=1e-14)
    conjugate = _conjugate(loss, exact[0], moved)
    assert float(conjugate) == pytest.approx(float(rule.conjugate(-a, y)), rel=1e-10, abs=1e-10)
    product = sum((p * q for p, q in zip(moved, exact[1], strict=True)), Fraction(0))
    assert _value(loss, exact[0], exact[1], none) + conjugate >= -product  # Fenchel and Young


def test_multipliers_of_softmax_become_those_of_a_distribution():
    y = [Fraction(1), Fraction(0), Fraction(0)]
    moved = _in_domain("softmax", [Fraction(1, 2), Fraction(-1, 2), Fraction(1, 9)], y, Fraction(1))
    assert moved == [Fraction(1, 2), Fraction(-1, 2), 0]
    with pytest.raises(RefusedError, match="domain"):
        _in_domain("softmax", [Fraction(0), Fraction(-1), Fraction(-1)], y, Fraction(1))


def test_from_the_command_line(tmp_path, capsys):
    X, y = data("softmax")
    words = np.array(["ada", "bob", "cyd"])[y.astype(int)]
    cr.solve(X, words, loss="softmax", beta=0.5, tol=1e-2).certificate.save(tmp_path / "c.json")
    lines = [f"{a!r},{b!r},{word}" for (a, b), word in zip(X.tolist(), words, strict=True)]
    (tmp_path / "d.csv").write_text("\n".join(["x1,x2,label", *lines]))
    for arguments in ([], ["--exact"]):
        assert main([str(tmp_path / "c.json"), str(tmp_path / "d.csv"), *arguments]) == 0
        assert "softmax" in capsys.readouterr().out
    (tmp_path / "d.csv").write_text("\n".join(["x1,x2,label", *lines[1:]]))
    assert main([str(tmp_path / "c.json"), str(tmp_path / "d.csv")]) == 1
    X, Y = data("multi_squared")
    cr.solve(X, Y, loss="multi_squared", beta=0.5, tol=1e-2).certificate.save(tmp_path / "c.json")
    np.savez(tmp_path / "d.npz", X=X, y=Y)
    assert main([str(tmp_path / "c.json"), str(tmp_path / "d.npz")]) == 0
    np.savez(tmp_path / "d.npz", X=X, y=Y[:, 0])
    assert main([str(tmp_path / "c.json"), str(tmp_path / "d.npz")]) == 2
    document = json.loads((tmp_path / "c.json").read_text())
    document["proof"] = None
    (tmp_path / "c.json").write_text(json.dumps({**document, "seal": seal(document)}))
    np.savez(tmp_path / "d.npz", X=X, y=Y)
    capsys.readouterr()
    assert main([str(tmp_path / "c.json"), str(tmp_path / "d.npz")]) == 2
    assert "`convexrelu check` repeats the search" in capsys.readouterr().err


def test_no_neurons_and_no_multipliers(tmp_path):
    X, Y = data("multi_squared")
    certificate = cr.solve(X, Y, loss="multi_squared", beta=1e3).certificate
    assert certificate.network.n_neurons == 0
    certificate.save(tmp_path / "c.json")
    assert load_certificate(tmp_path / "c.json").check(X, Y)
    nothing = cr.certify(X, Y, certificate.network, 0 * Y, loss="multi_squared", beta=1.0, improve=False)
    assert nothing.lower_bound == 0
    nothing.save(tmp_path / "c.json")
    assert load_certificate(tmp_path / "c.json").check(X, Y)


def test_proofs_of_outputs_end_with_their_time():
    """A tenth of the time that it takes is not enough, and is all that is spent; more than it takes is."""
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(30, 3)), rng.normal(size=(30, 3))
    certificate = cr.solve(X, Y, loss="multi_squared", beta=5.0, tol=1e-2).certificate
    started = time.process_time()
    proven = certificate.proven()
    took = time.process_time() - started
    assert proven.proof is not None
    started = time.process_time()
    assert certificate.proven(time_limit=1e-9) is certificate
    assert certificate.proven(time_limit=0.1 * took) is certificate
    assert time.process_time() - started < 0.5 * took
    assert certificate.proven(time_limit=100.0).to_document() == proven.to_document()
    with pytest.raises(InvalidInputError, match="time_limit"):
        certificate.proven(time_limit=0.0)
