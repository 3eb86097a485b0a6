from __future__ import annotations

import copy
import json
import time
from dataclasses import replace
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from relaxed import relaxed

from convexrelu import (
    Certificate,
    CertificateError,
    ConvexReLUError,
    InvalidInputError,
    TwoLayerReLU,
    solve_max_margin,
)
from convexrelu.certificates import MultiClassCertificate, certify, load_certificate
from convexrelu.certificates.certificate import assess
from convexrelu.certificates.document import encode
from convexrelu.certificates.stored import _float
from convexrelu.oracle import Cover, dual_norm

X, Y = np.array([[1.65, -0.47], [-0.47, 1.35]]), np.array([1, -1])
CLASSES = np.array([0, 1, 2, 0, 1, 2])
POINTS = np.random.default_rng(0).normal(size=(6, 2))


def branched(solution):
    """A certificate that rests on a relaxation with a tree of branches."""
    certificate = relaxed(CROWD, CROWD_LABELS, solution.network, share=0.999)
    assert len(certificate.relaxation.leaves[0].rows)
    # it is the relaxation that bounds
    assert certificate.dual_feasibility < dual_norm(CROWD, certificate.lam, search=False).upper_bound
    return certificate


def unsearched(solution):
    """A certificate made in no time: the structure of the rows is all that bounds h(lam)."""
    certificate = certify(CROWD, CROWD_LABELS, solution.network, CROWD_LABELS, time_limit=1e-6)
    assert certificate.cover is not None
    assert certificate.cover.nodes == 0
    return certificate


def covered(**effort):
    """A certificate of many multipliers, whose search went to a tolerance or was cut off."""
    nobody = TwoLayerReLU(np.zeros((0, 4)), [])
    norm = dual_norm(MANY, MANY_LABELS, **effort)
    assert norm.cover is not None
    certificate = assess(MANY, MANY_LABELS, nobody, MANY_LABELS, norm=norm, C=1.0, better=nobody)
    assert certificate.dual_feasibility == norm.upper_bound > norm.value
    assert not certificate.exact
    return certificate


MANY = np.random.default_rng(6).normal(size=(300, 4))
MANY_LABELS = np.where(np.random.default_rng(7).random(300) < 0.5, 1.0, -1.0)
CROWD = np.random.default_rng(5).normal(size=(9, 3))
CROWD_LABELS = np.array([1.0, -1.0, -1.0] * 3)


POOR = TwoLayerReLU.from_directions([[2.0, 0.0], [0.0, 2.0]], [1, -1])
CROWD_OPTIMUM = cache(lambda: solve_max_margin(CROWD, CROWD_LABELS))

# Certificates of every kind, with their data.
KINDS = {
    "optimal": lambda: (solve_max_margin(X, Y).certificate, X, Y),
    "huge data": lambda: (solve_max_margin(1e9 * X, Y).certificate, 1e9 * X, Y),  # P* is about 1e-9
    "tiny data": lambda: (solve_max_margin(1e-9 * X, Y).certificate, 1e-9 * X, Y),
    "trained": lambda: (certify(X, Y, POOR), X, Y),
    "does not fit": lambda: (certify(X, Y, TwoLayerReLU([[1.0, 1.0]], [1.0])), X, Y),
    "no neurons": lambda: (certify(X, Y, TwoLayerReLU(np.zeros((0, 2)), [])), X, Y),
    "better": lambda: (certify(X, Y, POOR, better=solve_max_margin(X, Y).network), X, Y),
    "soft": lambda: (solve_max_margin(POINTS, CLASSES == 1, C=0.4).certificate, POINTS, CLASSES == 1),
    "classes": lambda: (solve_max_margin(POINTS, CLASSES).certificate, POINTS, CLASSES),
    "relaxed": lambda: (branched(CROWD_OPTIMUM()), CROWD, CROWD_LABELS),
    "unsearched": lambda: (unsearched(CROWD_OPTIMUM()), CROWD, CROWD_LABELS),
    "tolerance": lambda: (covered(tol=0.3), MANY, MANY_LABELS),
    "cut off": lambda: (covered(max_nodes=100), MANY, MANY_LABELS),
    "text labels": lambda: (certify(X, ["yes", "no"], POOR), X, ["yes", "no"]),
}


@cache
def made(kind):
    """The certificate of a kind and its data, made by the first test that asks."""
    return KINDS[kind]()


