from __future__ import annotations

import json
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import convexrelu as cr
from convexrelu.certificates import load_certificate
from convexrelu.check import RefusedError, check_document, main, seal
from convexrelu.check_losses import (
    _conjugate,
    _domain,
    _feasible,
    _gated,
    _gated_norm,
    _value,
    _without_part,
    cancelled,
    eliminated,
    whole_columns,
)

LOSSES = [
    *("squared", "absolute", "huber", "logistic", "hinge", "squared_hinge", "poisson", "exponential"),
    *(cr.losses.Quantile(tau=0.3), cr.losses.EpsilonInsensitive(epsilon=0.3)),
]


def data(loss, seed=0, n=12, d=2):
    rng, rule = np.random.default_rng(seed), cr.losses.get_loss(loss)
    X, y = rng.normal(size=(n, d)), rng.normal(size=n)
    y = rng.poisson(2.0, size=n).astype(float) if rule.name == "poisson" else y
    return X, np.sign(y) if rule.takes_labels else y


@settings(max_examples=60)
@given(st.sampled_from(LOSSES), st.floats(-6, 6), st.floats(-4, 4), st.floats(0, 1))
@example("hinge", 0.45, -1.0, 0.0)  # 1.45 is no float
@example("absolute", 0.45, -1.0, 0.0)
@example(LOSSES[-2], 0.45, -1.0, 0.0)
def test_values_and_conjugates_are_those_of_the_losses_rounded_upwards(loss, f, y, share):
    rule = cr.losses.get_loss(loss)
    y = float(np.copysign(1.0, y)) if rule.takes_labels else abs(round(y)) if rule.name == "poisson" else y
    target, given_ = Fraction(y), rule.parameters
    value = _value(rule.name, given_, target, Fraction(f))
    assert float(value) == pytest.approx(float(rule.value([f], [y])[0]), rel=1e-11, abs=1e-11)
    low, high = (max(min(end, Fraction(9)), Fraction(-9)) for end in _domain(rule.name, given_, target))
    a = Fraction(float(low + Fraction(share) * (high - low)))
    a = min(max(a, low), high)
    conjugate = _conjugate(rule.name, given_, target, a)
    assert float(conjugate) == pytest.approx(float(rule.conjugate([-float(a)], [y])[0]), rel=1e-11, abs=1e-11)
    assert value + conjugate >= -a * Fraction(f)  # Fenchel and Young: -a f <= l(f) + l*(-a)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(-9, 9)), min_size=1, max_size=6))
def test_multipliers_are_balanced_within_their_ends_and_stay_where_they_are_already(rows):
    ends = [(Fraction(-low), Fraction(high)) for low, high, _ in rows]
    given_ = [Fraction(value, 3) for *_, value in rows]
    clipped = [min(max(value, low), high) for value, (low, high) in zip(given_, ends, strict=True)]
    assert _feasible(given_, ends, balanced=False) == clipped
    found = _feasible(given_, ends, balanced=True)
    assert sum(found) == 0
    assert all(low <= value <= high for value, (low, high) in zip(found, ends, strict=True))
    if sum(clipped) == 0:
        assert found == clipped


@pytest.mark.parametrize(("name", "y"), [("exponential", -1), ("poisson", 0), ("logistic", -1)])
def test_exponentials_beyond_all_floats_end_at_once(name, y):
    """Rational numbers of 10^15 digits would never be written down."""
    far = Fraction(10**15)
    steep = _value(name, {}, Fraction(y), far)
    assert far <= steep <= far * (1 + Fraction(1, 10**30)) if name == "logistic" else steep == np.inf
    assert 0 <= _value(name, {}, Fraction(y), -far) <= Fraction(1, 10**20)


def test_a_network_of_infinite_objective_is_refused_or_claims_nothing(tmp_path):
    X, y = data("exponential")
    cr.solve(X, y, loss="exponential", beta=0.5).certificate.save(tmp_path / "c.json")
    document = json.loads((tmp_path / "c.json").read_text())
    document["network"]["W1"] = (1e16 * np.array(document["network"]["W1"])).tolist()
    document["network"]["w2"] = (-np.array(document["network"]["w2"])).tolist()
    with pytest.raises(RefusedError, match="it proves only"):
        check_document(document, X, y)
    low, high = check_document({**document, "objective": np.inf}, X, y)
    assert 0 < low < high == np.inf


