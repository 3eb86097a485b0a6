"""What reproduces the papers: settings, runs, claims and figures."""

from convexrelu.papers.claims import Claim, ReproducedFigure
from convexrelu.papers.pursuit_and_descent import ComparedRun, Comparison, SmallDescent, compare_with_descent
from convexrelu.papers.saddle_settings import EXAMPLE_1_TARGETS, SQUARES, example_1, near_saddle, sphere

__all__ = [
    "EXAMPLE_1_TARGETS",
    "SQUARES",
    "Claim",
    "ComparedRun",
    "Comparison",
    "ReproducedFigure",
    "SmallDescent",
    "compare_with_descent",
    "example_1",
    "near_saddle",
    "sphere",
]
