"""Networks in JSON files, to the last bit of their weights."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from convexrelu._json_files import read_json, write_json
from convexrelu._validation import as_matrix, as_vector
from convexrelu.errors import InvalidInputError
from convexrelu.networks.neurons import Weights

__all__ = [
    "StoredLayers",
    "read_layers",
    "read_weights",
    "write_layers",
    "write_weights",
]

_FORMAT = "convexrelu.TwoLayerReLU"
_DEEP_FORMAT = "convexrelu.FeedForward"
_VERSION = 1


class StoredLayers(NamedTuple):
    """What a file of a feed-forward network holds, not yet checked."""

    weights: list[Any]
    trainable: list[Any]
    alpha: Any
    power: Any


def write_weights(path: str | os.PathLike[str], weights: Weights) -> None:
    """Write the weights of a two-layer network to the file; see :func:`write_json`."""
    W1, w2 = weights
    document = {"format": _FORMAT, "version": _VERSION, "n_features": W1.shape[1]}
    write_json(path, {**document, "W1": W1.tolist(), "w2": w2.tolist()})


def read_weights(path: str | os.PathLike[str]) -> Weights:
    """Return the weights that :func:`write_weights` wrote, to the last bit, or raise InvalidInputError."""
    document = read_json(path, kind=_FORMAT, version=_VERSION)
    missing = [field for field in ("n_features", "W1", "w2") if field not in document]
    if missing:
        raise InvalidInputError(f"{path} must hold n_features, W1 and w2, it lacks {', '.join(missing)}")
    d = document["n_features"]
    if isinstance(d, bool) or not isinstance(d, int) or d < 1:
        raise InvalidInputError(f"{path} must hold a positive number n_features, got {d!r}")
    try:
        # With no neuron, JSON's [] has lost the number of columns.
        W1 = as_matrix(document["W1"] or np.empty((0, d)), "W1", columns=d, min_rows=0)
        return Weights(W1, as_vector(document["w2"], "w2", length=len(W1)))
    except InvalidInputError as error:
        raise InvalidInputError(f"{path} does not hold a network: {error}") from error


def write_layers(
    path: str | os.PathLike[str],
    weights: Sequence[np.ndarray],
    trainable: Sequence[np.ndarray],
    *,
    alpha: float,
    power: int,
) -> None:
    """Write a feed-forward network to the file; see :func:`write_json`."""
    document = {"format": _DEEP_FORMAT, "version": _VERSION, "alpha": alpha, "power": power}
    layers = {"weights": [W.tolist() for W in weights], "trainable": [mask.tolist() for mask in trainable]}
    write_json(path, {**document, **layers})


def read_layers(path: str | os.PathLike[str]) -> StoredLayers:
    """Return what :func:`write_layers` wrote, to the last bit, or raise InvalidInputError."""
    document = read_json(path, kind=_DEEP_FORMAT, version=_VERSION)
    missing = [field for field in StoredLayers._fields if field not in document]
    if missing:
        raise InvalidInputError(f"{path} must hold {', '.join(StoredLayers._fields)}, it lacks {missing}")
    lists = document["weights"], document["trainable"]
    if not all(isinstance(layers, list) for layers in lists):
        raise InvalidInputError(f"{path} must hold lists of layers as weights and trainable")
    return StoredLayers(*lists, alpha=document["alpha"], power=document["power"])
