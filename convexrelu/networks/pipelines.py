"""Networks of scikit-learn: perceptrons, and Pipelines whose scalers are folded into the first layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from convexrelu.errors import InvalidInputError
from convexrelu.networks.parts import Parts, parts_of

__all__ = ["sklearn_parts"]

_SKLEARN_NEED = (
    "needs a fitted MLPClassifier or MLPRegressor with one hidden layer and activation='relu', or a Pipeline "
    "that ends in one"
)


def sklearn_parts(estimator: Any) -> Parts:
    """Take a fitted ``MLPClassifier`` or ``MLPRegressor`` apart, scalers before it folded in."""
    if "Pipeline" not in _kinds(estimator):
        return _mlp_parts(estimator)
    steps = [(name, step) for name, step in estimator.steps if step is not None and step != "passthrough"]
    if not steps:
        raise InvalidInputError(f"from_sklearn {_SKLEARN_NEED}, got a Pipeline without steps")
    parts = _mlp_parts(steps[-1][1])
    for name, step in reversed(steps[:-1]):
        parts = _folded(parts, name, step)
    return parts


def _mlp_parts(mlp: Any) -> Parts:
    if not {"MLPClassifier", "MLPRegressor"} & set(_kinds(mlp)):
        raise InvalidInputError(f"from_sklearn {_SKLEARN_NEED}, got a {type(mlp).__name__}")
    if not hasattr(mlp, "coefs_"):
        raise InvalidInputError(f"from_sklearn {_SKLEARN_NEED}, got one that is not fitted: call fit first")
    if len(mlp.coefs_) != 2:
        raise InvalidInputError(
            f"from_sklearn {_SKLEARN_NEED}, got {len(mlp.coefs_) - 1} hidden layers: train with "
            "hidden_layer_sizes=(m,)"
        )
    if mlp.activation != "relu":
        raise InvalidInputError(
            f"from_sklearn {_SKLEARN_NEED}, got activation={mlp.activation!r}: train with activation='relu'"
        )
    (hidden, output), (b1, b2) = mlp.coefs_, mlp.intercepts_
    return parts_of(np.transpose(hidden), b1, np.transpose(output), b2)


def _kinds(estimator: Any) -> list[str]:
    return [base.__name__ for base in type(estimator).__mro__]


class _Affine(NamedTuple):
    """``x -> A x + shift``; A is a vector if it is diagonal."""

    A: np.ndarray
    shift: np.ndarray


def _folded(parts: Parts, name: str, step: Any) -> Parts:
    """Return the parts of the network that acts on what the step is given."""
    known = [_SCALERS[kind] for kind in _kinds(step) if kind in _SCALERS]
    reason = "is none of these"
    try:
        affine = known[0](step, parts.W1.shape[1]) if known else None
    except AttributeError:
        affine, reason = None, "is not fitted"
    if affine is None or not (np.isfinite(affine.A).all() and np.isfinite(affine.shift).all()):
        if known and reason == "is none of these":
            reason = "clips its values, which is no affine map" if getattr(step, "clip", False) else "differs"
        raise InvalidInputError(
            f"from_sklearn can fold {', '.join(_SCALERS)} into the network, got the step {name!r}, a "
            f"{type(step).__name__}, that {reason}: transform the data by pipeline[:-1] and give the last "
            "step alone"
        )
    W1 = parts.W1 * affine.A if affine.A.ndim == 1 else parts.W1 @ affine.A
    b1 = parts.W1 @ affine.shift + (0.0 if parts.b1 is None else parts.b1)
    return parts._replace(W1=W1, b1=b1)


def _standard(step: Any, d: int) -> _Affine:
    scale = np.ones(d) if step.scale_ is None else np.asarray(step.scale_, dtype=np.float64)
    mean = np.zeros(d) if step.mean_ is None or not step.with_mean else np.asarray(step.mean_)
    return _Affine(1.0 / scale, -mean / scale)


def _min_max(step: Any, d: int) -> _Affine | None:
    del d
    return None if step.clip else _Affine(np.asarray(step.scale_), np.asarray(step.min_))


def _max_abs(step: Any, d: int) -> _Affine | None:
    return None if getattr(step, "clip", False) else _Affine(1.0 / np.asarray(step.scale_), np.zeros(d))


def _robust(step: Any, d: int) -> _Affine:
    scale = np.ones(d) if step.scale_ is None else np.asarray(step.scale_, dtype=np.float64)
    centre = np.zeros(d) if step.center_ is None else np.asarray(step.center_)
    return _Affine(1.0 / scale, -centre / scale)


def _pca(step: Any, d: int) -> _Affine:
    del d
    rows = np.asarray(step.components_, dtype=np.float64)
    if step.whiten:
        rows = rows / np.sqrt(step.explained_variance_)[:, None]
    return _Affine(rows, -rows @ np.asarray(step.mean_))


_SCALERS: dict[str, Callable[[Any, int], _Affine | None]] = {
    "StandardScaler": _standard,
    "MinMaxScaler": _min_max,
    "MaxAbsScaler": _max_abs,
    "RobustScaler": _robust,
    "PCA": _pca,
}
