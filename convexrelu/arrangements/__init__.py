"""Hyperplane arrangements of a data matrix: patterns, their number, structure that makes training easy."""

from convexrelu.arrangements.cells import Arrangement, enumerate_patterns, iter_patterns
from convexrelu.arrangements.counting import count_patterns, pattern_bound
from convexrelu.arrangements.faces import Adjacency, Cell, Rays, adjacency, cell_of, rays
from convexrelu.arrangements.hyperplanes import Hyperplanes, hyperplanes_of
from convexrelu.arrangements.sampling import coverage_curve, sample_patterns
from convexrelu.arrangements.structure import is_orthogonally_separable, is_spike_free

__all__ = [
    "Adjacency",
    "Arrangement",
    "Cell",
    "Hyperplanes",
    "Rays",
    "adjacency",
    "cell_of",
    "count_patterns",
    "coverage_curve",
    "enumerate_patterns",
    "hyperplanes_of",
    "is_orthogonally_separable",
    "is_spike_free",
    "iter_patterns",
    "pattern_bound",
    "rays",
    "sample_patterns",
]
