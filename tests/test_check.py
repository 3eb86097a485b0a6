"""The independent checker: what it accepts is true; what is false or broken it refuses, never by a crash."""

from __future__ import annotations

import base64
import copy
import json
import subprocess
import sys
import zlib
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from fuzz.exact import objective as rational_objective
from hypothesis import given, settings
from hypothesis import strategies as st
from relaxed import relaxed

import convexrelu as cr
from convexrelu._box_least_norm import box_least_norm
from convexrelu.certificates import certify_infeasible, load_certificate
from convexrelu.certificates.document import encode
from convexrelu.check import (
    MISSING,
    OFFSET,
    SIGNS,
    UNIT,
    RefusedError,
    _between,
    _largest_eigenvalue,
    _least,
    _lower_bound,
    _read_data,
    _unpack,
    _upper_bound,
    check_document,
    correlation_bound,
    fingerprint,
    main,
    seal,
)
from convexrelu.datasets import tables
from convexrelu.oracle.relaxation import Leaf, Relaxation, relaxed_bound
from convexrelu.oracle.witness import _branches, proof_of

F1 = cr.datasets.load("wang-pilanci-f1")


def python(*arguments, **options):
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=120, check=False, **options
    )


def problem(n, d, seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), np.where(rng.random(n) < 0.5, 1.0, -1.0)


def largest(X, lam):
    """The largest correlation by brute force: the zonotopes' distance for every choice of active rows."""
    P, Q = (X * lam[:, None])[lam > 0], -(X * lam[:, None])[lam < 0]
    choices = map(np.array, product([0.0, 1.0], repeat=len(P)))
    return max(box_least_norm(Q, s @ P, np.ones(len(Q))).norm for s in choices) if len(P) else 0.0


def sealed(document):
    return {**document, "seal": seal(document)}


def saved(folder, X, y, certificate):
    certificate.save(folder / "c.json")
    np.savez(folder / "d.npz", X=X, y=y)
    return str(folder / "c.json"), str(folder / "d.npz")


@pytest.fixture
def files(tmp_path):
    return saved(tmp_path, F1.X, F1.y, cr.solve_max_margin(*F1).certificate)


# What it says ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [[], ["--exact"]])
def test_holds(files, options, capsys):
    assert main([*files, *options]) == 0
    line = capsys.readouterr().out
    assert line.startswith("holds: 1.28243")
    assert "C = inf" in line
    assert ("rational" in line) == bool(options)
    lower, _, _, _, upper = line.split()[1:6]
    claimed = json.loads(Path(files[0]).read_text())
    assert (float(lower), float(upper)) == (claimed["lower_bound"], claimed["objective"])


def test_other_data(files, tmp_path, capsys):
    np.savez(tmp_path / "other.npz", X=np.nextafter(F1.X, 9), y=F1.y)
    assert main([files[0], str(tmp_path / "other.npz")]) == 1
    assert "other data" in capsys.readouterr().out


def test_csv_with_names_for_labels(tmp_path):
    (tmp_path / "d.csv").write_text('# a,kind,b\n1.65,"yes",-0.47\n\n-0.47,no,1.35\n')
    cr.solve_max_margin(*F1).certificate.save(tmp_path / "c.json")
    assert main([str(tmp_path / "c.json"), str(tmp_path / "d.csv"), "--label", "kind"]) == 0
    assert main([str(tmp_path / "c.json"), str(tmp_path / "d.csv"), "--label", "none"]) == 2


@pytest.mark.parametrize("standardized", [False, True])
@pytest.mark.parametrize("bias", [False, True])
def test_data_are_prepared_as_the_file_says(tmp_path, standardized, bias):
    """Columns by name in the file's order, those that are kept, standardised, and one of ones."""
    done = {
        "kept": [0, 2],
        "mean": [1.0, 2.0],
        "scale": [2.0, 4.0],
        "standardized": standardized,
        "bias": bias,
    }
    (tmp_path / "d.csv").write_text("kind,c,b,a\nyes,10,7,3\nno,6,7,5\n")
    np.savez(tmp_path / "d.npz", X=[[10.0, 7.0, 3.0], [6.0, 7.0, 5.0]], kind=[1, 0])
    expected = np.array([[3.0, 10.0], [5.0, 6.0]])
    if standardized:
        expected = np.array([[1.0, 2.0], [2.0, 1.0]])
    if bias:
        expected = np.hstack([expected, [[1.0], [1.0]]])
    for name, features in (("d.csv", ["a", "b", "c"]), ("d.npz", ["x3", "x2", "x1"])):
        model = {"label": "kind", "preprocessing": {**done, "features": features}}
        X, labels = _read_data(str(tmp_path / name), None, model)
        np.testing.assert_array_equal(X, expected)
        assert labels.tolist() in (["yes", "no"], [1, 0])


def test_several_classes(tmp_path, capsys):
    X, y = np.eye(3), np.array([0, 1, 2])
    files = saved(tmp_path, X, y, cr.solve_max_margin(X, y, C=10.0).certificate)
    assert main([*files]) == 0
    assert "C = 10.0" in capsys.readouterr().out
    document = json.loads(Path(files[0]).read_text())
    for field, factor in (("lower_bound", 1 + 1e-9), ("objective", 1 - 1e-9)):
        for place in (document, document["certificates"][1]):
            kept, place[field] = place[field], factor * place[field]
            with pytest.raises(RefusedError, match="proves only") as caught:
                check_document(document, X, y)
            assert caught.value.code == 1  # an altered sum is a false claim, not an unreadable file
            place[field] = kept
    check_document(document, X, y)
    with pytest.raises(RefusedError, match="number of classes"):
        check_document(document, X, np.array([0, 1, 1]))


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "3",
        "null",
        '{"format": "something else"}',
        '{"format": "convexrelu certificate", "version": 1}',
        '{"format": "convexrelu certificate", "version": 3}',
        "[" * 100_000,
        '{"a":' * 100_000,
        '{"format": "convexrelu certificate", "version": 2, "x": NaN}',
        '{"format": "convexrelu certificate", "format": "convexrelu certificate", "version": 2}',
        "\ud800",
    ],
)
def test_unreadable_certificates(tmp_path, files, content, capsys):
    path = tmp_path / "bad.json"
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    assert main([str(path), files[1]]) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    assert "bad.json" in streams.err
    assert streams.err.count("\n") == 1


