"""Neuron Pursuit: train a deep network by growing it neuron by neuron."""

from convexrelu.pursuit.diagonal import diagonal_pursuit
from convexrelu.pursuit.inner import GradientDescent, InnerSolver, LevenbergMarquardt, LimitedMemoryBFGS
from convexrelu.pursuit.pursuit import PursuitResult, PursuitStep, margin_objectives, neuron_pursuit

__all__ = [
    "GradientDescent",
    "InnerSolver",
    "LevenbergMarquardt",
    "LimitedMemoryBFGS",
    "PursuitResult",
    "PursuitStep",
    "diagonal_pursuit",
    "margin_objectives",
    "neuron_pursuit",
]
