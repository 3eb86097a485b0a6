"""Solving training to a certified gap: max-margin, and any loss with weight decay."""

from convexrelu.solvers.feasibility import check_feasible
from convexrelu.solvers.max_margin import solve_max_margin
from convexrelu.solvers.path import MaxMarginPath, max_margin_path
from convexrelu.solvers.regularized import Solution, SolutionPath, beta_max, solution_path, solve
from convexrelu.solvers.solution import MaxMarginSolution, MultiClassSolution

__all__ = [
    "MaxMarginPath",
    "MaxMarginSolution",
    "MultiClassSolution",
    "Solution",
    "SolutionPath",
    "beta_max",
    "check_feasible",
    "max_margin_path",
    "solution_path",
    "solve",
    "solve_max_margin",
]
