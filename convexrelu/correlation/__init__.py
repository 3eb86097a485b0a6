"""The one oracle: how strongly a single ReLU neuron can correlate with given weights of the samples."""

from convexrelu.correlation.added_neuron import (
    AddedNeuron,
    AddedNeurons,
    added_outputs,
    maximize_added_neuron,
    with_neuron,
)
from convexrelu.correlation.ascent import Maxima, climb, climb_seconds, starting_directions
from convexrelu.correlation.ncf import maximize_ncf
from convexrelu.correlation.ncf_conditions import ncf_second_order, ncf_stationarity
from convexrelu.correlation.ncf_results import NCFPoint, NCFResult, RankOneTables
from convexrelu.correlation.neuron import (
    Correlation,
    DualNorm,
    dual_norm,
    listing_seconds,
    maximize_correlation,
    search_seconds,
)
from convexrelu.correlation.rank_one import RankOneReport, check_rank_one, rank_one_kkt_point
from convexrelu.correlation.rank_one_tables import rank_one_tables
from convexrelu.correlation.zonotopes import Zonotopes, zonotopes_of

__all__ = [
    "AddedNeuron",
    "AddedNeurons",
    "Correlation",
    "DualNorm",
    "Maxima",
    "NCFPoint",
    "NCFResult",
    "RankOneReport",
    "RankOneTables",
    "Zonotopes",
    "added_outputs",
    "check_rank_one",
    "climb",
    "climb_seconds",
    "dual_norm",
    "listing_seconds",
    "maximize_added_neuron",
    "maximize_correlation",
    "maximize_ncf",
    "ncf_second_order",
    "ncf_stationarity",
    "rank_one_kkt_point",
    "rank_one_tables",
    "search_seconds",
    "starting_directions",
    "with_neuron",
    "zonotopes_of",
]