def test_multipliers_that_cannot_add_up_to_zero_are_refused():
    with pytest.raises(RefusedError, match="must add up to zero"):
        _feasible([Fraction(1), Fraction(3)], [(Fraction(1), Fraction(2))] * 2, balanced=True)


@given(st.sampled_from(LOSSES), st.fractions(-6, 6), st.fractions(-4, 4))
def test_losses_of_pieces_are_exact(loss, f, y):
    """The rational formulas, as they are written in books."""
    rule = cr.losses.get_loss(loss)
    y = Fraction(-1 if y < 0 else 1) if rule.takes_labels else y
    r, given_ = y - f, {k: Fraction(v) for k, v in rule.parameters.items()}
    formulas = {
        "square": lambda: r * r / 2,
        "absolute": lambda: abs(r),
        "hinge": lambda: max(1 - y * f, 0),
        "squared_hinge": lambda: max(1 - y * f, 0) ** 2 / 2,
        "huber": lambda: (
            r * r / 2 if abs(r) <= given_["delta"] else given_["delta"] * abs(r) - given_["delta"] ** 2 / 2
        ),
        "quantile": lambda: max(given_["tau"] * r, (given_["tau"] - 1) * r),
        "epsilon_insensitive": lambda: max(abs(r) - given_["epsilon"], 0),
    }
    if rule.name in formulas:
        assert _value(rule.name, rule.parameters, y, f) == formulas[rule.name]()


@pytest.mark.parametrize("bias", [False, True, "penalised"])
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_a_file_is_verified_alone_and_exactly(loss, bias, tmp_path):
    X, y = data(loss)
    s = np.linspace(0.5, 2.0, len(y))
    solution = cr.solve(X, y, loss=loss, beta=0.5, output_bias=bias, sample_weight=s)
    solution.certificate.save(tmp_path / "c.json")
    document = json.loads((tmp_path / "c.json").read_text())
    for exact in (False, True):
        low, high = check_document(document, X, y, exact=exact)
        assert float(low) == pytest.approx(solution.lower_bound, rel=1e-8)
        assert float(high) == pytest.approx(solution.objective, rel=1e-8)
        assert low <= high
    # nothing better than proven can be claimed, whatever else is altered
    for change in (
        {"lower_bound": solution.lower_bound * (1 + 1e-8)},
        {"objective": solution.objective * (1 - 1e-8)},
        {"beta": 0.5 * (1 - 1e-6)},
        {"beta": 0.5 * (1 + 1e-6)},
        {"weights": (s * (1 + 1e-6)).tolist()},
        {"lam": (-np.array(document["lam"])).tolist()},
        {"lam": document["lam"][1:]},
        {"proof": {"plus": None, "minus": None}},
        {"proof": None},
        {"loss": "nothing"},
    ):
        with pytest.raises(RefusedError):
            check_document({**document, **change}, X, y)
    with pytest.raises(RefusedError, match="other data"):
        check_document(document, X + 1e-12, y)


@settings(max_examples=25)
@given(st.sampled_from(LOSSES), st.sampled_from([False, True, "penalised"]), st.integers(0, 10**6))
def test_any_network_and_any_multipliers_are_bounds(loss, bias, seed):
    """The lower bound of one network's certificate is below the objective of every other one."""
    X, y = data(loss, seed, n=7)
    rng = np.random.default_rng(seed)
    options = {"loss": loss, "beta": rng.uniform(0.1, 2.0), "output_bias": bias}
    networks = [cr.TwoLayerReLU(rng.normal(size=(3, 2)), rng.normal(size=3)) for _ in range(3)]
    found = [
        check_document(
            cr.certify(X, y, network, improve=False, **options).proven().to_document(), X, y, exact=exact
        )
        for network, exact in zip(networks, (False, True, False), strict=True)
    ]
    assert max(low for low, _ in found) <= min(high for _, high in found)


