"""Hyperplane arrangements of a data matrix: patterns, their number, structure that makes training easy."""

from convexrelu.arrangements.cells import Arrangement, enumerate_patterns, sample_patterns
from convexrelu.arrangements.counting import count_patterns, pattern_bound
from convexrelu.arrangements.hyperplanes import Hyperplanes, hyperplanes_of
from convexrelu.arrangements.structure import is_orthogonally_separable, is_spike_free

__all__ = [
    "Arrangement",
    "Hyperplanes",
    "count_patterns",
    "enumerate_patterns",
    "hyperplanes_of",
    "is_orthogonally_separable",
    "is_spike_free",
    "pattern_bound",
    "sample_patterns",
]
