"""Solving max-margin training to a certified gap."""

from convexrelu.solvers.feasibility import check_feasible
from convexrelu.solvers.max_margin import solve_max_margin
from convexrelu.solvers.solution import MaxMarginSolution, MultiClassSolution

__all__ = ["MaxMarginSolution", "MultiClassSolution", "check_feasible", "solve_max_margin"]
