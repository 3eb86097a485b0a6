"""JSON files that are written whole or not at all, and read with errors that name the file."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from convexrelu._validation import as_matrix, as_vector
from convexrelu.errors import InvalidInputError
from convexrelu.networks.neurons import Weights

__all__ = [
    "StoredLayers",
    "read_json",
    "read_layers",
    "read_weights",
    "write_json",
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


def write_json(path: str | os.PathLike[str], document: dict[str, Any]) -> None:
    """Write the document to the file, floats to their last bit, replacing an older file in one step.

    The text goes to a new file in the same folder that is then renamed: a reader sees the old document or the
    new one, and a crash leaves no half-written file under this name.

    Parameters
    ----------
    path : str or path
        The file; its folder must exist.
    document : dict
        What to write: dicts, lists, strings and finite numbers.

    Raises
    ------
    InvalidInputError
        If the folder does not exist, or the path is a folder.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise InvalidInputError(f"cannot write {target}: there is no folder {target.parent}")
    if target.is_dir():
        raise InvalidInputError(f"cannot write {target}: it is a folder")
    text = json.dumps(document, indent=1, allow_nan=False)
    if target.exists() and not target.is_file():  # a device or a pipe is written to, never replaced
        target.write_text(text + "\n", encoding="utf-8")
        return
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        draft.write_text(text + "\n", encoding="utf-8")
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def read_json(path: str | os.PathLike[str], *, kind: str, version: int) -> dict[str, Any]:
    """Return the document of the file, whose fields `format` and `version` must be these.

    Parameters
    ----------
    path : str or path
        The file.
    kind : str
        What the field ``format`` must hold.
    version : int
        The newest version that can be read.

    Returns
    -------
    dict
        The document.

    Raises
    ------
    InvalidInputError
        If the file is missing, not JSON, of another kind, or of a newer version.
    """
    source = Path(path)
    try:
        document = json.loads(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInputError(f"cannot read {source}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{source} is not a JSON document: {error}") from error
    if not isinstance(document, dict) or document.get("format") != kind:
        got = document.get("format") if isinstance(document, dict) else type(document).__name__
        raise InvalidInputError(f'{source} must be a JSON document with "format": "{kind}", got {got!r}')
    found = document.get("version")
    if isinstance(found, bool) or not isinstance(found, int) or not 1 <= found <= version:
        raise InvalidInputError(f"{source} must be of version 1 to {version}, got version {found!r}")
    return document


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
