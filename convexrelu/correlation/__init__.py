"""The one oracle: how strongly a single ReLU neuron can correlate with given weights of the samples."""

from convexrelu.correlation.ascent import Maxima, climb, starting_directions
from convexrelu.correlation.neuron import Correlation, DualNorm, dual_norm, maximize_correlation
from convexrelu.correlation.zonotopes import Zonotopes, zonotopes_of

__all__ = [
    "Correlation",
    "DualNorm",
    "Maxima",
    "Zonotopes",
    "climb",
    "dual_norm",
    "maximize_correlation",
    "starting_directions",
    "zonotopes_of",
]
