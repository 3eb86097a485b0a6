from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import convexrelu as cr
from convexrelu import losses
from convexrelu.certificates import certify, load_certificate
from convexrelu.certificates.regularized import assess_regularized, gated_norm
from convexrelu.certificates.weight_decay import weight_decay
from convexrelu.check import seal
from convexrelu.errors import CertificateError, InvalidInputError
from convexrelu.oracle import dual_norm
from convexrelu.oracle.relaxation import Leaf, Relaxation, relaxed_norm

LOSSES = [
    *("squared", "absolute", "huber", "logistic", "hinge", "squared_hinge", "poisson", "exponential"),
    *(losses.Quantile(tau=0.7), losses.EpsilonInsensitive(epsilon=0.3)),
]
PARTS = [
    {},
    {"output_bias": True},
    {"output_bias": "penalised"},
    {"skip": True},
    {"output_bias": True, "skip": True},
]


def sealed(document):
    return {**document, "seal": seal(document)}


def data(loss, seed, n=9, d=2):
    rng, rule = np.random.default_rng(seed), losses.get_loss(loss)
    X = rng.normal(size=(n, d))
    y = rng.poisson(2.0, size=n).astype(float) if rule.name == "poisson" else rng.normal(size=n)
    y = np.r_[1.0, -1.0, np.sign(y[2:])] if rule.takes_labels else y
    return X, y, rng


@settings(max_examples=20)
@given(st.sampled_from(LOSSES), st.sampled_from(PARTS), st.integers(0, 10**6))
def test_weak_duality_for_every_pair(loss, parts, seed):
    X, y, rng = data(loss, seed)
    options = {
        "loss": loss,
        "beta": rng.uniform(0.05, 2.0),
        "sample_weight": rng.uniform(0.2, 2.0, 9),
        **parts,
    }
    network = cr.TwoLayerReLU(rng.normal(size=(4, 2)), rng.normal(size=4))
    own = cr.certify(X, y, network, improve=False, **options)
    other = cr.certify(X, y, network, rng.normal(size=9), **options)
    balanced = network.balanced()
    problem = weight_decay(X, y, **options)
    assert own.objective <= problem.objective(balanced) * (1 + 1e-12)
    for certificate in (own, other):
        assert certificate.lower_bound + 1e-12 >= 0
        assert certificate.lower_bound <= own.objective
        assert certificate.check(X, y)


@pytest.mark.parametrize("parts", PARTS, ids=repr)
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_the_scale_of_multipliers_is_the_best_one(loss, parts):
    X, y, rng = data(loss, 3)
    problem = weight_decay(X, y, loss=loss, beta=0.4, **parts)
    lam = problem.feasible(problem.multipliers(0.3 * rng.normal(size=9)))
    assert problem.satisfied(lam)
    norm = cr.maximize_correlation(X, lam).upper_bound + cr.maximize_correlation(X, -lam).upper_bound
    t = problem.scale(lam, norm)
    best = problem.dual_value(t * lam)
    largest = problem.beta / max(norm, 1e-9)
    near = t * (1.0 + np.array([-1e-2, -1e-4, 1e-4, 1e-2]))
    for other in np.r_[np.linspace(0.0, largest, 201), near[near <= largest]]:
        assert problem.dual_value(other * lam) <= best + 1e-9


