from __future__ import annotations

import copy
import json

import numpy as np
import pytest

from convexrelu import Certificate, CertificateError, ConvexReLUError, TwoLayerReLU, certify, solve_max_margin
from convexrelu.certificates import MultiClassCertificate, load_certificate

X, Y = np.array([[1.65, -0.47], [-0.47, 1.35]]), np.array([1, -1])
CLASSES = np.array([0, 1, 2, 0, 1, 2])
POINTS = np.random.default_rng(0).normal(size=(6, 2))


def kinds():
    """Certificates of every kind, with their data."""
    poor = TwoLayerReLU.from_directions([[2.0, 0.0], [0.0, 2.0]], [1, -1])
    optimum = solve_max_margin(X, Y)
    return {
        "optimal": (optimum.certificate, X, Y),
        "huge data": (solve_max_margin(1e9 * X, Y).certificate, 1e9 * X, Y),  # P* is about 1e-9
        "tiny data": (solve_max_margin(1e-9 * X, Y).certificate, 1e-9 * X, Y),
        "trained": (certify(X, Y, poor), X, Y),
        "does not fit": (certify(X, Y, TwoLayerReLU([[1.0, 1.0]], [1.0])), X, Y),
        "no neurons": (certify(X, Y, TwoLayerReLU(np.zeros((0, 2)), [])), X, Y),
        "better": (certify(X, Y, poor, better=optimum.network), X, Y),
        "soft": (solve_max_margin(POINTS, CLASSES == 1, C=0.4).certificate, POINTS, CLASSES == 1),
        "classes": (solve_max_margin(POINTS, CLASSES).certificate, POINTS, CLASSES),
        "text labels": (certify(X, ["yes", "no"], poor), X, ["yes", "no"]),
    }


KINDS = kinds()


@pytest.mark.parametrize("kind", KINDS)
def test_saved_loaded_and_checked(tmp_path, kind):
    certificate, points, labels = KINDS[kind]
    path = tmp_path / "certificate.json"
    certificate.save(path)
    loaded = load_certificate(path)
    assert type(loaded) is type(certificate)
    assert loaded.check(points, labels) is True
    assert loaded.check(points.tolist(), list(labels)) is True
    assert loaded.to_document() == certificate.to_document()  # to the last bit
    assert json.loads(path.read_text())["version"] == 1
    if isinstance(loaded, Certificate):
        assert Certificate.load(path).verdict == certificate.verdict
        assert str(Certificate.load(path)) == str(certificate)
    else:
        assert isinstance(loaded, MultiClassCertificate)
        with pytest.raises(CertificateError, match="load_certificate"):
            Certificate.load(path)


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
    certificate, points, labels = KINDS[kind]
    path = tmp_path / "certificate.json"
    certificate.save(path)
    document = json.loads(path.read_text())
    tried = 0
    for where, value in leaves(document):
        if where[0] == "classes":
            continue
        # by class there are three times as many numbers, and each check does the other classes too
        for forged in forgeries(where[-1], value)[: 1 if kind == "classes" else None]:
            path.write_text(json.dumps(altered(document, where, forged)))
            with pytest.raises(CertificateError):
                load_certificate(path).check(points, labels)
            tried += 1
    assert tried > 20


def test_a_claim_that_is_better_than_the_truth_is_refused_however_it_is_made():
    certificate = KINDS["trained"][0]
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
    document = KINDS["optimal"][0].to_document()
    with pytest.raises(CertificateError):
        Certificate.from_document({**document, "lam": [-v for v in document["lam"]]}).check(X, Y)


@pytest.mark.parametrize("kind", ["optimal", "soft", "classes"])
def test_other_data_is_refused(kind):
    certificate, points, labels = KINDS[kind]
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
    certificate = KINDS["optimal"][0]
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
    KINDS["better"][0].save(path)
    document = json.loads(path.read_text())
    for field in document:
        if isinstance(document[field], bool) and value is True:
            continue  # "exact" is true already
        path.write_text(json.dumps(altered(document, (field,), value)))
        with pytest.raises(CertificateError):
            load_certificate(path).check(X, Y)
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
    KINDS["optimal"][0].save(path)
    path.write_text(json.dumps(altered(json.loads(path.read_text()), where, value)))
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
        KINDS["optimal"][0].save(tmp_path / "nowhere" / "certificate.json")


def test_classes_are_checked_against_their_labels(tmp_path):
    certificate = KINDS["classes"][0]
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
