"""Training with weight decay, solved to a certified gap: any convex loss, ReLU or gated, one output or K."""

from convexrelu.solvers.regularized.path import SolutionPath, beta_max, solution_path
from convexrelu.solvers.regularized.solve import Solution, solve

__all__ = ["Solution", "SolutionPath", "beta_max", "solution_path", "solve"]