def test_repeated_keys_take_linear_time(tmp_path, files):
    path = tmp_path / "bad.json"
    path.write_text("{" + ",".join(f'"k{i}": 0' for i in range(200_000)) + ', "k7": 1}')
    assert main([str(path), files[1]]) == 2


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a,b,label\n",
        b"a,b,label\n1,2\n",
        b"a,a,label\n1,2,1\n",
        b"a,b,label\n1,x,1\n",
        b"a,b,label\n1,nan,1\n",
        b"\xff",
    ],
)
def test_unreadable_data(tmp_path, files, content, capsys):
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    assert main([files[0], str(path)]) == 2
    assert main([files[0], str(tmp_path / "missing.csv")]) == 2
    assert capsys.readouterr().err.count("\n") == 2


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "a line of column names"),
        ("a,b,label\n", "and one of values at least"),
        ("a,b,label\n1,2,1\n3,1\n", "row 2 has 2 values, not 3"),
        ("a,b,label\n1,2,1\n3,,-1\n", "row 2 has no value in column b: --skip-missing"),
        ("a,b,label\n1,2,1\n3,n/a,-1\n", "row 2 has no value in column b"),
    ],
)
def test_data_with_something_missing(tmp_path, files, content, said, capsys):
    path = tmp_path / "bad.csv"
    path.write_text(content)
    assert main([files[0], str(path)]) == 2
    assert said in capsys.readouterr().err


def test_rows_with_a_missing_value_are_left_out_as_the_package_does(tmp_path, capsys):
    """Each word for nothing that a table is read with; a class may be called "none"."""
    assert MISSING == tables._MISSING
    table, arrays = tmp_path / "data.csv", tmp_path / "data.npz"
    gone = [f"{word},1,yes" for word in sorted(MISSING)] + [
        f"2,{word.upper()},none" for word in sorted(MISSING)
    ]
    table.write_text("\n".join(["a,b,label", "1,0,yes", *gone, "3,4,", "0,1,none", "1,1,yes"]))
    data = cr.datasets.from_file(table, skip_missing=True)
    assert len(data.X) == 3
    certificate = cr.solve_max_margin(data.X, data.y).certificate
    certificate.save(tmp_path / "c.json")
    assert main([str(tmp_path / "c.json"), str(table)]) == 2
    assert "--skip-missing" in capsys.readouterr().err
    assert main([str(tmp_path / "c.json"), str(table), "--skip-missing"]) == 0
    X = np.vstack([data.X, [np.nan, 1.0], data.X[:1]])
    np.savez(arrays, X=X, y=np.r_[data.y, 1.0, np.nan])
    assert main([str(tmp_path / "c.json"), str(arrays)]) == 2
    assert main([str(tmp_path / "c.json"), str(arrays), "--skip-missing"]) == 0
    np.savez(arrays, X=np.vstack([data.X, [np.inf, 1.0]]), y=np.r_[data.y, 1.0])
    assert main([str(tmp_path / "c.json"), str(arrays), "--skip-missing"]) == 2  # infinity is not missing
    table.write_text("a,b,label\n,0,1\n1,,-1\n")
    assert main([str(tmp_path / "c.json"), str(table), "--skip-missing"]) == 2


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("a;b;label\n1,5;-2;1\n3;4;-1\n", [[1.5, -2.0], [3.0, 4.0]]),
        ("a\tb\tlabel\n1.5\t-2\t1\n3\t4\t-1\n", [[1.5, -2.0], [3.0, 4.0]]),
        ("label,b,a\n1,-2,1.5\n-1,4,3\n", [[-2.0, 1.5], [4.0, 3.0]]),
    ],
)
def test_tables_with_other_signs_between_columns(tmp_path, text, numbers):
    (tmp_path / "d.csv").write_text(text)
    X, labels = _read_data(str(tmp_path / "d.csv"), None, None)
    assert X.tolist() == numbers
    assert labels.tolist() == [1.0, -1.0]


def test_what_is_misshapen_is_unreadable(tmp_path):
    for X, y in ((np.zeros((0, 2)), np.zeros(0)), (np.zeros(2), np.ones(2)), (np.zeros((2, 2)), np.ones(3))):
        np.savez(tmp_path / "d.npz", X=X, y=y)
        with pytest.raises(RefusedError, match="misshapen data") as caught:
            _read_data(str(tmp_path / "d.npz"), None, None)
        assert caught.value.code == 2
    (tmp_path / "d.csv").write_text("a,a,label\n1,2,1\n")
    with pytest.raises(RefusedError, match="each column needs a name") as caught:
        _read_data(str(tmp_path / "d.csv"), None, None)
    assert caught.value.code == 2


def test_fingerprints_say_the_sizes_and_tell_shapes_apart():
    X, y = np.arange(6.0).reshape(2, 3), np.array([1, -1])
    assert fingerprint(X, y).startswith("2x3 sha256:")
    assert fingerprint(X, y) == fingerprint(X + 0.0, y.astype(float))
    assert len({fingerprint(X, y), fingerprint(-X, y), fingerprint(X, -y), fingerprint(X[:, ::-1], y)}) == 4
    assert fingerprint(np.array([[-0.0]]), y[:1]) == fingerprint(np.array([[0.0]]), y[:1])


def test_damaged_archives(tmp_path, files):
    whole = Path(files[1]).read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(200):
        raw = bytearray(whole)
        for place in rng.integers(len(raw), size=3):
            raw[place] ^= int(rng.integers(1, 256))
        (tmp_path / "bad.npz").write_bytes(bytes(raw[: rng.integers(1, len(raw) + 1)]))
        assert main([files[0], str(tmp_path / "bad.npz")]) in (0, 1, 2)


def test_interrupted(files, monkeypatch, capsys):
    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("convexrelu.check.check_document", interrupt)
    assert main([*files]) == 130
    assert capsys.readouterr().err == "error: interrupted\n"


