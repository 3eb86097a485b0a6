"""Gradient descent and gradient flow, and trajectories that certify themselves."""

from convexrelu.dynamics.descent import gradient_descent
from convexrelu.dynamics.flow import gradient_flow
from convexrelu.dynamics.start import ScaledStart, scaled_start
from convexrelu.dynamics.trajectory import FlowEvent, Trajectory

__all__ = ["FlowEvent", "ScaledStart", "Trajectory", "gradient_descent", "gradient_flow", "scaled_start"]
