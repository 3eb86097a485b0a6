"""Gradient descent and gradient flow, and trajectories that certify themselves."""

from convexrelu.training.bounds import TrainingBounds, training_bounds
from convexrelu.training.descent import gradient_descent
from convexrelu.training.early_phase.alignment import AlignmentResult, ExtremePoint, alignment_flow
from convexrelu.training.early_phase.basin_map import BasinMap, basin_map
from convexrelu.training.early_phase.basins import Basins, basins
from convexrelu.training.flow.gradient_flow import gradient_flow
from convexrelu.training.ncf_flow import NCFFlow, ncf_flow
from convexrelu.training.start import ScaledStart, scaled_start
from convexrelu.training.stopping import (
    CertifiedGap,
    DirectionChange,
    KKTResidual,
    StoppingRule,
    kkt_residual,
)
from convexrelu.training.trajectory import DeepTrajectory, FlowEvent, FlowTrajectory, Trajectory

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
    "gradient_descent",
    "gradient_flow",
    "kkt_residual",
    "ncf_flow",
    "scaled_start",
    "training_bounds",
]
