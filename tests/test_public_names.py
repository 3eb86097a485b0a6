from __future__ import annotations

import inspect
import json
import subprocess
import sys
from importlib import import_module

import pytest

import convexrelu

NAMES = {
    *("ConvexReLUError", "CertificateError", "InfeasibleError", "InvalidInputError", "SolverError"),
    *(
        "Arrangement",
        "count_patterns",
        "enumerate_patterns",
        "iter_patterns",
        "pattern_bound",
        "sample_patterns",
    ),
    *("is_orthogonally_separable", "is_spike_free"),
    *("Correlation", "maximize_correlation"),
    *("FeedForward", "PowerLeakyReLU", "NCFResult", "maximize_ncf", "ncf_stationarity", "rank_one_kkt_point"),
    *("TwoLayerReLU", "ReLUNetwork", "GatedReLU", "datasets", "losses"),
    *("dual_program", "primal_program"),
    *("MaxMarginPath", "MaxMarginSolution", "MultiClassSolution", "max_margin_path", "solve_max_margin"),
    *("Certificate", "KKTReport", "MultiClassCertificate", "RegularizedCertificate", "certify", "check_kkt"),
    *("Solution", "SolutionPath", "beta_max", "solution_path", "solve"),
    *("Trajectory", "alignment_flow", "gradient_descent", "gradient_flow"),
    *("LimitReport", "verify_gradient_descent"),
    *("NeuronPursuitClassifier", "NeuronPursuitRegressor"),
    *("MaxMarginReLUClassifier", "ReLUClassifier", "ReLURegressor"),
    *("PursuitResult", "neuron_pursuit"),
}
HEAVY = {"cvxpy", "sklearn", "matplotlib", "numba", "scipy.optimize", "torch", "pandas", "pyarrow"}


def run_python(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout


def test_the_public_names_are_these():
    assert set(convexrelu.__all__) == NAMES
    assert len(convexrelu.__all__) == len(NAMES)
    assert set(dir(convexrelu)) >= NAMES
    assert isinstance(convexrelu.__version__, str)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_name_loads_and_is_documented(name):
    assert getattr(convexrelu, name).__doc__


@pytest.mark.parametrize("name", sorted(NAMES - {"datasets", "losses"}))
def test_every_name_has_an_example(name):
    """Which runs: the doctests of the package are tests."""
    assert "\n>>> " in inspect.cleandoc(getattr(convexrelu, name).__doc__)


def test_names_know_where_they_live():
    for module in set(convexrelu._MODULE_OF.values()):
        home = import_module(f"convexrelu.{module}")
        for name in (n for n, m in convexrelu._MODULE_OF.items() if m == module):
            assert getattr(convexrelu, name) is getattr(home, name)


def test_packages_need_no_import_of_their_own():
    """`import convexrelu as cr; cr.plotting` is enough, and completion shows it, without what is private."""
    shown = [name for name in dir(convexrelu) if not name.startswith("_")]
    packages = sorted(set(shown) - NAMES | {"datasets", "losses"})
    code = "; ".join(["import convexrelu as cr", *(f"print(cr.{name}.__name__)" for name in packages)])
    assert run_python(code).split() == [f"convexrelu.{name}" for name in packages]
    assert {"plotting", "training", "planar", "oracle"} <= set(packages)
    for name in packages:
        assert import_module(f"convexrelu.{name}").__doc__


def test_unknown_names_are_refused():
    with pytest.raises(AttributeError, match="no_such_name"):
        convexrelu.no_such_name  # noqa: B018


def test_importing_is_light():
    # in a fresh process, without the test hooks
    code = "import json, sys, convexrelu; dir(convexrelu); print(json.dumps(sorted(sys.modules)))"
    loaded = set(json.loads(run_python(code)))
    assert not HEAVY & loaded
    assert {name for name in loaded if name.startswith("convexrelu.")} <= {"convexrelu.errors"}


def test_errors_cost_no_solver_either():
    loaded = json.loads(
        run_python(
            "import json, sys; from convexrelu import SolverError; print(json.dumps(sorted(sys.modules)))"
        )
    )
    assert not HEAVY & set(loaded)


@pytest.mark.parametrize("package", ["arrangements", "oracle", "ncf", "certificates", "training", "saddles"])
def test_certificates_and_what_they_stand_on_load_no_solver(package):
    loaded = set(
        json.loads(
            run_python(
                f"import json, sys; import convexrelu.{package}; print(json.dumps(sorted(sys.modules)))"
            )
        )
    )
    assert not {"cvxpy", "clarabel", "ecos", "scs", "highspy", "sklearn", "matplotlib", "torch"} & loaded
