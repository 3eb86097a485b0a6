"""The geometry of two dimensions, computed: what the pictures of two samples, or of the plane, show."""

from convexrelu.planar.ellipsoid import Ellipsoid, PatternExtreme, ellipsoid_of, pattern_extremes
from convexrelu.planar.kkt_points import PlanarKKT, planar_kkt_points
from convexrelu.planar.polar import PatternConstraint, PolarSet, pattern_constraints, polar_set
from convexrelu.planar.zonotopes import (
    HausdorffSegment,
    hausdorff_segments,
    zonotope_generators,
    zonotope_polygon,
)

__all__ = [
    "Ellipsoid",
    "HausdorffSegment",
    "PatternConstraint",
    "PatternExtreme",
    "PlanarKKT",
    "PolarSet",
    "ellipsoid_of",
    "hausdorff_segments",
    "pattern_constraints",
    "pattern_extremes",
    "planar_kkt_points",
    "polar_set",
    "zonotope_generators",
    "zonotope_polygon",
]
