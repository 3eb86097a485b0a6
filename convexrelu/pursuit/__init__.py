"""Neuron Pursuit: train a deep network by growing it neuron by neuron."""

from convexrelu.pursuit.diagonal import diagonal_pursuit
from convexrelu.pursuit.greedy import margin_objectives
from convexrelu.pursuit.inner import GradientDescent, InnerSolver, LevenbergMarquardt, LimitedMemoryBFGS
from convexrelu.pursuit.pursuit import neuron_pursuit
from convexrelu.pursuit.result import PursuitResult, PursuitStep

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