@pytest.mark.parametrize("bias", [False, True, "penalised"])
@pytest.mark.parametrize("loss", ["squared", "logistic", "poisson", LOSSES[-1]], ids=repr)
def test_a_linear_part_is_verified_alone_and_exactly(loss, bias, tmp_path):
    """Also where columns depend on each other, and on the constant: there are fewer equations then."""
    X, y = data(loss, n=14)
    X = np.round(1024 * X) / 1024  # differences are exact
    X = np.column_stack([X, X[:, 0] - X[:, 1], np.ones(14)])
    problem = {"loss": loss, "beta": 0.3, "output_bias": bias, "skip": True}
    certificate = cr.solve(X, y, **problem).certificate
    certificate.save(tmp_path / "c.json")
    document = json.loads((tmp_path / "c.json").read_text())
    for exact in (False, True):
        low, high = check_document(document, X, y, exact=exact)
        assert float(low) == pytest.approx(certificate.lower_bound, rel=1e-7)
        assert float(high) == pytest.approx(certificate.objective, rel=1e-7)
        assert low <= high
    loaded = load_certificate(tmp_path / "c.json")
    assert loaded.proof is not None
    assert loaded.check(X, y)
    assert loaded.check(X, y, arithmetic="exact").exact
    lam, network = np.array(document["lam"]), document["network"]
    k = int(np.argmax(np.abs(lam)))
    for change in (
        {"lower_bound": document["lower_bound"] * (1 + 1e-8)},
        {"objective": document["objective"] * (1 - 1e-8)},
        {"skip": False},
        {"lam": [*lam[:k], 0.5 * lam[k], *lam[k + 1 :]]},
        {"network": {**network, "skip": [v * (1 + 1e-3) + 1e-3 for v in network["skip"]]}},
        {"network": {**network, "skip": network["skip"][1:]}},
    ):
        with pytest.raises(RefusedError):
            check_document({**document, **change}, X, y)


@pytest.mark.parametrize(
    "parts", [{}, {"skip": True, "output_bias": True}, {"output_bias": "penalised"}], ids=repr
)
@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_gated_networks_are_verified_alone_and_exactly(loss, parts, tmp_path):
    X, y = data(loss, n=14)
    gates = np.vstack([np.random.default_rng(1).normal(size=(6, 2)), X[:1]])
    certificate = cr.solve(X, y, loss=loss, beta=0.3, gates=gates, **parts).certificate
    certificate.save(tmp_path / "c.json")
    document = json.loads((tmp_path / "c.json").read_text())
    for exact in (False, True):
        low, high = check_document(document, X, y, exact=exact)
        assert float(low) == pytest.approx(certificate.lower_bound, rel=1e-8)
        assert float(high) == pytest.approx(certificate.objective, rel=1e-8)
        assert low <= high
    loaded = load_certificate(tmp_path / "c.json")
    assert loaded.check(X, y)
    assert loaded.check(X, y, arithmetic="exact").exact
    network = document["network"]
    U, own = np.array(network["U"]), np.array(network["gates"])
    assert len(U)
    for change in (
        {"lower_bound": document["lower_bound"] * (1 + 1e-8)},
        {"objective": document["objective"] * (1 - 1e-8)},
        {"beta": 0.3 * (1 + 1e-6)},
        {"gates": None},
        {"gates": document["gates"][:1]},
        {"gates": [*document["gates"], [1.0]]},
        {"lam": (-np.array(document["lam"])).tolist()},
        {"network": {**network, "U": (1.001 * U + 0.001).tolist()}},
        {"network": {**network, "U": [["inf", "inf"]] * len(U)}},
        {"network": {**network, "U": network["U"][1:]}},
        {"network": {**network, "gates": (own * (1 + 1e-6)).tolist()}},
    ):
        with pytest.raises(RefusedError):
            check_document({**document, **change}, X, y)


def test_gates_are_the_signs_of_exact_products():
    """x^T g is 2^-60, which floating-point sums lose: the neuron sees the row, and pays for it."""
    X, gate = np.array([[1.0, 1.0, 2.0**-60]]), np.array([[1.0, -1.0, 1.0]])
    assert _gated_norm(X, np.ones(1), gate) ** 2 >= 2
    assert _gated_norm(X, np.ones(1), -gate) == 0
    f, _, unit, size = _gated({"U": [[1.0, 0.0, 0.0]], "gates": gate.tolist()}, X, gate)
    assert f[0] * unit == 1
    assert 1 <= size <= 1 + Fraction(1, 10**15)