@pytest.mark.parametrize("kind", KINDS)
def test_saved_loaded_and_checked(tmp_path, kind):
    certificate, points, labels = made(kind)
    path = tmp_path / "certificate.json"
    certificate.save(path)
    loaded = load_certificate(path)
    assert type(loaded) is type(certificate)
    assert loaded.check(points, labels) is True
    for proven in (loaded.enclosure(points, labels), loaded.enclosure(points.tolist(), list(labels))):
        assert loaded.lower_bound <= proven.lower <= proven.upper <= loaded.objective
        assert not proven.exact
    exact = loaded.check(points, labels, arithmetic="exact")
    assert exact.exact
    assert loaded.lower_bound <= exact.lower <= exact.upper <= loaded.objective
    # what a file claims is proven, hence weaker by rounding
    if kind in (
        "relaxed",
        "tolerance",
        "cut off",
    ):  # or stronger: every cone is below the level that was asked for
        assert loaded.lower_bound >= certificate.lower_bound * (1 - 1e-9)
    else:
        assert loaded.lower_bound == pytest.approx(certificate.lower_bound, rel=1e-9)
    assert loaded.objective == pytest.approx(certificate.objective, rel=1e-9)
    assert loaded.to_document() == certificate.proven().to_document()  # to the last bit
    loaded.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()
    assert json.loads(path.read_text())["version"] == 2
    if isinstance(loaded, Certificate):
        assert Certificate.load(path).verdict.split()[:4] == certificate.verdict.split()[:4]
        assert str(Certificate.load(path)) == str(certificate.proven())
    else:
        assert isinstance(loaded, MultiClassCertificate)
        with pytest.raises(CertificateError, match="load_certificate"):
            Certificate.load(path)


def old_document(certificate):
    """A certificate as format 1 had it: what it rests on is repeated or evaluated, and there is no proof."""
    values = {"format": "convexrelu certificate", "version": 1, **encode(certificate.to_document())}
    return json.loads(json.dumps({name: value for name, value in values.items() if name != "proof"}))


def leaves(value, path=()):
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from leaves(item, (*path, index))
    else:
        yield path, value


def altered(document, path, value):
    changed = copy.deepcopy(document)
    place = changed
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return changed


RESIDUALS = {"gap", "stationarity", "complementarity"}  # relative already; the rest has the data's units


def forgeries(field, value):
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, str):
        return ["1.5"] if value != "inf" else [1.5, "-inf"]
    # RECHECK_TOL is 1e-9: a digit beyond it must be noticed
    step = 1e-6 if field in RESIDUALS or value == 0 else 1e-6 * abs(value)
    return [value + step, value - step, value + 1.0 if field in RESIDUALS or value == 0 else -value, "inf"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_altered_number_is_refused(tmp_path, kind):
    certificate, points, labels = made(kind)
    path = tmp_path / "certificate.json"
    document = old_document(certificate)
    tried = 0
    for where, value in leaves(document):
        if where[0] == "classes" or "relaxation" in where or where[-1] == "nodes":
            continue  # a relaxation is evaluated, never believed: see below; and more cones prove no less
        if value is None or (where[0] == "lam" and where[1] > 8):
            continue  # one row of many is like another
        # by class there are three times as many numbers, and each check does the other classes too
        for forged in forgeries(where[-1], value)[: 1 if kind == "classes" else None]:
            path.write_text(json.dumps(altered(document, where, forged)))
            with pytest.raises(CertificateError):
                load_certificate(path).check(points, labels)
            tried += 1
    assert tried > 20


def test_a_claim_that_is_better_than_the_truth_is_refused_however_it_is_made():
    certificate = made("trained")[0]
    document = certificate.to_document()
    for lie in (
        {"lower_bound": document["objective"], "gap": 0.0},
        {"objective": document["lower_bound"], "gap": 0.0},
        {"lam": (10 * certificate.lam).tolist(), "lower_bound": 10 * document["lower_bound"]},
        {"dual_feasibility": 0.5 * document["dual_feasibility"]},
        {"better_objective": 0.5},
        {"C": 1.0},
    ):
        with pytest.raises(CertificateError):
            Certificate.from_document({**document, **lie}).check(X, Y)


def test_multipliers_of_the_wrong_sign_are_refused():
    document = made("optimal")[0].to_document()
    with pytest.raises(CertificateError):
        Certificate.from_document({**document, "lam": [-v for v in document["lam"]]}).check(X, Y)


@pytest.mark.parametrize("kind", ["optimal", "soft", "classes"])
def test_other_data_is_refused(kind):
    certificate, points, labels = made(kind)
    labels = np.asarray(labels)
    for other in (
        np.nextafter(points, 9),
        points[::-1],
        -points,
        np.hstack([points, np.ones((len(points), 1))]),
    ):
        with pytest.raises(CertificateError, match="other data"):
            certificate.check(other, labels)
    with pytest.raises(CertificateError):
        certificate.check(points, np.roll(labels, 1))
    with pytest.raises(CertificateError):
        certificate.check(np.vstack([points, points]), np.r_[labels, labels])


def test_equivalent_labels_are_the_same_data():
    certificate = made("optimal")[0]
    for labels in ([1, -1], [1, 0], ["b", "a"], [True, False]):
        assert certificate.check(X, labels)
    assert certificate.check(np.where(X == 0, -0.0, X), Y)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "3",
        "{",
        "\0",
        "[" * 100_000,
        '{"format": "convexrelu certificate"}',
        '{"format": "convexrelu certificate", "version": 1}',
        '{"format": "convexrelu certificate", "version": 2}',
        '{"format": "convexrelu certificate", "version": 3}',
        '{"format": "convexrelu certificate", "version": true}',
        '{"format": "convexrelu certificate", "version": 1, "certificates": []}',
        '{"format": "convexrelu certificate", "version": 1, "certificates": [1]}',
        '{"format": "convexrelu certificate", "version": 1, "certificates": [{}]}',
        '{"format": "something else", "version": 1}',
    ],
)
def test_what_is_no_certificate_is_refused(tmp_path, text):
    path = tmp_path / "certificate.json"
    path.write_text(text)
    with pytest.raises(CertificateError):
        load_certificate(path)


