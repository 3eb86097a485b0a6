"""Two-layer ReLU max-margin training, solved to certified global optimality.

Names are loaded when first used, so that ``import convexrelu`` costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convexrelu import arrangements as arrangements
    from convexrelu import certificates as certificates
    from convexrelu import datasets, losses
    from convexrelu import ncf as ncf
    from convexrelu import networks as networks
    from convexrelu import oracle as oracle
    from convexrelu import papers as papers
    from convexrelu import planar as planar
    from convexrelu import plotting as plotting
    from convexrelu import programs as programs
    from convexrelu import pursuit as pursuit
    from convexrelu import saddles as saddles
    from convexrelu import solvers as solvers
    from convexrelu import training as training
    from convexrelu import verify as verify
    from convexrelu.arrangements import (
        Arrangement,
        count_patterns,
        enumerate_patterns,
        is_orthogonally_separable,
        is_spike_free,
        iter_patterns,
        pattern_bound,
        sample_patterns,
    )
    from convexrelu.certificates import (
        Certificate,
        KKTReport,
        MultiClassCertificate,
        RegularizedCertificate,
        check_kkt,
    )
    from convexrelu.errors import (
        CertificateError,
        ConvexReLUError,
        InfeasibleError,
        InvalidInputError,
        SolverError,
    )
    from convexrelu.estimator import (
        MaxMarginReLUClassifier,
        NeuronPursuitClassifier,
        NeuronPursuitRegressor,
        ReLUClassifier,
        ReLURegressor,
    )
    from convexrelu.judge import certify
    from convexrelu.ncf import NCFResult, maximize_ncf, ncf_stationarity, rank_one_kkt_point
    from convexrelu.networks import FeedForward, GatedReLU, PowerLeakyReLU, ReLUNetwork, TwoLayerReLU
    from convexrelu.oracle import Correlation, maximize_correlation
    from convexrelu.programs import dual_program, primal_program
    from convexrelu.pursuit import PursuitResult, neuron_pursuit
    from convexrelu.solvers import (
        MaxMarginPath,
        MaxMarginSolution,
        MultiClassSolution,
        Solution,
        SolutionPath,
        beta_max,
        max_margin_path,
        solution_path,
        solve,
        solve_max_margin,
    )
    from convexrelu.training import Trajectory, alignment_flow, gradient_descent, gradient_flow
    from convexrelu.verify import LimitReport, verify_gradient_descent

__version__ = "0.2.0"

_HOME = {
    "arrangements": [
        "Arrangement",
        "count_patterns",
        "enumerate_patterns",
        "is_orthogonally_separable",
        "is_spike_free",
        "iter_patterns",
        "pattern_bound",
        "sample_patterns",
    ],
    "certificates": [
        "Certificate",
        "KKTReport",
        "MultiClassCertificate",
        "RegularizedCertificate",
        "check_kkt",
    ],
    "errors": ["CertificateError", "ConvexReLUError", "InfeasibleError", "InvalidInputError", "SolverError"],
    "estimator": [
        "MaxMarginReLUClassifier",
        "NeuronPursuitClassifier",
        "NeuronPursuitRegressor",
        "ReLUClassifier",
        "ReLURegressor",
    ],
    "judge": ["certify"],
    "ncf": ["NCFResult", "maximize_ncf", "ncf_stationarity", "rank_one_kkt_point"],
    "networks": ["FeedForward", "GatedReLU", "PowerLeakyReLU", "ReLUNetwork", "TwoLayerReLU"],
    "oracle": ["Correlation", "maximize_correlation"],
    "programs": ["dual_program", "primal_program"],
    "pursuit": ["PursuitResult", "neuron_pursuit"],
    "solvers": [
        "MaxMarginPath",
        "MaxMarginSolution",
        "MultiClassSolution",
        "Solution",
        "SolutionPath",
        "beta_max",
        "max_margin_path",
        "solution_path",
        "solve",
        "solve_max_margin",
    ],
    "training": ["Trajectory", "alignment_flow", "gradient_descent", "gradient_flow"],
    "verify": ["LimitReport", "verify_gradient_descent"],
}
_PACKAGES = [
    *("arrangements", "certificates", "datasets", "losses", "ncf", "networks", "oracle", "papers", "planar"),
    *("plotting", "programs", "pursuit", "saddles", "solvers", "training", "verify"),
]
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = [
    "Arrangement",
    "Certificate",
    "CertificateError",
    "ConvexReLUError",
    "Correlation",
    "FeedForward",
    "GatedReLU",
    "InfeasibleError",
    "InvalidInputError",
    "KKTReport",
    "LimitReport",
    "MaxMarginPath",
    "MaxMarginReLUClassifier",
    "MaxMarginSolution",
    "MultiClassCertificate",
    "MultiClassSolution",
    "NCFResult",
    "NeuronPursuitClassifier",
    "NeuronPursuitRegressor",
    "PowerLeakyReLU",
    "PursuitResult",
    "ReLUClassifier",
    "ReLUNetwork",
    "ReLURegressor",
    "RegularizedCertificate",
    "Solution",
    "SolutionPath",
    "SolverError",
    "Trajectory",
    "TwoLayerReLU",
    "alignment_flow",
    "beta_max",
    "certify",
    "check_kkt",
    "count_patterns",
    "datasets",
    "dual_program",
    "enumerate_patterns",
    "gradient_descent",
    "gradient_flow",
    "is_orthogonally_separable",
    "is_spike_free",
    "iter_patterns",
    "losses",
    "max_margin_path",
    "maximize_correlation",
    "maximize_ncf",
    "ncf_stationarity",
    "neuron_pursuit",
    "pattern_bound",
    "primal_program",
    "rank_one_kkt_point",
    "sample_patterns",
    "solution_path",
    "solve",
    "solve_max_margin",
    "verify_gradient_descent",
]


def __getattr__(name: str) -> Any:
    if name in _PACKAGES:
        return import_module(f"convexrelu.{name}")
    if name in _MODULE_OF:
        return getattr(import_module(f"convexrelu.{_MODULE_OF[name]}"), name)
    raise AttributeError(f"module 'convexrelu' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*__all__, *_PACKAGES, *(name for name in globals() if name.startswith("__"))})
