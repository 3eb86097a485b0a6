"""Figures drawn from computed objects, returned as matplotlib ``Figure`` objects unknown to pyplot."""

from convexrelu.papers.wang_pilanci_figures import f1_figures, f2_figures, zonotopes
from convexrelu.plotting.alignment import basins_figure
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
from convexrelu.plotting.neurons import cosines_figure, growth_figure, input_space_figure
from convexrelu.plotting.phase_map import PhaseCell, phase_map_figure
from convexrelu.plotting.polar import (
    PatternConstraint,
    PolarSet,
    pattern_constraints,
    polar_figure,
    polar_set,
)
from convexrelu.plotting.pursuit import (
    comparison_figure,
    fourier_figure,
    fourier_shares,
    greedy_figure,
    growing_network_figure,
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
    "PhaseCell",
    "PolarSet",
    "TrainingBounds",
    "ZonotopePanel",
    "alignment_figure",
    "arrangement_figure",
    "basins_figure",
    "bounds_figure",
    "circle_figure",
    "comparison_figure",
    "cosines_figure",
    "coverage_figure",
    "ellipsoid_of",
    "ellipsoid_trajectories_figure",
    "ellipsoids_figure",
    "extreme_points_figure",
    "f1_figures",
    "f2_figures",
    "fourier_figure",
    "fourier_shares",
    "greedy_figure",
    "growing_network_figure",
    "growth_figure",
    "hausdorff_segments",
    "input_space_figure",
    "pattern_constraints",
    "pattern_extremes",
    "phase_map_figure",
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
