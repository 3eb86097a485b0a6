"""The convex programs of two-layer ReLU networks, and their duals, as cvxpy problems: built, not solved."""

from convexrelu.programs.max_margin import (
    DualProgram,
    PrimalProgram,
    ProgramInputs,
    build_primal,
    dual_program,
    primal_program,
)
from convexrelu.programs.regularized import RegularizedDual, RegularizedPrimal

__all__ = [
    "DualProgram",
    "PrimalProgram",
    "ProgramInputs",
    "RegularizedDual",
    "RegularizedPrimal",
    "build_primal",
    "dual_program",
    "primal_program",
]
