"""Escape from the origin, plateaus, and what small neurons do near a saddle."""

from convexrelu.saddles.escape import (
    Escape,
    EscapeLadder,
    LimitingPath,
    escape_ladder,
    first_escape,
    limiting_path,
    predicted_escape_time,
)
from convexrelu.saddles.near_saddle import SaddleApproach, SaddleSplit, approach_of, split_near_saddle
from convexrelu.saddles.origin import (
    EarlyAlignment,
    NonBranchingSet,
    compare_with_ncf_flow,
    ncf_cosines,
    non_branching_set,
)
from convexrelu.saddles.plateaus import Plateau, SaddleTrack, relative_size, track_saddles
from convexrelu.saddles.stable_set import StableSetLadder, stable_set_ladder

__all__ = [
    "EarlyAlignment",
    "Escape",
    "EscapeLadder",
    "LimitingPath",
    "NonBranchingSet",
    "Plateau",
    "SaddleApproach",
    "SaddleSplit",
    "SaddleTrack",
    "StableSetLadder",
    "approach_of",
    "compare_with_ncf_flow",
    "escape_ladder",
    "first_escape",
    "limiting_path",
    "ncf_cosines",
    "non_branching_set",
    "predicted_escape_time",
    "relative_size",
    "split_near_saddle",
    "stable_set_ladder",
    "track_saddles",
]
