"""Solving max-margin training to a certified gap."""

from convexrelu.solvers.feasibility import check_feasible
from convexrelu.solvers.max_margin import solve_max_margin
from convexrelu.solvers.path import MaxMarginPath, max_margin_path
from convexrelu.solvers.solution import MaxMarginSolution, MultiClassSolution

__all__ = [
    "MaxMarginPath",
    "MaxMarginSolution",
    "MultiClassSolution",
    "check_feasible",
    "max_margin_path",
    "solve_max_margin",
]
