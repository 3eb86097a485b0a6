"""Gradient descent and gradient flow, and trajectories that certify themselves."""

from convexrelu.training.bounds import TrainingBounds, training_bounds
from convexrelu.training.deep_descent import train_feed_forward, train_many
from convexrelu.training.deep_trajectory import DeepTrajectory
from convexrelu.training.descent import gradient_descent, gradient_descents
from convexrelu.training.early_phase.alignment import AlignmentResult, ExtremePoint, alignment_flow
from convexrelu.training.early_phase.basin_map import BasinMap, basin_map
from convexrelu.training.early_phase.basins import Basins, basins
from convexrelu.training.flow.gradient_flow import gradient_flow
from convexrelu.training.ncf_flow import NCFFlow, ncf_flow
from convexrelu.training.smooth_flow import feed_forward_flow
from convexrelu.training.start import ScaledStart, scaled_start
from convexrelu.training.stopping import (
    CertifiedGap,
    DirectionChange,
    KKTResidual,
    StoppingRule,
    kkt_residual,
)
from convexrelu.training.trajectory import FlowEvent, FlowTrajectory, Trajectory

__all__ = [
    "AlignmentResult",
    "BasinMap",
    "Basins",
    "CertifiedGap",
    "DeepTrajectory",
    "DirectionChange",
    "ExtremePoint",
    "FlowEvent",
    "FlowTrajectory",
    "KKTResidual",
    "NCFFlow",
    "ScaledStart",
    "StoppingRule",
    "TrainingBounds",
    "Trajectory",
    "alignment_flow",
    "basin_map",
    "basins",
    "feed_forward_flow",
    "gradient_descent",
    "gradient_descents",
    "gradient_flow",
    "kkt_residual",
    "ncf_flow",
    "scaled_start",
    "train_feed_forward",
    "train_many",
    "training_bounds",
]
