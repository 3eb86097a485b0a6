"""Gradient descent and gradient flow, and trajectories that certify themselves."""

from convexrelu.dynamics._alignment_basins import Basins, basins
from convexrelu.dynamics.alignment import AlignmentResult, ExtremePoint, alignment_flow
from convexrelu.dynamics.deep_descent import train_feed_forward, train_many
from convexrelu.dynamics.deep_flow import feed_forward_flow
from convexrelu.dynamics.deep_trajectory import DeepTrajectory
from convexrelu.dynamics.descent import gradient_descent, gradient_descents
from convexrelu.dynamics.early_alignment import (
    EarlyAlignment,
    NonBranchingSet,
    compare_with_ncf_flow,
    ncf_cosines,
    non_branching_set,
)
from convexrelu.dynamics.escape import (
    Escape,
    EscapeLadder,
    LimitingPath,
    escape_ladder,
    first_escape,
    limiting_path,
    predicted_escape_time,
)
from convexrelu.dynamics.flow import gradient_flow
from convexrelu.dynamics.ncf_flow import NCFFlow, ncf_flow
from convexrelu.dynamics.saddles import Plateau, SaddleTrack, relative_size, track_saddles
from convexrelu.dynamics.saddles_split import SaddleApproach, SaddleSplit, approach_of, split_near_saddle
from convexrelu.dynamics.start import ScaledStart, scaled_start
from convexrelu.dynamics.stopping import (
    CertifiedGap,
    DirectionChange,
    KKTResidual,
    StoppingRule,
    kkt_residual,
)
from convexrelu.dynamics.trajectory import FlowEvent, FlowTrajectory, Trajectory

__all__ = [
    "AlignmentResult",
    "Basins",
    "CertifiedGap",
    "DeepTrajectory",
    "DirectionChange",
    "EarlyAlignment",
    "Escape",
    "EscapeLadder",
    "ExtremePoint",
    "FlowEvent",
    "FlowTrajectory",
    "KKTResidual",
    "LimitingPath",
    "NCFFlow",
    "NonBranchingSet",
    "Plateau",
    "SaddleApproach",
    "SaddleSplit",
    "SaddleTrack",
    "ScaledStart",
    "StoppingRule",
    "Trajectory",
    "alignment_flow",
    "approach_of",
    "basins",
    "compare_with_ncf_flow",
    "escape_ladder",
    "feed_forward_flow",
    "first_escape",
    "gradient_descent",
    "gradient_descents",
    "gradient_flow",
    "kkt_residual",
    "limiting_path",
    "ncf_cosines",
    "ncf_flow",
    "non_branching_set",
    "predicted_escape_time",
    "relative_size",
    "scaled_start",
    "split_near_saddle",
    "track_saddles",
    "train_feed_forward",
    "train_many",
]