def test_a_certificate_survives_its_file_and_refuses_other_data_and_numbers(tmp_path):
    X, y, _ = data("huber", 0, n=20, d=3)
    loss = losses.Huber(delta=0.6)
    solution = cr.solve(X, y, loss=loss, beta=0.3, output_bias=True, sample_weight=np.linspace(0.5, 2.0, 20))
    path = tmp_path / "certificate.json"
    solution.certificate.save(path)
    again = cr.RegularizedCertificate.load(path)
    assert again.check(X, y)
    assert again.loss.parameters == {"delta": 0.6}
    # what a file claims is weaker by what sums may differ by elsewhere
    assert solution.lower_bound * (1 - 1e-10) <= again.lower_bound <= solution.lower_bound
    assert again.proof is not None
    with pytest.raises(CertificateError, match="other data"):
        again.check(X + 1e-9, y)
    document = json.loads(path.read_text())
    for name, value in (
        ("lower_bound", solution.lower_bound * (1 + 1e-6)),
        ("objective", solution.objective * (1 - 1e-6)),
        ("beta", 0.31),
        ("lam", (np.array(document["lam"]) * (1 + 1e-6)).tolist()),
        ("lam", [5.0, *document["lam"][1:]]),
        ("weights", (np.array(document["weights"]) * 1.01).tolist()),
        ("output_bias", False),
        ("parameters", {"delta": 0.7}),
    ):
        path.write_text(json.dumps(sealed({**document, name: value})))
        with pytest.raises(CertificateError):
            cr.RegularizedCertificate.load(path).check(X, y)


@pytest.mark.parametrize(
    "change",
    [
        {"loss": "nothing"},
        {"parameters": {"tau": 1.0}},
        {"network": None},
        {"network": {"kind": "convexrelu.TwoLayerReLU"}},
        {"lam": [[1.0]]},
        {"lam": "none"},
        {"output_bias": "free"},
        {"gates": [["x"]]},
        {"format": "something"},
    ],
)
def test_malformed_files_are_refused(tmp_path, change):
    X, y, _ = data("squared", 1)
    path = tmp_path / "certificate.json"
    cr.solve(X, y, loss="squared", beta=1.0).certificate.save(path)
    path.write_text(json.dumps(sealed({**json.loads(path.read_text()), **change})))
    with pytest.raises(CertificateError):
        cr.RegularizedCertificate.load(path)


def test_a_cover_of_a_search_to_a_tolerance_is_checked():
    X, y, rng = data("squared", 2, n=200, d=4)
    network = cr.TwoLayerReLU(rng.normal(size=(5, 4)), rng.normal(size=5))
    certificate = cr.certify(X, y, network, loss="squared", beta=3.0, improve=False)
    assert certificate.cover is not None
    assert not certificate.exact
    assert certificate.check(X, y)


def test_what_has_no_proof_keeps_what_repeats_its_search(tmp_path):
    """As one that came from a file: its data is not at hand."""
    X, y, _ = data("squared", 5, n=12, d=3)
    certificate = cr.solve(X, y, loss="squared", beta=0.5, tol=1e-3).certificate
    certificate = cr.RegularizedCertificate.from_document(certificate.to_document())
    certificate.save(tmp_path / "c.json")
    again = load_certificate(tmp_path / "c.json")
    assert again.proof is None
    assert again.lower_bound == certificate.lower_bound
    assert again.check(X, y)
    assert again.check(X, y, arithmetic="exact").exact


def test_what_would_be_too_large_a_proof_is_none(tmp_path, monkeypatch):
    X, _, rng = data("squared", 5, n=12, d=3)
    Y = rng.normal(size=(12, 2))
    certificate = cr.solve(X, Y, loss="multi_squared", beta=0.5, tol=1e-3).certificate
    monkeypatch.setattr("convexrelu.certificates.output_proof._MOST_CORNERS", 2)
    certificate.save(tmp_path / "c.json")
    again = load_certificate(tmp_path / "c.json")
    assert again.proof is None
    assert again.lower_bound == certificate.lower_bound
    assert again.check(X, Y)
    with pytest.raises(CertificateError, match="needs a proof"):
        again.check(X, Y, arithmetic="exact")