def test_it_stands_alone(files):
    """NumPy, the standard library, and nothing else of the package."""
    program = (
        "import sys; from convexrelu.check import main; code = main(sys.argv[1:]); "
        "top = {name.split('.')[0] for name in sys.modules} - set(sys.stdlib_module_names); "
        "print(sorted(top), sorted(n for n in sys.modules if n.startswith('convexrelu'))); sys.exit(code)"
    )
    done = python("-c", program, *files)
    assert done.returncode == 0, done.stderr
    top, inside = done.stdout.splitlines()[-1].split("] [")
    assert inside == "'convexrelu', 'convexrelu.check']"
    allowed = {"__main__", "convexrelu", "numpy"}
    others = set(top.strip("[").replace("'", "").split(", ")) - allowed
    assert not {name for name in others if not name.startswith(("_", "sitecustomize"))}


def test_python_dash_m(files):
    done = python("-m", "convexrelu.check", *files)
    assert (done.returncode, done.stderr) == (0, "")


# What proofs prove -----------------------------------------------------------------------------------------


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(["generic", "duplicates", "antiparallel", "flat", "integers", "zero rows", "one class"]),
    st.integers(-400, 400),
)
@settings(max_examples=40)
def test_proofs_bound_the_largest_correlation(seed, kind, power):
    """In both arithmetics no bound is below brute force, and a proof reaches the level it was made for."""
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(1, 9)), int(rng.integers(1, 5))
    X, lam = rng.normal(size=(n, d)), rng.normal(size=n)
    if kind == "duplicates":
        X[n // 2 :] = X[: n - n // 2]
    elif kind == "antiparallel":
        X[n // 2 :] = -2 * X[: n - n // 2]
    elif kind == "flat":
        X[:, -1] = X[:, 0]
    elif kind == "integers":
        X, lam = rng.integers(-2, 3, size=(n, d)).astype(float), rng.integers(-2, 3, size=n).astype(float)
    elif kind == "zero rows":
        X[0] = 0.0
    elif kind == "one class":
        lam = np.abs(lam)
    truth = max(largest(X, lam), largest(X, -lam))
    scale = 2.0**power
    proof = proof_of(X * scale, lam, truth * scale)
    size = float(np.linalg.norm(X * lam[:, None], axis=1).sum())
    for exact in (False, True):
        sides = [correlation_bound(X * scale, lam, name, proof[name], exact=exact) for name in SIGNS]
        bound = max(sides) / Fraction(scale)
        assert bound >= truth * (1 - 1e-13) - 1e-14 * size
        assert bound <= truth * (1 + 1e-10) + 1e-12 * size
        for side, part in zip(sides, (largest(X, lam), largest(X, -lam)), strict=True):
            assert side / Fraction(scale) >= part * (1 - 1e-13) - 1e-14 * size


def packed(values, width):
    planes = (np.asarray(values, dtype=np.int64)[None, :] >> (8 * np.arange(width)[:, None])) & 255
    return base64.b64encode(zlib.compress(planes.astype(np.uint8).tobytes())).decode()


def any_tree(rng, k, r, positive):
    """A tree of cones of the right form with arbitrary numbers: nothing about it is good."""
    split, n_inner, nodes = [], 0, 2**r
    while len(split) < nodes:
        inner = r > 1 and rng.random() < 0.35 and nodes < 200
        split.append(int(rng.integers(1, r * (r - 1) // 2 + 1)) if inner else 0)
        n_inner, nodes = n_inner + inner, nodes + 2 * inner
    n_leaves = nodes - n_inner
    count = rng.integers(0, 3, size=n_leaves)
    return {
        "kind": "cones",
        "frame": None,
        "split": packed(split, 1),
        "cut": packed(rng.integers(0, k, size=n_inner), 4),
        "met": packed(rng.integers(0, 2**r, size=n_leaves), 2),
        "count": packed(count, 4),
        "which": packed(rng.integers(0, k, size=count.sum()), 4),
        "t": packed(rng.integers(0, UNIT + 1, size=count.sum()), 4),
    }


@pytest.mark.parametrize(("k", "r"), [(1, 1), (3, 1), (2, 2), (3, 2), (4, 2), (3, 3), (4, 3)])
def test_trees_of_any_numbers_over_few_rows(k, r):
    for seed in range(4):
        bounds_hold(np.random.default_rng(seed), k, r)


@given(st.integers(0, 2**32 - 1))
def test_whatever_a_trees_numbers_are_its_bound_holds(seed):
    rng = np.random.default_rng(seed)
    bounds_hold(rng, int(rng.integers(1, 8)), int(rng.integers(1, 5)))


def bounds_hold(rng, k, r):
    X, lam = rng.normal(size=(k, r)), rng.normal(size=k)
    if rng.random() < 0.3:  # kinks on the coordinate planes
        X = np.rint(X)
    lam[~X.any(axis=1)] = 0.0
    k = int((lam != 0).sum())
    if not k:
        return
    for name, sign in SIGNS.items():
        tree = any_tree(rng, k, r, sign * lam > 0)
        truth = largest(X, sign * lam)
        bounds = [float(correlation_bound(X, lam, name, tree, exact=exact)) for exact in (False, True)]
        assert min(bounds) >= truth * (1 - 1e-12)
        # rho of a degenerate cone is rounding; without any, both arithmetics work out the same bound
        tree["met"] = packed(np.zeros(200, int)[: leaves_of(tree)], 2)
        rounded, exact = (correlation_bound(X, lam, name, tree, exact=how) for how in (False, True))
        assert min(rounded, exact) >= truth * (1 - 1e-12)
        assert float(rounded) == pytest.approx(float(exact), rel=1e-9)


def leaves_of(tree):
    return len(zlib.decompress(base64.b64decode(tree["count"]))) // 4


def test_on_a_line_bounds_hold_to_the_last_digit():
    """In one dimension the largest correlation is a sum: no bound is below it, not even by 2^-60."""
    rng = np.random.default_rng(0)
    parts = {name: packed([], 4) for name in ("cut", "which", "t")}
    for _ in range(20):
        X, lam = rng.normal(size=(3, 1)), rng.normal(size=3)
        tree = {"split": packed([0, 0], 1), "met": packed(rng.integers(0, 2, size=2), 2), **parts}
        tree |= {"kind": "cones", "frame": None, "count": packed([0, 0], 4)}
        for name, sign in SIGNS.items():
            generators = [Fraction(w * sign) * Fraction(x) for w, x in zip(lam, X[:, 0], strict=True)]
            right = sum(g for g, x in zip(generators, X[:, 0], strict=True) if x > 0)
            left = sum(-g for g, x in zip(generators, X[:, 0], strict=True) if x < 0)
            if (sign * lam > 0).any():
                for exact in (False, True):
                    assert correlation_bound(X, lam, name, tree, exact=exact) >= max(right, left, 0)


def test_rays_of_any_length_count_by_their_length():
    """``(u1 + u2)_+ - |u1 - u2|`` is largest on the ray that splits an orthant, half as long as others."""
    X, lam = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0]]), np.array([1.0, -1.0, -1.0])
    tree = {"split": packed([1, 0, 0, 0, 0, 0], 1), "cut": packed([1], 4), "met": packed([0] * 5, 2)}
    tree |= {"count": packed([0] * 5, 4), "which": packed([], 4), "t": packed([], 4)}
    for exact in (False, True):
        bound = correlation_bound(X, lam, "plus", {"kind": "cones", "frame": None, **tree}, exact=exact)
        assert 2 <= bound**2 <= 2 * (1 + Fraction(1, 10**9))


def test_edges_are_split_between_their_ends():
    """Wherever a generator vanishes, or does not: the new ray is a positive combination of both."""
    A, B = (np.array([ray]).astype(object) for ray in ((1, 0), (0, 1)))
    for x, y in ((1, 2), (2, 1), (1, 1), (1, -1), (-1, 5), (0, 1), (1, 0)):
        normal = np.array([[x, y]]).astype(object)
        for exact, kind in ((True, object), (False, float)):
            new = _between(*(part.astype(kind) for part in (A, B, normal)), exact)[0]
            assert (new > 0).all(), (x, y, exact)
            if x * y < 0:
                assert float(new[1] / new[0]) == pytest.approx(-x / y, rel=1e-12)


@pytest.mark.parametrize("spread", [1.0, 1e-3, 1e-7, 1e-12, 0.0])
def test_the_least_vectors_are_those_of_the_pseudoinverse(spread):
    """Goals at any of the rays, in general position, on thin cones, or repeated: met as well, or better."""
    rng = np.random.default_rng(0)
    for r in (1, 2, 4, 6):
        V = rng.normal(size=(50, 1, r)) + spread * rng.normal(size=(50, r, r))
        V /= np.abs(V).sum(axis=2, keepdims=True)
        goal = (V @ rng.normal(size=(50, r, 1)))[..., 0]
        on = rng.random((50, r)) < 0.7
        rho = _least(V, goal, on)
        known = (np.linalg.pinv(V * on[..., None], rcond=1e-14) @ (goal * on)[..., None])[..., 0]
        missed, before = (np.abs(((V @ v[..., None])[..., 0] - goal) * on).max() for v in (rho, known))
        assert missed <= max(before, 1e-14)
        assert (np.linalg.norm(rho, axis=1) <= np.linalg.norm(known, axis=1) * (1 + 1e-2)).all()
        assert np.isfinite(_least(0 * V, goal, on)).all()  # no rays: anything serves


def test_nodes_that_no_orthant_contains_are_refused():
    X, lam = np.array([[1.0], [2.0]]), np.array([1.0, -1.0])
    parts = {name: packed([], 4) for name in ("which", "t")}
    tree = {
        "kind": "cones",
        "frame": None,
        "met": packed([1, 1, 1], 2),
        "count": packed([0, 0, 0], 4),
        **parts,
    }
    for split in ([0, 0, 1, 0], [0, 0, 1], [0, 0, 0], [0]):
        with pytest.raises(RefusedError, match="a tree of cones is malformed"):
            correlation_bound(X, lam, "plus", {**tree, "split": packed(split, 1), "cut": packed([0], 4)})


def branch(X, lam, rows, sides, seed=0):
    """A semidefinite leaf for +lam that fixes these rows, with answers in the middle of their boxes."""
    fixed = np.isin(np.arange(len(lam)), rows)
    n_answers, p = int((~fixed & (lam < 0)).sum()) + len(rows), int((~fixed & (lam > 0)).sum())
    values = {
        "T": np.zeros(n_answers * p, int),
        "t0": np.full(n_answers, UNIT // 2),
        "z": np.full(p + 1, 2**20),
    }
    return {"rows": rows, "sides": sides, **{key: packed(OFFSET + v, 5) for key, v in values.items()}}


def test_branches_bound_the_largest_correlation():
    X, y = problem(6, 3, seed=4)
    lam = y * np.linspace(1, 2, 6)
    tree = [branch(X, lam, [0, 1], [1, 1]), branch(X, lam, [0, 1], [1, -1]), branch(X, lam, [0], [-1])]
    root = [branch(X, lam, [], [])]
    for leaves in (tree, root):
        bound = correlation_bound(X, lam, "plus", {"kind": "semidefinite", "leaves": leaves})
        assert bound >= Fraction(largest(X, lam)) * (1 - Fraction(1, 10**12))


@pytest.mark.parametrize(
    "paths",
    [
        [],
        [([0], [1])],
        [([0, 0], [1, 1]), ([0, 0], [1, -1]), ([0], [-1])],  # a row twice: its generator would count twice
        [([0, 1, 0], [1, 1, 1]), ([0, 1, 0], [1, 1, -1]), ([0, 1], [1, -1]), ([0], [-1])],
        [([0, 0], [1, 1]), ([0, 0], [-1, -1])],
        [([0], [1]), ([1], [-1])],
        [([0], [1]), ([0], [1])],
        [([0], [1]), ([0, 1], [-1, 1])],
        [([0], [1]), ([0], [0.5])],
        [([0, 1], [1, 1]), ([0, 1], [1, -1]), ([0], [-1]), ([], [])],
    ],
)
def test_branches_that_are_no_tree_are_refused(paths):
    """162 leaves that fix one row more than once once "proved" a bound below the truth."""
    X, y = problem(6, 3, seed=4)
    leaves = [branch(X, y, rows, sides) for rows, sides in paths]
    with pytest.raises(RefusedError, match=r"no binary tree|each row once"):
        correlation_bound(X, y, "plus", {"kind": "semidefinite", "leaves": leaves})


@pytest.mark.parametrize(("rows", "sides"), [([7], [1]), ([0, 1], [1])])
def test_branches_over_no_rows_are_refused(rows, sides):
    X, y = problem(6, 3, seed=4)
    document = json.loads(open_certificate(X, y))
    leaves = [{**branch(X, y, rows, sides), "sides": [sign * s for s in sides]} for sign in (1, -1)]
    document["proof"] = {name: {"kind": "semidefinite", "leaves": leaves} for name in SIGNS}
    with pytest.raises(RefusedError, match="malformed certificate: ValueError"):
        check_document(document, X, y)


def test_a_deep_tree_of_branches_is_no_recursion():
    n = 1200
    X, lam = np.ones((n, 1)), np.ones(n)
    paths = [(list(range(k + 1)), [1] * k + [-1]) for k in range(n - 1)] + [
        (list(range(n - 1)), [1] * (n - 1))
    ]
    leaf = branch(X[:1], lam[:1], [], [])
    leaves = [{**leaf, "rows": rows, "sides": sides} for rows, sides in paths[::-1]]
    with pytest.raises((RefusedError, ValueError)):  # arrays of another size, found after the tree was walked
        correlation_bound(X, lam, "plus", {"kind": "semidefinite", "leaves": leaves})


def test_answers_outside_their_boxes_and_multipliers_without_a_size_are_refused():
    """``t0 + T s`` in [0, 1] for every s in {0, 1}^p; of rows that are fixed it may be more; z > 0."""
    X, y = problem(6, 3, seed=4)
    p, free, fixed = int((y > 0).sum()), int((y < 0).sum()), 1
    row = int(np.flatnonzero(y < 0)[0])

    def bound(T=0, t0=0, z=1, answer=0, fix=False):
        rows, sides = ([row], [1]) if fix else ([], [])
        values = {"T": np.zeros((free, p), int), "t0": np.zeros(free, int), "z": np.ones(p + 1, int)}
        values["T"][answer, 0], values["t0"][answer], values["z"][-1] = T, t0, z
        leaf = {
            "rows": rows,
            "sides": sides,
            **{key: packed(OFFSET + v.ravel(), 5) for key, v in values.items()},
        }
        other = {**leaf, "sides": [-1], "T": packed(OFFSET + np.zeros(free * p, int), 5)}
        leaves = [leaf, {**other, "t0": packed(OFFSET + np.zeros(free, int), 5)}] if fix else [leaf]
        return correlation_bound(X, y, "plus", {"kind": "semidefinite", "leaves": leaves})

    last = free - fixed  # the answers of the rows that are fixed stand behind the others
    for good in (
        *({"t0": UNIT}, {"T": UNIT}, {"T": -UNIT, "t0": UNIT}, {"T": UNIT // 2, "t0": UNIT // 2}),
        *({"t0": 9 * UNIT, "answer": last, "fix": True}, {"T": 9 * UNIT, "answer": last, "fix": True}),
    ):
        assert bound(**good) >= Fraction(largest(X, y)) * (1 - Fraction(1, 10**12))
    for bad in (
        *({"t0": UNIT + 1}, {"t0": -1}, {"T": UNIT + 1}, {"T": -1}, {"T": 1, "t0": UNIT}),
        *({"T": -UNIT - 1, "t0": UNIT}, {"t0": -1, "answer": last, "fix": True}),
    ):
        with pytest.raises(RefusedError, match="answers must be in"):
            bound(**bad)
    for z in (0, -1):
        with pytest.raises(RefusedError, match="positive multipliers"):
            bound(z=z)


def test_eigenvalues_are_bounded_whatever_their_factor_is(monkeypatch):
    """``s I - S = L L^T + E``: a poor guess of s or L is made up for by E."""
    S = np.array([[2, 1, 0], [1, 2, 0], [0, 0, 1]]).astype(object) * 10**6  # the largest is three million
    good = _largest_eigenvalue(S)
    assert 3 * 10**6 <= good <= 3 * 10**6 * (1 + Fraction(1, 10**11))
    rng = np.random.default_rng(0)
    for _ in range(20):
        poor = rng.normal(size=(3, 3))
        monkeypatch.setattr("convexrelu.check.np.linalg.cholesky", lambda _, poor=poor: poor)
        monkeypatch.setattr("convexrelu.check.np.linalg.eigvalsh", lambda _: rng.random(3) - 0.5)
        assert _largest_eigenvalue(S) >= 3 * 10**6


def test_no_proof_bounds_nothing_but_what_needs_none():
    X, lam = np.array([[1.0, 0.0], [0.0, 2.0]]), np.array([1.0, 1.0])
    assert correlation_bound(X, lam, "plus", None) == np.inf
    assert correlation_bound(X, lam, "minus", None) == 0
    assert correlation_bound(X, lam, "minus", {"kind": "anything"}) == 0
    assert correlation_bound(X, 0 * lam, "plus", None) == 0
    assert correlation_bound(0 * X, lam, "plus", None) == 0


def test_a_frame_need_not_be_orthonormal():
    """What it misses of the rows is added, and the bound in its coordinates grows by its norm."""
    X, lam = np.array([[1.0, 0.5, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, 0.0]]), np.array([1.0, 2.0, -1.0])
    truth = Fraction(largest(X, lam))
    tree = proof_of(X, lam, float(truth))["plus"]
    frame = np.array(tree["frame"])
    rng = np.random.default_rng(1)
    for exact in (False, True):
        known = correlation_bound(X, lam, "plus", tree, exact=exact)
        assert known <= truth * (1 + Fraction(1, 10**9))
        for size in (1e-9, 1e-3, 0.1, 1.0):
            F = frame + size * rng.normal(size=frame.shape)
            assert correlation_bound(X, lam, "plus", {**tree, "frame": F.tolist()}, exact=exact) >= truth
    # rows along the first axis, in a frame that is isometric there and of norm 2 elsewhere
    axis, weights = np.array([[1.0, 0.0], [0.5, 0.0]]), np.array([1.0, -1.0])
    empty = {name: packed([], 4) for name in ("cut", "which", "t")}
    leaves = {"split": packed([0] * 4, 1), "met": packed([3] * 4, 2), "count": packed([0] * 4, 4)}
    for frame, least in ((None, 0.5), ([[1.0, 0.0], [0.0, 2.0]], 1.0)):
        bound = correlation_bound(axis, weights, "plus", {"kind": "cones", "frame": frame, **empty, **leaves})
        assert least * (1 - 1e-15) <= bound <= least * (1 + 1e-9)


def test_rounding_is_allowed_for_as_written(monkeypatch):
    """Each node's rays, heights and rho, and the sums over k rows, in units of all that is added up."""
    X, lam = np.array([[1.0, 0.25], [0.5, 1.0], [0.25, 0.5]]), np.array([1.0, 1.0, -0.5])
    tree = proof_of(X, lam, largest(X, lam))["plus"]
    bounds = []
    for eps in (2.0**-52, 2.0**-20):
        monkeypatch.setattr("convexrelu.check.EPS", eps)
        bounds.append(float(correlation_bound(X, lam, "plus", tree)))
    k, r = X.shape
    size = float(np.linalg.norm(X * lam[:, None], axis=1).sum()) + bounds[0]
    depth = tree_depth(tree, r)
    expected = (k + 16 * r + 2 * depth + 64) * 2 * np.sqrt(r) * size
    assert (bounds[1] - bounds[0]) * 2**20 == pytest.approx(expected, rel=1e-5)


def tree_depth(tree, r):
    split = np.frombuffer(zlib.decompress(base64.b64decode(tree["split"])), dtype=np.uint8)
    levels, front = 0, 2**r
    while split[:front].any():  # breadth first: the parts of one level follow it
        n_parts = 2 * int((split[:front] > 0).sum())
        split, front, levels = split[front:], n_parts, levels + 1
    return levels


def test_lines_prove_exactly():
    """One ray with both labels, opposite pairs that cancel, and near-parallel rows within what they are."""
    X, lam = np.array([[1.0, 2.0], [3.0, 6.0], [0.0, 1.0]]), np.array([3.0, -1.0, 0.0])
    lines = {"kind": "lines", "groups": [[0, 1]]}
    for name in SIGNS:
        assert correlation_bound(X, lam, name, lines) == 0
    X = np.array([[1, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [-1, -1.0]])
    lam = np.array([1, -1, 1, -1, -1, 1.0])
    lines = {"kind": "lines", "groups": [[0, 1], [2, 3], [4, 5]]}
    assert correlation_bound(X, lam, "plus", lines) == 0
    X, lam = np.array([[1.0, 1e-12], [1.0, -1e-12]]), np.array([1.0, -1.0])
    near = correlation_bound(X, lam, "plus", {"kind": "lines", "groups": [[0, 1]]})
    opposite, ones = np.array([[1.0], [-2.0]]), np.ones(2)
    bent = correlation_bound(opposite, ones, "plus", {"kind": "lines", "groups": [[0, 1]]})
    assert 2 <= bent <= 2 + 2**-50  # max(1, 2)
    assert 1e-12 <= near <= 3e-12  # the first axis has none, the second 1e-12: what they differ by counts
    for groups in ([[0, 1], [1]], [[0, 0]], [[0, 5]], [[2]]):
        with pytest.raises(RefusedError):
            correlation_bound(X, lam, "plus", {"kind": "lines", "groups": groups})


@pytest.mark.parametrize("C", [np.inf, 0.01, 1.0, 100.0])
def test_objectives_are_those_of_the_best_scale(C):
    """Exactly: the smallest over all kinks of the slack, with margins of zero and of the wrong sign, too."""
    rng = np.random.default_rng(3)
    for m in (0, 1, 3):
        X, W1, w2 = rng.normal(size=(5, 2)), rng.normal(size=(m, 2)), rng.normal(size=m)
        X[1], X[2] = 0.0, X[0]
        y = np.where(rng.random(5) < 0.5, 1, -1)
        for network in ((W1, w2), (np.vstack([X, X]), np.r_[y, y].astype(float))):
            truth = rational_objective(X, y, *network, C)
            found = _upper_bound(X, y, *network, C, True)
            assert found == (np.inf if truth is None else truth)
            assert _upper_bound(X, y, *network, C, False) >= found
    weights = np.array([[2.0]]), np.array([3.0])  # at margin 6: 13/2 over 6
    assert _upper_bound(np.array([[1.0]]), np.array([1]), *weights, np.inf, True) == Fraction(13, 12)


def test_lower_bounds_do_not_depend_on_the_scale_of_multipliers():
    pairs = {name: {"kind": "pairs"} for name in SIGNS}
    for size in (1e-3, 0.5, 1.0, 2.0, 1e3):
        bound = _lower_bound(np.array([[1.0]]), np.array([size]), np.inf, pairs, False)
        assert 1 - 1e-12 <= bound <= 1


def test_multipliers_of_zero_bound_by_zero():
    X, nothing = np.eye(2), {"plus": None, "minus": None}
    for C in (np.inf, 1.0):
        assert _lower_bound(X, np.zeros(2), C, nothing, False) == 0
    lam = np.array([1.0, -1.0])
    contradiction = np.array([[1.0, 2.0], [1.0, 2.0]])
    lines = {name: {"kind": "lines", "groups": [[0, 1]]} for name in SIGNS}
    assert _lower_bound(contradiction, lam, np.inf, lines, False) == np.inf
    assert _lower_bound(contradiction, lam, 0.25, lines, False) == Fraction(1, 2)  # 2 over 1/C


def smallest_certificate():
    """One row: the network of weights 1 and 1, lam = 1, and P* = 1."""
    X, y = np.array([[1.0]]), np.array([1])
    pairs = {name: {"kind": "pairs"} for name in SIGNS}
    document = {
        "C": 10.0,
        "data": fingerprint(X, y),
        "lam": [1.0],
        "proof": pairs,
        "network": {"W1": [[1.0]], "w2": [1.0]},
        "lower_bound": 1 - 1e-12,
        "objective": 1 + 1e-12,
    }
    return document, X, y


def test_each_claim_alone_is_refused():
    document, X, y = smallest_certificate()
    for exact in (False, True):
        low, high = check_document(document, X, y, exact=exact)
        assert 1 - 1e-14 <= low <= 1 <= high <= 1 + 1e-14
    with pytest.raises(RefusedError, match="malformed certificate") as caught:
        check_document({**document, "network": None}, X, y)
    assert caught.value.code == 2
    for claim in ({"lower_bound": 1 + 1e-12}, {"objective": 1 - 1e-12}):
        with pytest.raises(RefusedError, match="proves only"):
            check_document({**document, **claim}, X, y)


@pytest.mark.parametrize("lie", [{"C": 0.0}, {"C": -1.0}, {"lam": [-1.0]}, {"lam": [1.0, 1.0]}, {"lam": []}])
def test_multipliers_and_prices_that_do_not_fit_are_refused(lie):
    document, X, y = smallest_certificate()
    with pytest.raises(RefusedError, match="lam must have size and signs of y, C > 0") as caught:
        check_document({**document, **lie}, X, y)
    assert caught.value.code == 1


# Forgeries -------------------------------------------------------------------------------------------------


def open_certificate(X, y, **options):
    certificate = cr.solve_max_margin(X, y, **options).certificate.proven()
    return json.dumps({"format": "convexrelu certificate", "version": 2, **encode(certificate.to_document())})


def numbers(node, path=()):
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            yield (*path, key)
        else:
            yield from numbers(value, (*path, key))


def packed_arrays(node, path=()):
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        if key in ("split", "cut", "met", "count", "which", "t", "T", "t0", "z"):
            yield (*path, key)
        else:
            yield from packed_arrays(value, (*path, key))


def at(document, path):
    for key in path[:-1]:
        document = document[key]
    return document


@pytest.mark.parametrize(("n", "d", "C"), [(12, 2, np.inf), (14, 3, np.inf), (12, 3, 1.0), (9, 4, 0.3)])
def test_no_altered_number_makes_a_false_claim_pass(n, d, C):
    """Whatever is altered and sealed anew: what then passes is true, by the exact bounds of the original."""
    X, y = problem(n, d, seed=5)
    document = json.loads(open_certificate(X, y, C=C))
    lower, upper = check_document(document, X, y, exact=True)
    rng = np.random.default_rng(0)
    plain, arrays = list(numbers(document)), list(packed_arrays(document))
    refused = 0
    for i in range(150):
        changed = copy.deepcopy(document)
        if i % 3 < 2:
            path = plain[rng.integers(len(plain))]
            node = at(changed, path)
            factor = 1 + rng.choice([-1, 1]) * 10.0 ** rng.uniform(-6, 0.3)
            node[path[-1]] = node[path[-1]] * factor if node[path[-1]] else factor - 1
        else:
            path = arrays[rng.integers(len(arrays))]
            node = at(changed, path)
            raw = bytearray(zlib.decompress(base64.b64decode(node[path[-1]])))
            if not raw:
                continue
            raw[rng.integers(len(raw))] ^= int(rng.integers(1, 256))
            node[path[-1]] = base64.b64encode(zlib.compress(bytes(raw))).decode()
        try:
            check_document(changed, X, y)
        except RefusedError:
            refused += 1
            continue
        assert changed["lower_bound"] <= upper
        assert lower <= changed["objective"]
    assert refused > 30


def test_claims_are_one_sided_and_strict():
    X, y = problem(12, 3, seed=1)
    document = json.loads(open_certificate(X, y))
    for field, direction in (("lower_bound", 1), ("objective", -1)):
        claim = document[field]
        # what a file claims is weaker by some 1e-12 than what it proves: a claim beyond that is refused
        for step in (1e-11, 1e-9, 1e-6, 1.0):
            with pytest.raises(RefusedError, match="proves only"):
                check_document({**document, field: claim * (1 + direction * step)}, X, y)
        check_document({**document, field: claim * (1 - direction * 1e-3)}, X, y)


@pytest.mark.parametrize(
    "lie",
    [
        {"C": 1.0},
        {"C": 0.0},
        {"C": -1.0},
        {"C": "nan"},
        {"lam": [1.0]},
        {"lam": "x"},
        {"lam": [[1.0, 2.0], [3.0]]},
        {"proof": None},
        {"proof": {}},
        {"proof": {"plus": None, "minus": None}},
        {"proof": {"plus": {"kind": "cones"}, "minus": {"kind": "cones"}}},
        {"proof": {"plus": {"kind": "magic"}, "minus": {"kind": "magic"}}},
        {"proof": []},
        {"network": {"W1": [[1.0], [2.0, 3.0]], "w2": [1.0, 1.0]}},
        {"network": {"W1": [[1e200, 1e200, 1e200]], "w2": [1e200]}},
        {"network": {"W1": [[1e-200, 0.0, 0.0]], "w2": [1e-200]}},
        {"network": None},
        {"lower_bound": "inf"},
        {"objective": "-inf"},
        {"objective": None},
        {"data": "12x3 sha256:00"},
        {"certificates": []},
        {"certificates": [1]},
        {"certificates": 5},
    ],
)
def test_broken_fields_are_refused(lie):
    X, y = problem(12, 3, seed=1)
    document = json.loads(open_certificate(X, y))
    for exact in (False, True):
        with pytest.raises(RefusedError):
            check_document({**document, **lie}, X, y, exact=exact)


def test_packed_arrays_may_be_so_large_and_no_larger():
    """64 times their text's length and a page: memory is bounded by the file's size, to the byte."""
    for n in range(4096, 8192):
        text = zlib.compress(bytes(n))
        if n == 64 * len(text) + 4096:
            break
    else:
        raise AssertionError("no length fits")
    assert len(_unpack({"a": base64.b64encode(text)}, "a", 1)) == n
    more = zlib.compress(bytes(n + 1))
    assert len(more) == len(text)
    for broken in (more, text[:-1]):
        with pytest.raises(RefusedError, match="'a' is cut off, or too large") as caught:
            _unpack({"a": base64.b64encode(broken)}, "a", 1)
        assert caught.value.code == 2


@pytest.mark.parametrize("field", ["lam", "W1", "w2"])
def test_numbers_must_be_finite_and_of_as_many_dimensions(field):
    document, X, y = smallest_certificate()
    place = document if field == "lam" else document["network"]
    kept = np.array(place[field])
    for wrong in (np.inf * kept, np.nan * kept, kept[None], kept.ravel()[0]):
        place[field] = wrong.tolist()
        with pytest.raises(RefusedError, match=f"{field} must hold finite numbers") as caught:
            check_document(document, X, y)
        assert caught.value.code == 2


def test_a_refusal_is_that_of_a_false_claim_unless_said_otherwise():
    assert RefusedError("no").code == 1


def test_a_zip_bomb_is_refused():
    bomb = base64.b64encode(zlib.compress(bytes(10**8))).decode()
    X, y = problem(12, 3, seed=1)
    document = json.loads(open_certificate(X, y))
    document["proof"]["plus"] = {**document["proof"]["minus"], "kind": "cones", "frame": None, "split": bomb}
    with pytest.raises(RefusedError, match="too large"):
        check_document(document, X, y)


# Both arithmetics ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("C", [np.inf, 0.5])
@pytest.mark.parametrize(("n", "d"), [(1, 1), (5, 1), (20, 2), (40, 3), (25, 4), (15, 5)])
def test_the_exact_enclosure_is_inside_the_rounded_one(n, d, C):
    X, y = problem(n, d, seed=n)
    try:
        document = json.loads(open_certificate(X, y, C=C))
    except cr.InfeasibleError:
        return
    rounded, exact = (check_document(document, X, y, exact=how) for how in (False, True))
    assert rounded[0] <= exact[0] <= exact[1] <= rounded[1]
    assert exact[0] / rounded[0] - 1 <= 1e-9
    assert rounded[1] / exact[1] - 1 <= 1e-9


def test_margins_of_all_scales():
    """Rows and weights of many decades: the objective is rational, and nothing over- or underflows."""
    X = np.array([[1e-150, 0.0], [0.0, 1e150], [1e100, 1e-100]])
    y = np.array([1.0, -1.0, 1.0])
    network = cr.TwoLayerReLU([[2e80, 0.0], [0.0, 1e-70]], [1e70, -1e-80])
    half = (Fraction(2e80) ** 2 + Fraction(1e-70) ** 2 + Fraction(1e70) ** 2 + Fraction(1e-80) ** 2) / 2
    q = min(
        Fraction(1e-150) * Fraction(2e80) * Fraction(1e70),
        Fraction(1e150) * Fraction(1e-70) * Fraction(1e-80),
    )
    assert _upper_bound(X, y, network.W1, network.w2, np.inf, True) == half / q
    assert _upper_bound(X, y, network.W1, network.w2, np.inf, False) >= half / q
    tiny = cr.TwoLayerReLU([[1e-200, 0.0]], [1e-200])  # its margin underflows, and so proves nothing
    assert (
        _upper_bound(X[:1], y[:1], tiny.W1, tiny.w2, np.inf, True)
        == Fraction(1) / (Fraction(1e-150)) * ((Fraction(1e-200) ** 2 * 2) / 2) / Fraction(1e-200) ** 2
    )


@pytest.mark.parametrize("kind", ["ray", "zero row", "antipodes", "classes"])
def test_infeasible_data_is_proven_so(tmp_path, kind):
    data = {
        "ray": ([[1.0, 2.0], [3.0, 6.0], [0.0, 1.0]], [1, -1, 1]),
        "zero row": ([[0.0, 0.0], [1.0, 0.0]], [1, -1]),
        "antipodes": ([[1, 0], [-1, 0], [0, 1], [0, -1], [1, 1], [-1, -1.0]], [1, -1, 1, -1, -1, 1]),
        "classes": ([[1.0, 2.0], [2.0, 4.0], [0.0, 1.0], [1.0, 0.0]], [0, 1, 2, 2]),
    }
    X, y = (np.array(part, dtype=float) for part in data[kind])
    with pytest.raises(cr.InfeasibleError) as caught:
        cr.solve_max_margin(X, y)
    certificate = certify_infeasible(X, y, caught.value.farkas)
    files = saved(tmp_path, X, y, certificate)
    assert main([*files]) == 0
    assert main([*files, "--exact"]) == 0
    loaded = load_certificate(files[0])
    assert loaded.lower_bound >= 1e12
    if kind in ("ray", "zero row", "classes"):
        assert loaded.lower_bound == np.inf
        assert loaded.check(X, y, arithmetic="exact").lower == np.inf
    else:
        assert loaded.enclosure(X, y).lower >= loaded.lower_bound
    with pytest.raises(cr.InvalidInputError):
        certify_infeasible(X, y, -y if kind != "classes" else np.zeros(4))


def test_a_relaxation_is_written_down(tmp_path):
    """In 12 dimensions no cones are listed: the branches of the semidefinite program are the proof."""
    X, y = problem(30, 12, seed=2)
    certificate = relaxed(X, y, cr.solve_max_margin(X, y, time_limit=2.0).network, share=0.9)
    files = saved(tmp_path, X, y, certificate)
    assert main([*files]) == 0
    assert main([*files, "--exact"]) == 0
    loaded = cr.Certificate.load(files[0])
    assert "semidefinite" in {loaded.proof[name]["kind"] for name in SIGNS}
    assert loaded.lower_bound == pytest.approx(certificate.lower_bound, rel=1e-6)


def test_any_leaf_written_down_bounds_as_before():
    """A relaxation of arbitrary numbers: moved into the box and rounded, its bound keeps six digits."""
    rng = np.random.default_rng(3)
    X, y = problem(7, 3, seed=3)
    lam = y * rng.uniform(0.5, 2, size=7)
    leaves = []
    for sign in (1.0, -1.0):
        for side in (1.0, -1.0):
            w = sign * lam
            p, k = int((np.delete(w, 2) > 0).sum()), int((np.delete(w, 2) < 0).sum()) + 1
            leaves.append(
                Leaf(
                    sign=sign, rows=np.array([2]), sides=np.array([side]), T=0.1 * rng.normal(size=(k, p)),
                    t0=rng.uniform(0.3, 0.6, size=k), mu=10 ** rng.uniform(-2, 2, size=p + 1),
                )
            )  # fmt: skip
    relaxation = Relaxation(leaves=tuple(leaves))
    found = []
    for name, sign in SIGNS.items():
        proof = _branches(lam, np.arange(7), sign, relaxation)
        found.append(float(correlation_bound(X, lam, name, proof)))
    assert max(found) == pytest.approx(relaxed_bound(X, lam, relaxation), rel=1e-6)
