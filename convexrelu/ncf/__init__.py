"""The neural correlation function of networks: its maxima, its KKT points, and the neuron to add."""

from convexrelu.ncf.added_neuron import (
    AddedNeuron,
    AddedNeurons,
    added_outputs,
    maximize_added_neuron,
    with_neuron,
)
from convexrelu.ncf.conditions import ncf_second_order, ncf_stationarity
from convexrelu.ncf.maximize import NCFPoint, NCFResult, maximize_ncf
from convexrelu.ncf.rank_one import RankOneReport, check_rank_one, rank_one_kkt_point

__all__ = [
    "AddedNeuron",
    "AddedNeurons",
    "NCFPoint",
    "NCFResult",
    "RankOneReport",
    "added_outputs",
    "check_rank_one",
    "maximize_added_neuron",
    "maximize_ncf",
    "ncf_second_order",
    "ncf_stationarity",
    "rank_one_kkt_point",
    "with_neuron",
]
