"""Networks of scikit-learn and PyTorch, taken apart and put together; reading one imports neither library.

The convention for biases: a network with biases acts on x, the package's network acts on (x, 1). So hidden
biases become the weights of the ones column, and an output bias b becomes one more neuron that sees nothing
but this column: weights ``(0, .., 0, sqrt|b|)`` and output weight ``sign(b) sqrt|b|``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from convexrelu._validation import as_matrix, as_vector
from convexrelu.errors import InvalidInputError
from convexrelu.networks.neurons import Weights

__all__ = [
    "feed_forward_module",
    "feed_forward_weights",
    "sklearn_weights",
    "torch_weights",
]

_SKLEARN_NEED = "needs a fitted MLPClassifier with one hidden layer, activation='relu' and two classes"
_TORCH_NEED = "needs nn.Sequential(nn.Linear(d, m), nn.ReLU(), nn.Linear(m, 1))"
_DEEP_NEED = (
    "needs nn.Sequential of nn.Linear without bias, with the same nn.ReLU or nn.LeakyReLU between them"
)


def sklearn_weights(mlp: Any) -> Weights:
    """Weights on ``with_bias(X)`` of a fitted ``MLPClassifier``."""
    kinds = [base.__name__ for base in type(mlp).__mro__]
    if "MLPClassifier" not in kinds:
        raise InvalidInputError(f"from_sklearn {_SKLEARN_NEED}, got a {type(mlp).__name__}")
    if not hasattr(mlp, "coefs_"):
        raise InvalidInputError(f"from_sklearn {_SKLEARN_NEED}, got one that is not fitted: call fit first")
    if len(mlp.coefs_) != 2:
        raise InvalidInputError(f"from_sklearn {_SKLEARN_NEED}, got {len(mlp.coefs_) - 1} hidden layers")
    if mlp.activation != "relu":
        raise InvalidInputError(f"from_sklearn {_SKLEARN_NEED}, got activation={mlp.activation!r}")
    hidden, output = (as_matrix(coef, "mlp.coefs_") for coef in mlp.coefs_)
    if output.shape[1] != 1:
        raise InvalidInputError(f"from_sklearn {_SKLEARN_NEED}, got {output.shape[1]} output units")
    hidden_bias, output_bias = (as_vector(bias, "mlp.intercepts_") for bias in mlp.intercepts_)
    return _absorb_biases(hidden.T, hidden_bias, output[:, 0], float(output_bias[0]))


def torch_weights(module: Any) -> Weights:
    """Weights of ``nn.Sequential(Linear, ReLU, Linear)``, on ``with_bias(X)`` if either layer has a bias.

    The layers are told by their class names, so that reading a module needs no import of torch.
    """
    layers, kinds = _layers_of(module, _TORCH_NEED)
    if kinds != ["Linear", "ReLU", "Linear"]:
        raise InvalidInputError(f"from_torch {_TORCH_NEED}, got Sequential({', '.join(kinds)})")
    first, _, last = layers
    W1, w2 = as_matrix(_to_numpy(first.weight), "the first weight"), _to_numpy(last.weight)
    if w2.shape[0] != 1:
        raise InvalidInputError(f"from_torch {_TORCH_NEED}, got {w2.shape[0]} outputs")
    w2 = as_vector(w2[0], "the last weight", length=len(W1))
    if first.bias is None and last.bias is None:
        return Weights(W1, w2)
    hidden_bias, output_bias = np.zeros(len(W1)), np.zeros(1)
    if first.bias is not None:
        hidden_bias = as_vector(_to_numpy(first.bias), "the first bias", length=len(W1))
    if last.bias is not None:
        output_bias = as_vector(_to_numpy(last.bias), "the last bias", length=1)
    return _absorb_biases(W1, hidden_bias, w2, float(output_bias[0]))


def feed_forward_module(weights: Sequence[Float[np.ndarray, "_ _"]], alpha: float) -> Any:
    """``nn.Sequential(Linear, (Leaky)ReLU, ..., Linear)`` without biases, in double precision."""
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            "to_torch needs PyTorch, which is not installed: pip install 'convexrelu[torch]'"
        ) from error
    parts: list[Any] = []
    for W in weights:
        if parts:
            parts.append(torch.nn.ReLU() if alpha == 0 else torch.nn.LeakyReLU(alpha))
        linear = torch.nn.Linear(W.shape[1], W.shape[0], bias=False, dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(np.array(W)))
        parts.append(linear)
    return torch.nn.Sequential(*parts)


def feed_forward_weights(module: Any) -> tuple[list[Float[np.ndarray, "_ _"]], float]:
    """Weights of the linear layers and slope on the negative side, of what `feed_forward_module` makes."""
    layers, kinds = _layers_of(module, _DEEP_NEED)
    linear, between = layers[::2], layers[1::2]
    if len(kinds) % 2 == 0 or {*kinds[::2]} != {"Linear"} or not {*kinds[1::2]} <= {"ReLU", "LeakyReLU"}:
        raise InvalidInputError(f"from_torch {_DEEP_NEED}, got Sequential({', '.join(kinds)})")
    if any(layer.bias is not None for layer in linear):
        raise InvalidInputError(f"from_torch {_DEEP_NEED}, got a layer with a bias")
    slopes = {float(getattr(layer, "negative_slope", 0.0)) for layer in between}
    if len(slopes) > 1:
        raise InvalidInputError(f"from_torch {_DEEP_NEED}, got slopes {sorted(slopes)}")
    return [_to_numpy(layer.weight) for layer in linear], slopes.pop() if slopes else 0.0


def _layers_of(module: Any, need: str) -> tuple[list[Any], list[str]]:
    """Return what a Sequential holds, and the names of its classes."""
    if type(module).__name__ != "Sequential":
        raise InvalidInputError(f"from_torch {need}, got a {type(module).__name__}")
    layers = list(module)
    return layers, [type(layer).__name__ for layer in layers]


def _to_numpy(tensor: Any) -> np.ndarray:
    """Copy the tensor to a float64 array, wherever and in whatever precision it lives."""
    return np.asarray(tensor.detach().cpu().double().numpy())


def _absorb_biases(
    W1: Float[np.ndarray, "m d"],
    hidden_bias: Float[np.ndarray, " m"],
    w2: Float[np.ndarray, " m"],
    output_bias: float,
) -> Weights:
    """Weights of the network on (x, 1); see the module's docstring."""
    wide = np.column_stack([W1, hidden_bias])
    if output_bias == 0:
        return Weights(wide, w2)
    root = np.sqrt(abs(output_bias))
    constant = np.zeros(wide.shape[1])
    constant[-1] = root
    return Weights(np.vstack([wide, constant]), np.append(w2, np.copysign(root, output_bias)))
