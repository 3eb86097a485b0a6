"""Training with weight decay, solved to a certified gap: any convex loss."""

from convexrelu.solvers.regularized.solve import Solution, solve

__all__ = ["Solution", "solve"]