HUGE = 10**400  # a legal JSON number that no float holds


@pytest.mark.parametrize("value", [None, "x", [], {}, [[1, 2], [3]], True, HUGE, float("nan"), "nan", [HUGE]])
def test_every_field_of_another_type_is_refused(tmp_path, value):
    path = tmp_path / "certificate.json"
    document = old_document(made("better")[0])
    for field in document:
        if isinstance(document[field], bool) and value is True:
            continue  # "exact" is true already
        if (field == "relaxation" and value in (None, [])) or (field == "cover" and value is None):
            continue  # there is none; one without leaves proves less, which is another test
        path.write_text(json.dumps(altered(document, (field,), value)))
        with pytest.raises(CertificateError):
            load_certificate(path).check(X, Y)
        if field in ("relaxation", "cover"):
            continue  # documents written before there were any lack it
        missing = {k: v for k, v in document.items() if k != field}
        path.write_text(json.dumps(missing))
        with pytest.raises(CertificateError):
            load_certificate(path)


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("data",), "2x-3 sha256:00"),
        (("data",), "2x0 sha256:00"),
        (("data",), "2x" + "9" * 30 + " sha256:00"),
        (("data",), "2x3 sha256:00"),
        (("C",), 0.0),
        (("C",), -1.0),
        (("C",), "-inf"),
        (("lam",), [1.0]),
        (("lam",), [[1.0, -1.0]]),
        (("network",), {"W1": [[1.0, 2.0]]}),
        (("network", "w2"), [1.0]),
        (("network", "w2"), 1.0),
        (("network", "W1"), [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]),
        (("network", "W1", 0), [1.0]),
        (("network", "W1", 0, 0), HUGE),
        (("network", "W1", 0, 0), 1e308),
        (("lam", 0), 1e308),
        (("better",), {"W1": [[1.0, 2.0, 3.0]], "w2": [1.0]}),
    ],
)
def test_malformed_parts_are_refused(tmp_path, where, value):
    path = tmp_path / "certificate.json"
    path.write_text(json.dumps(altered(old_document(made("optimal")[0]), where, value)))
    with pytest.raises(CertificateError):
        load_certificate(path).check(X, Y)


def test_files_that_cannot_be_read_or_written(tmp_path):
    with pytest.raises(CertificateError, match="missing"):
        load_certificate(tmp_path / "missing.json")
    with pytest.raises(CertificateError):
        load_certificate(tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CertificateError):
        load_certificate(tmp_path / "binary")
    with pytest.raises(ConvexReLUError, match="folder"):
        made("optimal")[0].save(tmp_path / "nowhere" / "certificate.json")


