"""Figures drawn from computed objects, returned as matplotlib ``Figure`` objects unknown to pyplot."""

from convexrelu.plotting.arrangements import arrangement_figure, coverage_figure
from convexrelu.plotting.ellipsoid import (
    Ellipsoid,
    PatternExtreme,
    ellipsoid_of,
    ellipsoids_figure,
    extreme_points_figure,
    pattern_extremes,
)
from convexrelu.plotting.files import save_figures
from convexrelu.plotting.polar import (
    PatternConstraint,
    PolarSet,
    pattern_constraints,
    polar_figure,
    polar_set,
)
from convexrelu.plotting.style import NamedFigure
from convexrelu.plotting.training import (
    TrainingBounds,
    alignment_figure,
    bounds_figure,
    training_bounds,
    training_figures,
)
from convexrelu.plotting.trajectories import circle_figure, ellipsoid_trajectories_figure, seeds_figure
from convexrelu.plotting.wang_pilanci import f1_figures, f2_figures, zonotopes
from convexrelu.plotting.zonotopes import (
    HausdorffSegment,
    ZonotopePanel,
    hausdorff_segments,
    zonotope_polygon,
    zonotopes_figure,
)

__all__ = [
    "Ellipsoid",
    "HausdorffSegment",
    "NamedFigure",
    "PatternConstraint",
    "PatternExtreme",
    "PolarSet",
    "TrainingBounds",
    "ZonotopePanel",
    "alignment_figure",
    "arrangement_figure",
    "bounds_figure",
    "circle_figure",
    "coverage_figure",
    "ellipsoid_of",
    "ellipsoid_trajectories_figure",
    "ellipsoids_figure",
    "extreme_points_figure",
    "f1_figures",
    "f2_figures",
    "hausdorff_segments",
    "pattern_constraints",
    "pattern_extremes",
    "polar_figure",
    "polar_set",
    "save_figures",
    "seeds_figure",
    "training_bounds",
    "training_figures",
    "zonotope_polygon",
    "zonotopes",
    "zonotopes_figure",
]