@given(
    st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.integers(-9, 9)), min_size=1, max_size=7)
)
def test_multipliers_are_moved_to_what_the_columns_ask_for(rows):
    """In proportion to their room, between ends, exactly; or to their size, and then perhaps beyond ends."""
    columns = np.array([[a, b, 2 * a - b] for a, b, _ in rows], dtype=float)
    values, ends = [Fraction(row[2], 3) for row in rows], [(Fraction(-3), Fraction(3))] * len(rows)
    found = _without_part(values, ends, columns)
    for column in columns.T:
        assert sum(Fraction(a) * b for a, b in zip(column.tolist(), found, strict=True)) == 0
    assert all(after == 0 for after, before in zip(found, values, strict=True) if before == 0)
    if all(-3 <= value <= 3 for value in found):
        assert _without_part(found, ends, columns) == found


def test_multipliers_are_moved_as_little_as_their_room_asks_for():
    one, ends = np.ones((3, 1)), [(Fraction(-4), Fraction(4))] * 3
    # rooms 2, 1 and 0: what is missing, 1, is shared by the first two
    assert _without_part([Fraction(2), Fraction(1), Fraction(-4)], ends, one) == [
        Fraction(2) + Fraction(2, 3),
        Fraction(1) + Fraction(1, 3),
        Fraction(-4),
    ]
    # without a room, in proportion to their sizes: 4 (1 - 1/3) twice and 4 (-1 - 1/3), which is too large
    moved = _without_part([Fraction(4), Fraction(4), Fraction(-4)], ends, one)
    assert moved == [Fraction(8, 3), Fraction(8, 3), Fraction(-16, 3)]
    assert cancelled([Fraction(4), Fraction(4), Fraction(-4)], np.zeros(3), one) is None


@given(st.integers(1, 5), st.integers(1, 3), st.integers(0, 10**6), st.booleans())
def test_equations_are_solved_in_integers(q, m, seed, deficient):
    rng = np.random.default_rng(seed)
    A = rng.integers(-3, 4, size=(q + 2, q)) @ (
        np.diag(rng.integers(0, 2, q)) if deficient else np.eye(q, dtype=int)
    )
    A, right = A.astype(object), rng.integers(-9, 10, size=(q + 2, m)).astype(object)
    M, b = A.T @ A, A.T @ right
    solution, one = eliminated(np.hstack([M, b]))
    assert one != 0
    assert (M @ solution == one * b).all()  # normal equations never contradict


def test_columns_become_integers_of_the_same_direction():
    columns = np.array([[0.1, 0.0, -3e-200], [0.3, 0.0, 1e-200]])
    whole = whole_columns(columns)
    for column, exact in zip(whole.T, columns.T.tolist(), strict=True):
        assert Fraction(exact[0]) * column[1] == Fraction(exact[1]) * column[0]
        assert any(column) == any(exact)


def test_from_the_command_line_with_nothing_but_numpy(tmp_path):
    X, y = data("logistic", n=20, d=3)
    cr.solve(X, y, loss="logistic", beta=0.3).certificate.save(tmp_path / "c.json")
    assert isinstance(load_certificate(tmp_path / "c.json"), cr.RegularizedCertificate)
    names = [f"x{k}" for k in range(3)]
    rows = [",".join([*names, "label"])]
    words = np.where(y > 0, "yes", "no").tolist()
    rows += [",".join([*map(repr, row), word]) for row, word in zip(X.tolist(), words, strict=True)]
    (tmp_path / "d.csv").write_text("\n".join(rows) + "\n")
    program = (
        "import runpy, sys; sys.argv = ['check', *sys.argv[1:]]\n"
        "try:\n    runpy.run_module('convexrelu.check', run_name='__main__')\n"
        "finally:\n    print(sorted(n for n in sys.modules if n.startswith('convexrelu')))"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "c.json"), str(tmp_path / "d.csv"), "--exact"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    verdict, modules = done.stdout.splitlines()
    assert verdict.startswith("holds: ")
    assert verdict.endswith("at beta = 0.3, logistic, in rational arithmetic")
    assert modules == "['convexrelu', 'convexrelu.check', 'convexrelu.check_losses']"
    document = json.loads((tmp_path / "c.json").read_text())
    document["lower_bound"] *= 1 + 1e-6
    (tmp_path / "c.json").write_text(json.dumps({**document, "seal": seal(document)}))
    assert main([str(tmp_path / "c.json"), str(tmp_path / "d.csv")]) == 1