def test_classes_are_checked_against_their_labels(tmp_path):
    certificate = made("classes")[0]
    document = certificate.to_document()
    for lie in (
        {"classes": [0, 1]},
        {"classes": [0, 1, 1]},
        {"classes": [2, 1, 0]},
        {"objective": 0.5 * document["objective"]},
        {"gap": 0.5},
        {"certificates": document["certificates"][:2]},
        {"certificates": document["certificates"][::-1]},
    ):
        with pytest.raises(CertificateError):
            MultiClassCertificate.from_document({**document, **lie}).check(POINTS, CLASSES)
    with pytest.raises(CertificateError):
        certificate.check(POINTS, CLASSES % 2)


# Relaxations -----------------------------------------------------------------------------------------------


def test_documents_without_a_relaxation_or_a_cover_still_load():
    certificate = made("optimal")[0]
    document = certificate.to_document()
    assert document.pop("relaxation") is None
    assert document.pop("cover") is None
    assert Certificate.from_document(document).check(X, Y)


def test_a_relaxation_is_checked_without_a_search(monkeypatch):
    certificate, points, labels = made("relaxed")
    exact = made("optimal")[0]

    def searched(*arguments, search=True, **options):
        assert not search
        return dual_norm(*arguments, search=search, **options)

    monkeypatch.setattr("convexrelu.certificates.certificate.dual_norm", searched)
    monkeypatch.setattr("convexrelu.oracle.relaxation.dual_norm", searched)
    assert certificate.check(points, labels)
    with pytest.raises(AssertionError):
        exact.check(X, Y)  # the guard works


@pytest.mark.parametrize("factor", [0.0, 0.5, 2.0, -1.0, 1e300])
def test_an_altered_relaxation_is_evaluated_afresh(factor):
    """What it then proves must be what is claimed; no alteration makes a lie pass."""
    certificate, points, labels = made("relaxed")
    document = certificate.to_document()
    better = {"lower_bound": 1.01 * certificate.lower_bound}
    refused = 0
    for where, value in leaves({"relaxation": document["relaxation"]}):
        if where[1] > 0 or where[2] not in ("T", "t0", "mu"):
            continue  # one branch will do
        forged = altered(document, where, factor * value + (factor == 0.0) * 1e-3)
        with pytest.raises(CertificateError):
            Certificate.from_document({**forged, **better}).check(points, labels)
        try:
            Certificate.from_document(forged).check(points, labels)
        except CertificateError:
            refused += 1
    assert refused
    for other in (None, []):  # without it the search, or the rows' structure, gives another bound
        with pytest.raises(CertificateError):
            Certificate.from_document({**document, "relaxation": other}).check(points, labels)


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ((), "x"),
        ((), {}),
        ((0,), 1.0),
        ((0,), {}),
        ((0, "sign"), 0.0),
        ((0, "sign"), None),
        ((0, "rows"), [0.5]),
        ((0, "rows"), [-1]),
        ((0, "rows"), [10**12]),
        ((0, "rows"), [8, 7]),
        ((0, "rows"), [100]),
        ((0, "rows"), [True]),
        ((0, "sides"), [0.0]),
        ((0, "sides"), []),
        ((0, "T"), []),
        ((0, "T"), [[1.0]]),
        ((0, "T", 0), 1.0),
        ((0, "T", 0, 0), HUGE),
        ((0, "t0"), [1.0]),
        ((0, "t0"), []),
        ((0, "mu"), []),
        ((0, "mu"), [1.0]),
        ((0, "mu", 0), 0.0),
        ((0, "mu", 0), "inf"),
        ((0, "rows"), [8, 8]),  # as many rows as before, one of them twice
        ((1, "sides"), [1.0]),
        ((2, "rows"), [1]),
    ],
)
def test_malformed_relaxations_are_refused(tmp_path, where, value):
    certificate, points, labels = made("relaxed")
    path = tmp_path / "certificate.json"
    path.write_text(json.dumps(altered(old_document(certificate), ("relaxation", *where), value)))
    with pytest.raises(CertificateError):
        load_certificate(path).check(points, labels)