def test_rows_of_zeros_prove_what_a_network_of_value_zero_costs():
    """h(lam) = 0: only the conjugates bound the multipliers, and their best scale is found all the same."""
    X, y = np.zeros((3, 2)), np.array([1.0, -2.0, 0.5])
    nobody = cr.TwoLayerReLU(np.zeros((0, 2)), [])
    constant = 0.5 * float(y @ y)
    certificate = cr.certify(X, y, nobody, y / 100, loss="squared", beta=1.0)
    assert certificate.lower_bound == pytest.approx(constant, rel=1e-9)
    assert certificate.objective == pytest.approx(constant, rel=1e-9)
    assert certificate.globally_optimal
    assert certificate.check(X, y)
    assert cr.certify(X, y, nobody, 0.0 * y, loss="squared", beta=1.0).lower_bound == 0.0


def test_neurons_of_value_zero_are_left_out():
    """Their best common scale is zero where they cost and fit nothing, or are zero already."""
    X, y, _ = data("squared", 3)
    problem = weight_decay(X, y, loss="squared", beta=0.7)
    for W1, w2 in (([[0.0, 0.0]], [1.0]), ([[1.0, 0.0]], [0.0])):
        scaled = problem.rescaled(cr.TwoLayerReLU(W1, w2))
        assert scaled.group_norm() == 0.0
        assert problem.objective(scaled) == pytest.approx(0.5 * y @ y, rel=1e-12)


@pytest.mark.parametrize("rounds", [1, 2, 30])
@pytest.mark.parametrize("parts", [{"output_bias": True}, {"output_bias": True, "skip": True}], ids=repr)
def test_multipliers_are_feasible_however_early_their_projections_stop(rounds, parts, monkeypatch):
    monkeypatch.setattr("convexrelu.certificates.weight_decay._MOST_STOPPED", rounds)
    X, y, rng = data("hinge", 7, n=40)
    problem = weight_decay(X, y, loss="hinge", beta=0.1, **parts)
    low, high = problem.interval()
    moved = 0
    for _ in range(20):
        lam = problem.feasible(y * rng.exponential(2.0, size=40))  # most of them at their ends
        assert ((lam >= low) & (lam <= high)).all()
        assert problem.satisfied(lam)
        moved += bool(lam.any())
    if rounds == 30:
        assert moved == 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "correlation"}, "bounded from below"),
        ({"loss": "squared", "output_bias": "free"}, "output_bias"),
        ({"loss": "squared", "reduction": "median"}, "reduction"),
        ({"loss": "squared", "sample_weight": [1.0, 0.0]}, "sample_weight"),
        ({"loss": "multi_squared", "gates": np.eye(2)}, "one output"),
        ({"loss": "squared", "beta": 0.0}, "beta"),
    ],
)
def test_problems_that_are_none_are_refused(options, message, unchecked):
    with pytest.raises(InvalidInputError, match=message):
        weight_decay(np.eye(2), [1.0, -1.0], **{"beta": 1.0, **options})


def certificate_with_a_constant():
    X, y, _ = data("squared", 1)
    return X, y, cr.solve(X, y, loss="squared", beta=0.5, output_bias=True).certificate


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda lam: lam[1:], "lam must have shape"),
        (lambda lam: lam + 0.1, "add up to zero"),
    ],
)
def test_multipliers_that_do_not_belong_are_refused(change, message, unchecked):
    X, y, certificate = certificate_with_a_constant()
    document = certificate.to_document()
    forged = {**document, "lam": change(np.array(document["lam"])).tolist()}
    with pytest.raises(CertificateError, match=message):
        cr.RegularizedCertificate.from_document(forged).check(X, y)


@pytest.mark.parametrize("name", ["objective", "lower_bound", "dual_feasibility"])
def test_numbers_that_a_search_repeats_must_agree(name):
    X, y, certificate = certificate_with_a_constant()
    document = certificate.to_document()
    forged = cr.RegularizedCertificate.from_document({**document, name: document[name] * (1 + 1e-6)})
    with pytest.raises(CertificateError, match=f"{name} is .* but the data gives"):
        forged.check(X, y)


