"""The one oracle: how strongly a single ReLU neuron can correlate with given weights of the samples."""

from convexrelu.oracle.ascent import Maxima, climb, climb_seconds, starting_directions
from convexrelu.oracle.neuron import (
    Correlation,
    Cover,
    DualNorm,
    covered_norm,
    dual_norm,
    listing_seconds,
    maximize_correlation,
    rescaled_norm,
    search_seconds,
)
from convexrelu.oracle.zonotopes import Zonotopes, zonotopes_of

__all__ = [
    "Correlation",
    "Cover",
    "DualNorm",
    "Maxima",
    "Zonotopes",
    "climb",
    "climb_seconds",
    "covered_norm",
    "dual_norm",
    "listing_seconds",
    "maximize_correlation",
    "rescaled_norm",
    "search_seconds",
    "starting_directions",
    "zonotopes_of",
]
