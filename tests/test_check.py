import json
import subprocess
import sys

import numpy as np
import pytest

import convexrelu as cr
from convexrelu.check import check_certificate, main


@pytest.fixture
def certificate(tmp_path):
    path = tmp_path / "certificate.json"
    cr.solve_max_margin(*cr.datasets.load("wang-pilanci-f1")).certificate.save(path)
    return path


def test_holds(certificate, capsys):
    assert main([str(certificate), "wang-pilanci-f1"]) == 0
    assert capsys.readouterr().out.startswith("holds: 1.28243")


def test_other_data(certificate, capsys):
    assert main([str(certificate), "wang-pilanci-f2"]) == 1
    assert "other data" in capsys.readouterr().out


@pytest.mark.parametrize("field", ["lower_bound", "objective", "gap", "dual_feasibility"])
def test_altered_numbers(certificate, field):
    document = json.loads(certificate.read_text())
    document[field] = document[field] * 1.001 + 1e-6
    certificate.write_text(json.dumps(document))
    result = check_certificate(certificate, "wang-pilanci-f1")
    assert not result.holds
    assert field in result.reason


def test_lam_of_the_wrong_sign_does_not_hold(certificate):
    document = json.loads(certificate.read_text())
    document["lam"] = [-v for v in document["lam"]]
    certificate.write_text(json.dumps(document))
    assert main([str(certificate), "wang-pilanci-f1"]) == 1


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": "something else"}'])
def test_unreadable_certificate(tmp_path, content, capsys):
    path = tmp_path / "bad.json"
    path.write_text(content)
    assert main([str(path), "wang-pilanci-f1"]) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    assert "bad.json" in streams.err
    assert streams.err.count("\n") == 1


def test_missing_data(certificate, capsys):
    assert main([str(certificate), "missing.csv"]) == 2
    assert "missing.csv" in capsys.readouterr().err


def test_several_classes(tmp_path):
    X, y = np.eye(3), np.array([0, 1, 2])
    np.savez(tmp_path / "data.npz", X=X, y=y)
    cr.solve_max_margin(X, y.astype(float)).certificate.save(tmp_path / "c.json")
    assert check_certificate(tmp_path / "c.json", tmp_path / "data.npz").holds
    assert main([str(tmp_path / "c.json"), "wang-pilanci-f1"]) == 1


def python(*arguments):
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=120, check=False
    )


def test_no_solver_is_loaded(certificate):
    """A certificate is checked by its own means: no convex solver, not even the package's."""
    program = (
        "import sys; from convexrelu.check import main; code = main(sys.argv[1:]); "
        "bad = {'cvxpy', 'clarabel', 'highspy', 'scs', 'convexrelu.solvers', 'convexrelu.programs'}; "
        "print(sorted(bad & set(sys.modules))); sys.exit(code)"
    )
    done = python("-c", program, str(certificate), "wang-pilanci-f1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_python_dash_m(certificate):
    done = python("-m", "convexrelu.check", str(certificate), "wang-pilanci-f2")
    assert done.returncode == 1, done.stderr
    assert "does not hold" in done.stdout