def test_only_a_certificate_that_has_its_data_judges_another_network():
    X, y, certificate = certificate_with_a_constant()
    poor = cr.ReLUNetwork([[1.0, 0.0]], [1.0])
    again = certificate.rejudged(poor, certificate.network)
    assert again.lower_bound == certificate.lower_bound
    assert again.better_objective == pytest.approx(certificate.objective, rel=1e-12)
    assert again.not_optimal
    assert again.check(X, y)
    loaded = cr.RegularizedCertificate.from_document(certificate.to_document())
    with pytest.raises(CertificateError, match="knows its data"):
        loaded.rejudged(poor, None)


def test_a_relaxation_without_leaves_bounds_by_the_structure_alone():
    X, y, _ = data("squared", 1, n=40, d=4)
    nobody = cr.TwoLayerReLU(np.zeros((0, 4)), [])
    document = cr.certify(X, y, nobody, loss="squared", beta=0.5, improve=False).to_document()
    bare = {**document, "relaxation": [], "cover": None}
    with pytest.raises(CertificateError, match=r"lower_bound is .* but the data gives"):  # less than a search
        cr.RegularizedCertificate.from_document(bare).check(X, y)


def test_multipliers_of_another_shape_are_refused():
    X, y, _ = data("squared", 4)
    for lam in (y[1:], np.full(len(y), np.nan)):
        with pytest.raises(InvalidInputError, match="lam must be finite"):
            cr.certify(X, y, cr.TwoLayerReLU([[1.0, 0.0]], [1.0]), lam, loss="squared", beta=1.0)


def test_gates_of_a_network_are_among_those_of_the_problem():
    X, y, _ = data("squared", 4)
    for gate, fine in ((np.array([[1.0, 0.0]]), True), (np.array([[1.0, 1.0]]), False)):
        network = cr.GatedReLU(gate, [[1.0, 0.0]])
        if fine:
            assert cr.certify(X, y, network, loss="squared", beta=1.0, gates=np.eye(2), improve=False)
        else:
            with pytest.raises(InvalidInputError, match="gates among those"):
                cr.certify(X, y, network, loss="squared", beta=1.0, gates=np.eye(2))


