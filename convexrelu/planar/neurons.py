"""The neurons that a picture shows."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from convexrelu.errors import InvalidInputError
from convexrelu.networks import TwoLayerReLU
from convexrelu.networks.convert import how_to_convert
from convexrelu.networks.neurons import row_norms

__all__ = ["unit_neurons"]


def unit_neurons(network: TwoLayerReLU, n_features: int) -> Float[np.ndarray, "m d"]:
    """Return the directions of the neurons (zero for a zero neuron).

    Whatever is no network of so many inputs is refused (InvalidInputError): figures are given solutions where
    they want networks.
    """
    if not isinstance(network, TwoLayerReLU):
        raise InvalidInputError(
            f"network must be a TwoLayerReLU, got {type(network).__name__}{how_to_convert(network)}"
        )
    if network.n_features != n_features:
        raise InvalidInputError(
            f"network must have {n_features} inputs, as X has columns, got {network.n_features}"
        )
    lengths = row_norms(network.W1)[:, None]
    return np.asarray(network.W1 / np.where(lengths > 0, lengths, 1.0))