# Covers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["tolerance", "cut off"])
def test_a_cover_proves_its_level_and_no_less(kind):
    """However level and bounds are altered together, what is claimed is proven or refused."""
    certificate, points, labels = made(kind)
    document, truth = certificate.to_document(), dual_norm(points, labels, tol=1e-3).value
    cover = document["cover"]
    for factor in (1.1, 1.0, 0.99 * truth / cover["level"]):
        level = factor * cover["level"]
        norm = replace(dual_norm(points, labels, search=False), upper_bound=level, exact=False)
        norm = replace(norm, cover=Cover(level=level, nodes=cover["nodes"]))
        network = certificate.network
        again = assess(points, labels, network, certificate.lam, norm=norm, C=1.0, better=certificate.better)
        if level < truth:
            with pytest.raises(CertificateError, match="cones must prove"):
                again.check(points, labels)
        else:
            assert again.check(points, labels)
    for nodes in (0, 10**12):  # a budget is no claim: what it proves is
        assert Certificate.from_document({**document, "cover": {**cover, "nodes": nodes}}).check(
            points, labels
        )


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ((), "x"),
        ((), []),
        ((), {}),
        (("level",), 0.0),
        (("level",), -1.0),
        (("level",), "inf"),
        (("level",), None),
        (("nodes",), -1),
        (("nodes",), 0.5),
        (("nodes",), True),
        (("nodes",), HUGE),
    ],
)
def test_malformed_covers_are_refused(tmp_path, where, value):
    certificate, points, labels = made("tolerance")
    path = tmp_path / "certificate.json"
    path.write_text(json.dumps(altered(old_document(certificate), ("cover", *where), value)))
    with pytest.raises(CertificateError):
        load_certificate(path).check(points, labels)


# Arithmetic ------------------------------------------------------------------------------------------------


def test_exact_arithmetic_makes_a_proof_or_says_what_it_could_prove(monkeypatch):
    certificate = solve_max_margin(CROWD, CROWD_LABELS).certificate
    found = certificate.check(CROWD, CROWD_LABELS, arithmetic="exact")
    assert found.exact
    assert certificate.lower_bound * (1 - 1e-9) <= found.lower <= found.upper
    assert found.upper <= certificate.objective * (1 + 1e-9)
    assert "rational arithmetic" in str(found)
    with pytest.raises(ConvexReLUError, match="arithmetic"):
        certificate.check(CROWD, CROWD_LABELS, arithmetic="quick")
    monkeypatch.setattr("convexrelu.oracle.witness._WORK", 1e-6)  # no cones
    with pytest.raises(CertificateError, match="would be too large"):
        certificate.check(CROWD, CROWD_LABELS, arithmetic="exact")


def test_format_1_is_read_checked_and_converted(tmp_path):
    """Its check repeats the search; certified again, it has a proof."""
    certificate, points, labels = made("soft")
    path = tmp_path / "old.json"
    path.write_text(json.dumps(old_document(certificate)))
    old = Certificate.load(path)
    assert old.proof is None
    assert old.check(points, labels) is True
    assert old.proven() is old  # without the data there is nothing to make a proof from
    again = certify(points, labels, old.network, old.lam, C=old.C).proven()
    assert set(again.proof) == {"plus", "minus"}
    assert again.lower_bound == pytest.approx(old.lower_bound, rel=1e-9)


# What is printed, and what is refused at the door ----------------------------------------------------------


def test_certificates_of_classes_say_what_each_says():
    certificate = solve_max_margin(POINTS, CLASSES, C=1.0).certificate
    assert certificate.exact == all(part.exact for part in certificate.certificates)
    assert certificate.globally_optimal == (certificate.gap <= 1e-6)
    assert certificate.verdict.startswith("globally optimal, proven to a relative gap of ")
    head, sums, *parts = str(certificate).splitlines()
    assert head == f"Certificate: {certificate.verdict}"
    assert sums.endswith("sums over 3 classes")
    assert sum(line.startswith("class ") for line in parts) == 3


def test_infeasible_data_has_its_verdict():
    with pytest.raises(ConvexReLUError) as caught:
        solve_max_margin([[1.0], [2.0]], [1, -1])
    from convexrelu.certificates import certify_infeasible

    certificate = certify_infeasible([[1.0], [2.0]], [1, -1], caught.value.farkas)
    assert certificate.proven().verdict == "no network without biases fits the data: proven"


@pytest.mark.usefixtures("unchecked")
def test_networks_of_the_wrong_kind_are_refused():
    network = solve_max_margin(X, Y).network
    for arguments, options, message in [
        ((X, Y, "none"), {}, "network must be"),
        ((X, Y, network), {"better": "none"}, "better must be"),
        ((POINTS, CLASSES, [network] * 3), {"better": network}, "better is for two labels"),
    ]:
        with pytest.raises(ConvexReLUError, match=message):
            certify(*arguments, **options)


def test_a_proof_that_is_no_object_is_refused():
    document = solve_max_margin(X, Y).certificate.to_document()
    with pytest.raises(CertificateError, match="proof must be an object"):
        Certificate.from_document({**document, "proof": [1]})


