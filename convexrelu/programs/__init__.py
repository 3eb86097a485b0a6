"""The convex program over given patterns and its dual, as cvxpy problems: built here, solved elsewhere."""

from convexrelu.programs.dual import DualProgram, dual_program
from convexrelu.programs.primal import PrimalProgram, primal_program

__all__ = ["DualProgram", "PrimalProgram", "dual_program", "primal_program"]
