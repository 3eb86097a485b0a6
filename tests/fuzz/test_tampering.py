"""Certificates that are tampered with: refused, or what is left still proves what they state.

One certificate of each kind, and so of each kind of proof, is altered at random: a number by 1e-6 or more,
relative, a byte of a packed array, a field that is removed, renamed or moved, a list or path that is cut,
repeated or reversed, an entry of the data by its last bit. `make fuzz` tries a hundred times as often as the
tests.
"""

from __future__ import annotations

import base64
import copy
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from relaxed import relaxed

import convexrelu as cr
from convexrelu.certificates import certify_infeasible
from convexrelu.check import RefusedError, check_document, main, seal

from .test_fuzz import FACTOR

TRIES = 20 * FACTOR  # of each kind
SMALLEST = -6.0  # the power of ten of the smallest change of a number, relative


@dataclass(frozen=True, eq=False)
class Case:
    """A certificate's document with its data, and what it proves in rational arithmetic."""

    document: dict[str, Any]
    X: np.ndarray
    y: np.ndarray
    bounds: tuple[Any, Any]


def solved(kind: str) -> tuple[Any, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    n, d = {"hard": (14, 3), "branches": (20, 12)}.get(kind, (12, 2))
    X, y = rng.normal(size=(n, d)), np.where(rng.random(n) < 0.5, 1.0, -1.0)
    if kind == "infeasible":
        X = np.array([[1, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [-1, -1.0]])
        y = np.array([1.0, -1, 1, -1, -1, 1])
        with pytest.raises(cr.InfeasibleError) as caught:
            cr.solve_max_margin(X, y)
        return certify_infeasible(X, y, caught.value.farkas), X, y
    if kind == "closed form":  # orthogonally separable
        X = y[:, None] * np.abs(X)
    if kind == "classes":
        y = rng.integers(3, size=n).astype(float)
    if kind == "branches":
        return relaxed(X, y, cr.solve_max_margin(X, y, time_limit=60.0).network, share=0.9), X, y
    if kind in MARGINS:
        C = 1.0 if kind in ("soft", "classes") else np.inf
        return cr.solve_max_margin(X, y, C=C, time_limit=60.0).certificate, X, y
    if kind in OUTPUTS:
        y = rng.normal(size=(n, 2)) if kind == "multi_squared" else np.arange(n) % 3.0
        return cr.solve(X, y, loss=kind, beta=0.5, tol=1e-2, output_bias=True).certificate, X, y
    if kind in PARTS:
        y, parts = rng.normal(size=n), dict(PARTS[kind])
        if kind == "gated":
            parts["gates"] = rng.normal(size=(5, d))
        return cr.solve(X, y, loss="squared", beta=0.5, **parts).certificate, X, y
    if kind == "poisson":
        y = rng.poisson(2.0, size=n).astype(float)
    elif not cr.losses.get_loss(kind).takes_labels:
        y = rng.normal(size=n)
    return cr.solve(X, y, loss=kind, beta=0.5, output_bias=kind == "huber").certificate, X, y


MARGINS = ("hard", "soft", "classes", "branches", "closed form")
LOSSES = (
    *("squared", "absolute", "huber", "quantile", "epsilon_insensitive"),
    *("hinge", "squared_hinge", "logistic", "exponential", "poisson"),
)
PARTS: dict[str, dict[str, Any]] = {
    "linear part": {"skip": True, "output_bias": True},
    "penalised": {"output_bias": "penalised"},
    "gated": {},
}
OUTPUTS = ("multi_squared", "softmax")
KINDS = (*MARGINS, "infeasible", *LOSSES, *PARTS, *OUTPUTS)
PROOFS = {  # how the others prove their bounds
    "closed form": "pairs",
    "branches": "semidefinite",
    "infeasible": "lines",
    "gated": "none",
}


@cache
def case(kind: str, folder: str) -> Case:
    certificate, X, y = solved(kind)
    certificate.save(f"{folder}/{kind}.json")
    with open(f"{folder}/{kind}.json", encoding="utf-8") as stream:
        document = json.load(stream)
    np.savez(f"{folder}/{kind}.npz", X=X, y=y)
    assert main([f"{folder}/{kind}.json", f"{folder}/{kind}.npz"]) == 0
    return Case(document, X, y, check_document(document, X, y, exact=True))


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("tampering"))
    return {kind: case(kind, folder) for kind in KINDS}, folder


def walk(node: Any, path: tuple = ()) -> Iterator[tuple[tuple, Any]]:
    """Every value in a document, with the keys that lead to it."""
    if path:
        yield path, node
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield from walk(value, (*path, key))


def holder(document: Any, path: tuple) -> Any:
    for key in path[:-1]:
        document = document[key]
    return document


def pick(found: list, rng: np.random.Generator) -> Any:
    return found[rng.integers(len(found))]


def alter_number(document: Any, rng: np.random.Generator) -> None:
    """Any number; as often one of the few that stand alone as one of an array."""
    found = [path for path, value in walk(document) if type(value) in (int, float)]
    alone = [path for path in found if not isinstance(path[-1], int)]
    path = pick(alone if rng.random() < 0.5 else found, rng)
    node, factor = holder(document, path), 1 + rng.choice([-1, 1]) * 10.0 ** rng.uniform(SMALLEST, 0.3)
    node[path[-1]] = node[path[-1]] * factor if node[path[-1]] else factor - 1


def alter_array(document: Any, rng: np.random.Generator) -> None:
    """A byte of a packed array, or the number of its bytes."""
    found = []
    for path, value in walk(document):
        if path[-1] in PACKED and isinstance(value, str):
            found.append(path)
    if not found:
        alter_number(document, rng)
        return
    path = pick(found, rng)
    node = holder(document, path)
    raw = bytearray(zlib.decompress(base64.b64decode(node[path[-1]])))
    if raw and rng.random() < 0.9:
        raw[rng.integers(len(raw))] ^= int(rng.integers(1, 256))
    else:
        raw += bytes(int(rng.integers(1, 9)))
    node[path[-1]] = base64.b64encode(zlib.compress(bytes(raw))).decode()


def alter_key(document: Any, rng: np.random.Generator) -> None:
    """A field is missing, has another name, or holds what belongs to another one."""
    found = [path for path, _ in walk(document) if isinstance(path[-1], str)]
    path, other = pick(found, rng), pick(found, rng)
    node, how = holder(document, path), rng.integers(3)
    if how == 0:
        del node[path[-1]]
    elif how == 1:
        node[path[-1] + "_"] = node.pop(path[-1])
    else:
        node[path[-1]] = copy.deepcopy(holder(document, other)[other[-1]])


def alter_path(document: Any, rng: np.random.Generator) -> None:
    """A list is shorter, longer or in another order: of leaves, of the rows that one fixes, of numbers."""
    found = [path for path, value in walk(document) if isinstance(value, list) and value]
    path = pick(found, rng)
    values, how = holder(document, path)[path[-1]], rng.integers(4)
    k = int(rng.integers(len(values)))
    if how == 0:
        del values[k]
    elif how == 1:
        values.append(copy.deepcopy(values[k]))
    elif how == 2:
        values.append(0)
    else:
        values.reverse()


WAYS = {"number": alter_number, "array": alter_array, "key": alter_key, "path": alter_path}
PACKED = ("split", "cut", "met", "count", "which", "t", "T", "t0", "z")
STATED = ("C", "beta", "loss", "parameters", "weights", "output_bias", "skip", "gates")  # the problem


def problem_of(document: Any) -> list:
    return [[part.get(name) for name in STATED] for part in document.get("certificates", [document])]


def still_proves(changed: Any, original: Case) -> None:
    """What a checker in floats let pass is true, says the one in rational numbers."""
    low, high = float(changed["lower_bound"]), float(changed["objective"])
    lower, upper = check_document(changed, original.X, original.y, exact=True)
    assert low <= lower <= upper <= high
    if problem_of(changed) == problem_of(original.document):
        assert low <= original.bounds[1]
        assert original.bounds[0] <= high


def alter_data(original: Case, rng: np.random.Generator) -> None:
    """One entry of the data differs by its last bit, or one label."""
    X, y = original.X.copy(), original.y.copy()
    if rng.random() < 0.8:
        place = rng.integers(X.shape[0]), rng.integers(X.shape[1])
        X[place] = np.nextafter(X[place], rng.choice([-np.inf, np.inf]))
    else:
        place = tuple(rng.integers(y.shape))
        y[place] = -y[place] if set(original.y.ravel()) == {-1.0, 1.0} else np.nextafter(y[place], np.inf)
    if len(set(y.ravel())) > 1:
        with pytest.raises(RefusedError, match=r"other data|number of classes"):
            check_document(original.document, X, y)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_altered_is_refused_or_still_proves_what_it_states(cases, kind):
    rng = np.random.default_rng(None if FACTOR > 1 else KINDS.index(kind))
    original, tried, refused = cases[0][kind], 0, 0
    while tried < TRIES:
        way = pick([*WAYS, "data"], rng)
        if way == "data":
            alter_data(original, rng)
            tried, refused = tried + 1, refused + 1
            continue
        changed = copy.deepcopy(original.document)
        WAYS[way](changed, rng)
        if changed == original.document:
            continue
        tried += 1
        assert seal(changed) != changed.get("seal")  # by accident nothing passes
        try:
            check_document(changed, original.X, original.y)
        except RefusedError:
            refused += 1
            continue
        still_proves(changed, original)
    assert refused > TRIES / 4


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_proof_is_among_them(cases, kind):
    document = cases[0][kind].document
    parts = document.get("certificates", [document])
    if kind in OUTPUTS:
        parts = [{"proof": corner} for corner in document["proof"]["corners"]]
    found = {(part["proof"][sign] or {"kind": "none"})["kind"] for part in parts for sign in part["proof"]}
    assert PROOFS.get(kind, "cones") in found


def test_an_altered_file_is_refused(cases):
    """From the command line, where the seal is looked at, whatever else is changed."""
    rng = np.random.default_rng(0)
    known, folder = cases
    for kind in KINDS:
        for alter in WAYS.values():
            changed = copy.deepcopy(known[kind].document)
            alter(changed, rng)
            if changed != known[kind].document:
                path = f"{folder}/changed.json"
                with open(path, "w", encoding="utf-8") as stream:
                    json.dump(changed, stream)
                assert main([path, f"{folder}/{kind}.npz"]) in (1, 2), kind