def test_only_a_certificate_that_has_its_data_judges_another_network(tmp_path):
    certificate = made("optimal")[0]
    nobody = TwoLayerReLU(np.zeros((0, 2)), [])
    again = certificate.rejudged(POOR, nobody)
    assert again.lower_bound == pytest.approx(certificate.lower_bound, rel=1e-12)
    assert again.objective > certificate.objective
    assert again.check(X, Y)
    certificate.save(tmp_path / "c.json")
    with pytest.raises(CertificateError, match="knows its data"):
        Certificate.load(tmp_path / "c.json").rejudged(POOR, nobody)


def test_multipliers_that_least_squares_does_not_find_are_others(monkeypatch):
    """At its limit of iterations there is nothing from there; the network's own multipliers still bound."""

    def exhausted(*_, **__):
        raise RuntimeError("Maximum number of iterations reached.")

    monkeypatch.setattr("convexrelu.certificates.multipliers.nnls", exhausted)
    certificate = certify(X, Y, POOR)
    assert 0 < certificate.lower_bound <= solve_max_margin(X, Y).objective <= certificate.objective
    assert certificate.check(X, Y)


def test_bounds_beyond_the_largest_float_are_infinite():
    assert _float(Fraction(10) ** 400) == np.inf
    assert _float(Fraction(1, 3)) == 1 / 3


def test_sums_of_parts_that_no_network_fits_say_so():
    from convexrelu.certificates import certify_infeasible

    part = certify_infeasible([[1.0], [2.0]], [1, -1], [2.0, -1.0]).proven()  # exactly, not to rounding
    both = MultiClassCertificate(classes=np.array([0, 1]), certificates=(part, part))
    assert both.lower_bound == np.inf
    assert both.verdict == "no network without biases fits the data: proven"


def test_a_proof_is_made_within_its_time(tmp_path):
    """What is cut off is given up: the file then proves what needs no search."""
    rng = np.random.default_rng(0)
    points, labels = rng.normal(size=(80, 8)), np.where(rng.random(80) < 0.5, 1.0, -1.0)
    norm, nobody = dual_norm(points, labels, max_nodes=6000), TwoLayerReLU(np.zeros((0, 8)), [])
    certificate = assess(points, labels, nobody, labels, norm=norm, C=1.0, better=nobody)
    made("cut off")[0].proven()  # compiling counts for the processor, and not for the limit
    limit, started = 0.5, time.process_time()
    proven = certificate.proven(time_limit=limit)
    assert time.process_time() - started <= limit + 2.0  # compiled kernels end what they have begun
    pairs = certificate.proven(time_limit=1e-9)
    assert pairs.proof["plus"]["kind"] == pairs.proof["minus"]["kind"] == "pairs"
    assert 0 < pairs.lower_bound <= proven.lower_bound
    assert pairs.lower_bound < 0.9 * certificate.lower_bound  # which many cones proved
    pairs.save(tmp_path / "c.json")
    assert load_certificate(tmp_path / "c.json").check(points, labels)


def test_a_proof_that_is_made_in_time_does_not_depend_on_the_limit(tmp_path):
    for certificate, points, labels in (made("optimal"), made("classes")):
        certificate.save(tmp_path / "free.json")
        certificate.save(tmp_path / "limited.json", time_limit=100.0)
        assert (tmp_path / "free.json").read_bytes() == (tmp_path / "limited.json").read_bytes()
        assert load_certificate(tmp_path / "limited.json").check(points, labels)


def test_classes_share_the_time_of_their_proofs(monkeypatch):
    """The first of three gets a third; what it leaves is for the others."""
    certificate, given = made("classes")[0], []

    def noted(part, *, time_limit):
        given.append(time_limit)
        return part

    monkeypatch.setattr(Certificate, "proven", noted)
    certificate.proven(time_limit=30.0)
    assert given == pytest.approx([10.0, 15.0, 30.0], abs=0.5)
    given.clear()
    certificate.proven(time_limit=1e-12)
    assert len(given) == 3
    assert all(0 < seconds < 0.1 for seconds in given)


@pytest.mark.parametrize("limit", [0.0, -1.0, np.nan])
def test_limits_of_proofs_are_checked(limit):
    for name in ("optimal", "classes"):
        with pytest.raises(InvalidInputError, match="time_limit"):
            made(name)[0].proven(time_limit=limit)