def test_networks_that_do_not_belong_are_refused():
    X, y, _ = data("squared", 4)
    for network, options, message in (
        (cr.TwoLayerReLU([[1.0]], [1.0]), {}, "inputs"),
        (cr.ReLUNetwork([[1.0, 0.0]], [1.0], output_bias=1.0), {}, "output bias"),
        (cr.ReLUNetwork([[1.0, 0.0]], [1.0], skip=[0.0, 1.0]), {}, "linear part"),
        (cr.ReLUNetwork([[1.0, 0.0]], [[1.0], [2.0]]), {}, r"must have one outputs, got \(2,\)"),
        (cr.GatedReLU([[1.0, 0.0]], [[1.0, 0.0]]), {}, "must be a TwoLayerReLU"),
        (cr.TwoLayerReLU([[1.0, 0.0]], [1.0]), {"C": 1.0}, "neither C"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            cr.certify(X, y, network, loss="squared", beta=1.0, **options)
    with pytest.raises(InvalidInputError, match="go with a loss"):
        cr.certify(X, np.sign(y), cr.TwoLayerReLU([[1.0, 0.0]], [1.0]), beta=1.0)


def test_a_proof_that_would_be_looser_than_the_search_is_not_written(monkeypatch):
    X, y, _ = data("squared", 3)
    certificate = cr.certify(X, y, cr.TwoLayerReLU(np.eye(2), [1.0, -1.0]), loss="squared", beta=0.5)
    assert certificate.proven().proof is not None
    pairs = {"plus": {"kind": "pairs"}, "minus": {"kind": "pairs"}}
    monkeypatch.setattr("convexrelu.certificates.regularized.proof_of", lambda *_, **__: pairs)
    assert certificate.proven() is certificate


def test_a_relaxation_is_evaluated_by_the_check():
    """Branches for every sign and side, with answers in the middle of their boxes: a bound, and its check."""
    X, y, rng = data("squared", 2, n=6, d=2)
    network = cr.TwoLayerReLU(rng.normal(size=(2, 2)), rng.normal(size=2))
    known = cr.certify(X, y, network, loss="squared", beta=0.5, improve=False)
    decay, lam = weight_decay(X, y, loss="squared", beta=0.5), known.lam
    leaves = []
    for sign in (1.0, -1.0):
        p, k = int((sign * lam > 0).sum()), int((sign * lam < 0).sum())
        leaves.append(
            Leaf(
                sign=sign, rows=np.zeros(0, int), sides=np.zeros(0), T=np.zeros((k, p)),
                t0=np.full(k, 0.5), mu=np.ones(p + 1),
            )
        )  # fmt: skip
    relaxation = Relaxation(leaves=tuple(leaves))
    norm = relaxed_norm(X, lam, relaxation)
    assert norm.upper_bound >= dual_norm(X, lam).value
    certificate = assess_regularized(decay, network, lam, norm, relaxation)
    assert certificate.lower_bound <= known.objective
    assert certificate.check(X, y)
    with pytest.raises(CertificateError):
        replace(certificate, lower_bound=certificate.lower_bound * (1 + 1e-6)).check(X, y)


def test_a_level_that_no_scale_reaches_is_the_least_one():
    X, y, _ = data("squared", 2)
    decay, lam = weight_decay(X, y, loss="squared", beta=0.5), 0.01 * y
    value = decay.bound(lam, 0.5)
    assert decay.level(lam, value + 1.0, 0.5) == 0.5
    level = decay.level(lam, 0.5 * value, 0.5)
    assert level > 0.5
    assert decay.bound(lam, level) == pytest.approx(0.5 * value, rel=1e-6)


def test_a_certificate_says_what_it_proves():
    X, y, _ = data("squared", 2)
    solution = cr.solve(X, y, loss="squared", beta=0.5)
    lines = str(solution.certificate).splitlines()
    assert lines[0].startswith("Certificate: globally optimal, proven to a relative gap of ")
    low, high = (float(lines[1].split()[k]) for k in (0, 4))
    assert low == pytest.approx(solution.lower_bound, rel=1e-8)
    assert high == pytest.approx(solution.objective, rel=1e-8)
    assert lines[2].split() == ["loss", "square,", "beta", "0.5"]
    poor = cr.certify(X, y, cr.TwoLayerReLU([[1.0, 0.0]], [9.0]), loss="squared", beta=0.5, improve=False)
    assert str(poor).startswith("Certificate: above the optimum by") or "times the optimum" in str(poor)


@pytest.mark.parametrize(
    "options", [{"C": 1.0, "beta": 0.5}, {}, {"beta": 0.5, "better": cr.TwoLayerReLU([[1.0, 0.0]], [1.0])}]
)
def test_a_loss_has_one_price_and_one_network(options):
    X, y, _ = data("squared", 2)
    with pytest.raises(InvalidInputError, match="a loss needs beta and one network"):
        certify(X, y, cr.TwoLayerReLU([[1.0, 0.0]], [1.0]), loss="squared", **options)


@pytest.mark.parametrize("seed", range(8))
def test_multipliers_that_cancel_are_scaled_with_their_rounding(seed):
    """Ten digits cancel: h of the scaled multipliers is that of their floats, not a multiple of h."""
    rng = np.random.default_rng(seed)
    X = np.full((3, 1), rng.uniform(0.5, 2.0))
    y = rng.normal(size=3)
    y[2] = -(y[0] + y[1]) * (1 + 1e-10)
    network = cr.TwoLayerReLU([[1e-3]], [1e-3])
    certificate = cr.certify(
        X, y, network, rng.uniform(0.2, 0.9) * y, loss="squared", beta=1.0, improve=False
    )
    total = abs(sum(map(Fraction, certificate.lam.tolist()))) * Fraction(X[0, 0])
    assert total <= Fraction(certificate.dual_feasibility)
    assert certificate.check(X, y) is True


@given(st.integers(0, 10**6))
def test_gated_norms_are_rounded_upwards(seed):
    rng = np.random.default_rng(seed)
    X, lam, gates = rng.normal(size=(9, 3)), rng.normal(size=9), rng.normal(size=(4, 3))
    found = gated_norm(X, lam, gates)
    whole, weights = (np.vectorize(Fraction, otypes=[object])(part) for part in (X, lam))
    pulls = ((X @ gates.T > 0).astype(int).T * weights) @ whole
    largest = max((pulls**2).sum(axis=1))
    assert Fraction(found.upper_bound) ** 2 >= largest
    assert found.upper_bound == pytest.approx(float(largest) ** 0.5, rel=1e-13)
    attained = np.abs(found.direction @ ((X @ gates.T > 0) * lam[:, None]).T.dot(X).T).max()
    assert attained == pytest.approx(found.value, rel=1e-12)
    nothing = gated_norm(X, np.zeros(9), gates)
    assert nothing.upper_bound == nothing.value == 0
    assert nothing.direction.tolist() == [0, 0, 0]


@given(st.integers(0, 10**6), st.sampled_from([1e-6, 1.0, 1e6]))
def test_objectives_are_rounded_upwards(seed, beta):
    """Neurons along the axes, whose lengths are rational."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(7, 3)), rng.normal(size=7)
    sizes, w2 = rng.random(3), rng.normal(size=3)
    objective = weight_decay(X, y, loss="squared", beta=beta).objective(cr.TwoLayerReLU(np.diag(sizes), w2))
    whole = np.vectorize(Fraction, otypes=[object])
    outputs = np.maximum(whole(X) * whole(sizes), 0) @ whole(w2)
    truth = ((outputs - whole(y)) ** 2).sum() / 2 + Fraction(beta) * (whole(sizes) @ np.abs(whole(w2)))
    assert Fraction(objective) >= truth
    assert objective == pytest.approx(float(truth), rel=1e-12)


@given(st.integers(0, 10**6), st.sampled_from(["hinge", "logistic", "huber", "quantile"]))
def test_feasible_multipliers_lie_in_the_domain(seed, loss):
    """However far the equations of a linear part would move them."""
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(6, 2)) * 10.0 ** rng.uniform(-3, 3, size=(6, 1)), np.sign(rng.normal(size=6))
    problem = weight_decay(X, y, loss=loss, beta=0.1, skip=True)
    low, high = problem.interval()
    lam = problem.feasible(rng.normal(size=6))
    assert ((low <= lam) & (lam <= high)).all()
    assert problem.satisfied(lam)


def test_better_by_rounding_is_not_better():
    X, y, _ = data("squared", 4)
    certificate = cr.certify(
        X, y, cr.TwoLayerReLU(np.eye(2), [1.0, -1.0]), loss="squared", beta=0.5, improve=False
    )
    for less, verdict in ((1e-3, True), (1e-8, True), (1e-10, False), (0.0, False), (-1e-3, False)):
        better = certificate.objective * (1 - less)
        assert (
            replace(certificate, better=certificate.network, better_objective=better).not_optimal is verdict
        )


def test_multipliers_that_cancel_are_checked_as_they_are(tmp_path):
    """Antipodal rows and a free linear part: correlations are 1e-9 of what adds up to them.

    To scale them anew, as where the certificate is made, would change every digit that the rounding left.
    """
    for seed in range(6):
        rng = np.random.default_rng(seed)
        X, y = rng.normal(size=(6, 2)), 1e5 * rng.normal(size=6)
        X[3:] = -X[:3]
        solution = cr.solve(X, y, loss="squared", beta=1e-5, output_bias=True, skip=True, tol=1e-4)
        assert solution.certificate.check(X, y)
        solution.certificate.save(tmp_path / "proof.json")
        assert cr.RegularizedCertificate.load(tmp_path / "proof.json").check(X, y)
