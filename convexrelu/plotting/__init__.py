"""Figures drawn from computed objects, returned as matplotlib ``Figure`` objects unknown to pyplot."""

from convexrelu.plotting.alignment import basins_figure
from convexrelu.plotting.arrangements import arrangement_figure, coverage_figure
from convexrelu.plotting.dark import darkened
from convexrelu.plotting.early_alignment import (
    branching_figure,
    directions_figure,
    early_training_figure,
    planar_run_figure,
    rank_one_figure,
)
from convexrelu.plotting.ellipsoid import ellipsoids_figure, extreme_points_figure
from convexrelu.plotting.files import save_figures
from convexrelu.plotting.neurons import cosines_figure, growth_figure, input_space_figure
from convexrelu.plotting.outputs import fit_figure, margins_figure
from convexrelu.plotting.path import margin_limit_figure, path_figure
from convexrelu.plotting.phase_map import PhaseCell, phase_map_figure
from convexrelu.plotting.polar import polar_figure
from convexrelu.plotting.pursuit import (
    comparison_figure,
    fourier_figure,
    greedy_figure,
    growing_network_figure,
)
from convexrelu.plotting.saddles import (
    approach_figure,
    example_1_figure,
    ladder_figure,
    rates_figure,
    sparsity_figure,
)
from convexrelu.plotting.solutions import decision_figure, gap_figure
from convexrelu.plotting.style import NamedFigure
from convexrelu.plotting.training import (
    alignment_figure,
    bounds_figure,
    training_figures,
)
from convexrelu.plotting.trajectories import circle_figure, ellipsoid_trajectories_figure, seeds_figure
from convexrelu.plotting.weights import weights_figure
from convexrelu.plotting.zonotopes import ZonotopePanel, zonotopes_figure

__all__ = [
    "NamedFigure",
    "PhaseCell",
    "ZonotopePanel",
    "alignment_figure",
    "approach_figure",
    "arrangement_figure",
    "basins_figure",
    "bounds_figure",
    "branching_figure",
    "circle_figure",
    "comparison_figure",
    "cosines_figure",
    "coverage_figure",
    "darkened",
    "decision_figure",
    "directions_figure",
    "early_training_figure",
    "ellipsoid_trajectories_figure",
    "ellipsoids_figure",
    "example_1_figure",
    "extreme_points_figure",
    "fit_figure",
    "fourier_figure",
    "gap_figure",
    "greedy_figure",
    "growing_network_figure",
    "growth_figure",
    "input_space_figure",
    "ladder_figure",
    "margin_limit_figure",
    "margins_figure",
    "path_figure",
    "phase_map_figure",
    "planar_run_figure",
    "polar_figure",
    "rank_one_figure",
    "rates_figure",
    "save_figures",
    "seeds_figure",
    "sparsity_figure",
    "training_figures",
    "weights_figure",
    "zonotopes_figure",
]
