"""The published schema describes what is written, and nothing that is broken."""

from __future__ import annotations

import json
from importlib.resources import files

import numpy as np
import pytest

import convexrelu as cr
from convexrelu.certificates import certify_infeasible

jsonschema = pytest.importorskip("jsonschema")  # comes with nbformat
SCHEMA = json.loads(files("convexrelu").joinpath("certificate.schema.json").read_text())


def certificates():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(12, 3)), np.array([1.0, -1.0] * 6)
    twice = np.array([[1.0, 2.0], [3.0, 6.0], [0.0, 1.0]])
    yield cr.solve_max_margin(X, y).certificate
    yield cr.solve_max_margin(X[:, :1], y, C=1.0).certificate
    yield cr.solve_max_margin(np.c_[X, X], y).certificate  # a frame
    yield cr.solve_max_margin(np.eye(3), np.array([0.0, 1.0, 2.0])).certificate
    yield cr.certify(X, y, cr.TwoLayerReLU(np.zeros((0, 3)), []), improve=False)
    yield cr.solve(X, y, loss=cr.losses.Huber(0.5), beta=1.0, output_bias=True).certificate
    yield cr.solve(X, np.c_[y, X[:, 0]], loss="multi_squared", beta=2.0, tol=1e-2).certificate
    yield certify_infeasible(twice, [1, -1, 1], [3.0, -1.0, 0.0])


def test_what_is_written_is_what_the_schema_says(tmp_path):
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    kinds = set()
    for certificate in certificates():
        certificate.save(tmp_path / "c.json")
        document = json.loads((tmp_path / "c.json").read_text())
        jsonschema.validate(document, SCHEMA)
        for part in document.get("certificates", [document]):
            proof = part["proof"] or {}
            sides = [side for corner in proof.get("corners", [proof]) for side in corner.values()]
            kinds |= {side["kind"] for side in sides if side}
        for broken in (
            {**document, "version": 1},
            {**document, "seal": ""},
            {name: value for name, value in document.items() if name not in ("lower_bound", "lam")},
        ):
            if broken == document or ("certificates" in document and "lower_bound" in broken):
                continue
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate(broken, SCHEMA)
    assert kinds == {"cones", "lines", "pairs"}
