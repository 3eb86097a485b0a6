"""Solving training to a certified gap: max-margin, and any loss with weight decay."""

from convexrelu.solvers.feasibility import check_feasible
from convexrelu.solvers.max_margin import solve_max_margin
from convexrelu.solvers.path import MaxMarginPath, max_margin_path
from convexrelu.solvers.regularized import Solution, solve
from convexrelu.solvers.solution import MaxMarginSolution, MultiClassSolution

__all__ = [
    "MaxMarginPath",
    "MaxMarginSolution",
    "MultiClassSolution",
    "Solution",
    "check_feasible",
    "max_margin_path",
    "solve",
    "solve_max_margin",
]
