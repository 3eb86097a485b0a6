"""Networks of PyTorch and weights in files, read and written; reading a module imports nothing."""

from __future__ import annotations

import os
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from convexrelu._json_files import write_bytes
from convexrelu.errors import InvalidInputError
from convexrelu.networks.parts import Parts, parts_of, to_numpy

__all__ = [
    "GivenOut",
    "feed_forward_module",
    "feed_forward_weights",
    "how_to_convert",
    "parts_from_file",
    "torch_parts",
]

_TORCH_NEED = "needs nn.Sequential(nn.Linear(d, m), nn.ReLU(), nn.Linear(m, K)), or its state_dict()"
_DEEP_NEED = (
    "needs nn.Sequential of nn.Linear without bias, with the same nn.ReLU or nn.LeakyReLU between them"
)
_IDLE = {"Identity", "Dropout"}  # what changes nothing once training is over
_HEADS = {"Sigmoid", "LogSigmoid", "Softmax", "LogSoftmax"}
_FILES = (".json", ".npz", ".pt", ".pth")
_ONNX_OPSET = 13  # the first with every type that is used; old readers know it, too


def how_to_convert(given: object) -> str:
    """Return what to do about anything else that was given as a network."""
    if hasattr(given, "network"):
        return ": take its network, of a fitted estimator network_"
    return ": TwoLayerReLU.from_torch, from_sklearn or from_weights makes one"


def torch_parts(module: Any) -> Parts:
    """Take ``nn.Sequential(Linear, ReLU, Linear)`` or its state_dict apart.

    The layers are told by their class names, so that reading a module needs no import of torch.
    """
    if isinstance(module, Mapping):
        return _state_parts(module.items(), "the state_dict")
    layers, kinds = _layers_of(
        module,
        _TORCH_NEED,
        ": wrap its layers in nn.Sequential, or give module.state_dict() if they are Linear, ReLU, Linear",
    )
    live = [(k, layer, kind) for k, (layer, kind) in enumerate(zip(layers, kinds, strict=True))]
    live = [(k, layer, kind) for k, layer, kind in live if kind not in _IDLE]
    wanted = ["Linear", "ReLU", "Linear"]
    for (k, _, kind), want in zip(live, wanted, strict=False):
        if kind != want:
            raise _refused(f"layer {k} is {kind} where {want} is needed{_advice(kind)}", kinds)
    if len(live) > len(wanted):
        k, _, kind = live[len(wanted)]
        raise _refused(f"layer {k} is {kind}, and nothing may follow the second Linear{_advice(kind)}", kinds)
    if len(live) < len(wanted):
        raise _refused(f"{wanted[len(live)]} is missing at the end", kinds)
    (i, first, _), _, (j, last, _) = live
    weight, bias = "the weight of layer ", "the bias of layer "
    names = (f"{weight}{i}", f"{bias}{i}", f"{weight}{j}", f"{bias}{j}")
    return parts_of(first.weight, first.bias, last.weight, last.bias, names=names)


def _refused(reason: str, kinds: Iterable[str]) -> InvalidInputError:
    return InvalidInputError(f"from_torch {_TORCH_NEED}, got Sequential({', '.join(kinds)}): {reason}")


def _advice(kind: str) -> str:
    """Return what to do about a layer that does not belong."""
    if kind in _HEADS:
        return ": leave it out, the package works with the outputs before it"
    if kind.startswith("BatchNorm"):
        return ": fold it into the layer before it, torch.nn.utils.fusion.fuse_linear_bn_eval does that"
    if kind == "Linear":
        return ": two-layer networks are meant, for deeper ones see FeedForward.from_torch"
    if kind == "Flatten":
        return ": leave it out, and flatten the data"
    return ": train with nn.ReLU, of which the theory is" if kind not in ("ReLU", "Sequential") else ""


def _state_parts(items: Iterable[tuple[str, Any]], source: str) -> Parts:
    """Take two layers apart that are told by their names: a weight matrix and perhaps a bias for each."""
    arrays = {str(name): to_numpy(value) for name, value in items}
    layers: dict[str, dict[str, Any]] = {}
    for name in arrays:
        prefix, _, kind = name.rpartition(".")
        layers.setdefault(prefix, {})[kind] = name
    strange = [
        name for prefix in layers for kind, name in layers[prefix].items() if kind not in ("weight", "bias")
    ]
    if strange:
        norm = any("running" in name or "num_batches" in name for name in strange)
        advice = _advice("BatchNorm1d") if norm else ": give the weights by TwoLayerReLU.from_weights"
        raise InvalidInputError(
            f"{source} must hold a weight and a bias for each of two linear layers, got {strange[0]!r}"
            f"{advice}"
        )
    if len(layers) != 2 or not all("weight" in layer for layer in layers.values()):
        names = ", ".join(f"{name} {arrays[name].shape}" for name in list(arrays)[:8])
        raise InvalidInputError(
            f"{source} must hold two linear layers, got {names or 'nothing'}: two-layer networks are meant"
        )
    first, last = layers.values()
    one, two = (tuple(layer.get(kind) for kind in ("weight", "bias")) for layer in (first, last))
    return parts_of(
        *(None if name is None else arrays[name] for name in (*one, *two)),
        names=tuple(str(name) for name in (*one, *two)),  # type: ignore[arg-type]
    )


def parts_from_file(path: str | os.PathLike[str]) -> Parts:
    """Take apart the weights in an .npz file, or the state_dict in a .pt file."""
    source = Path(path)
    if not source.is_file():
        raise InvalidInputError(f"{source}: there is no such file")
    suffix = source.suffix.lower()
    try:
        if suffix == ".npz":
            return _named_parts(_arrays(source), str(source))
        if suffix in (".pt", ".pth"):
            return _state_parts(_torch_state(source).items(), str(source))
    except InvalidInputError as error:
        said = str(error)
        raise InvalidInputError(said if said.startswith(str(source)) else f"{source}: {said}") from error
    raise InvalidInputError(
        f"{source}: the name must end in one of {', '.join(_FILES)}, got {suffix or 'none'}"
    )


def _named_parts(arrays: dict[str, np.ndarray], source: str) -> Parts:
    """Take apart arrays that are called W1, b1, w2 (or W2) and b2, or as in a state_dict."""
    if "W1" not in arrays:
        return _state_parts(arrays.items(), source)
    second = "w2" if "w2" in arrays else "W2"
    if second not in arrays or not set(arrays) <= {"W1", "b1", second, "b2"}:
        raise InvalidInputError(
            f"{source} must hold W1, w2 and perhaps b1 and b2, got {', '.join(arrays) or 'nothing'}"
        )
    return parts_of(
        arrays["W1"], arrays.get("b1"), arrays[second], arrays.get("b2"), names=("W1", "b1", second, "b2")
    )


def _arrays(source: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(source, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise InvalidInputError(f"not a readable NPZ file: {error}") from error


def _torch_state(source: Path) -> Mapping[str, Any]:
    """Return the state_dict in a file; nothing in the file is run."""
    try:
        import torch
    except ImportError as error:
        raise InvalidInputError(
            "reading it needs PyTorch, which is not installed: pip install 'convexrelu[torch]', or write the "
            "weights to an .npz file"
        ) from error
    try:
        state = torch.load(source, map_location="cpu", weights_only=True)
    except Exception as error:  # what a strange pickle raises is anything
        raise InvalidInputError(
            "it does not hold plain weights (others are not read: they can run any code); write them by "
            "torch.save(module.state_dict(), path)"
        ) from error
    if not isinstance(state, Mapping):
        raise InvalidInputError(
            f"it holds a {type(state).__name__}: write torch.save(module.state_dict(), path)"
        )
    return state


def _module_of(parts: Parts) -> Any:
    """``nn.Sequential(Linear, ReLU, Linear)`` in double precision."""
    return _sequential([(parts.W1, parts.b1), (parts.W2, parts.b2)], 0.0)


def feed_forward_module(weights: Sequence[Float[np.ndarray, "_ _"]], alpha: float) -> Any:
    """``nn.Sequential(Linear, (Leaky)ReLU, ..., Linear)`` without biases, in double precision."""
    return _sequential([(W, None) for W in weights], alpha)


def _sequential(layers: Sequence[tuple[np.ndarray, np.ndarray | None]], alpha: float) -> Any:
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            "to_torch needs PyTorch, which is not installed: pip install 'convexrelu[torch]'"
        ) from error
    parts: list[Any] = []
    for W, b in layers:
        if parts:
            parts.append(torch.nn.ReLU() if alpha == 0 else torch.nn.LeakyReLU(alpha))
        linear = torch.nn.Linear(W.shape[1], W.shape[0], bias=b is not None, dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(np.array(W)))
            if b is not None:
                linear.bias.copy_(torch.tensor(np.array(b)))
        parts.append(linear)
    return torch.nn.Sequential(*parts)


def _write_onnx(path: str | os.PathLike[str], parts: Parts) -> None:
    """Write ``Gemm, Relu, Gemm`` in double precision, input ``X`` of shape (n, d), output ``f``, (n, K)."""
    try:
        from onnx import TensorProto, checker, helper, numpy_helper
    except ImportError as error:
        raise ImportError(
            "to_onnx needs onnx, which is not installed: pip install 'convexrelu[onnx]'"
        ) from error
    arrays = {"W1": parts.W1, "b1": parts.b1, "W2": parts.W2, "b2": parts.b2}
    stored = {name: array for name, array in arrays.items() if array is not None}
    layers = [[name for name in pair if name in stored] for pair in (("W1", "b1"), ("W2", "b2"))]
    (m, d), K = parts.W1.shape, len(parts.W2)
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["X", *layers[0]], ["before"], transB=1),
            helper.make_node("Relu", ["before"], ["hidden"]),
            helper.make_node("Gemm", ["hidden", *layers[1]], ["f"], transB=1),
        ],
        f"two-layer ReLU network of {m} neurons",
        [helper.make_tensor_value_info("X", TensorProto.DOUBLE, ["n", d])],
        [helper.make_tensor_value_info("f", TensorProto.DOUBLE, ["n", K])],
        [numpy_helper.from_array(np.ascontiguousarray(array), name) for name, array in stored.items()],
    )
    model = helper.make_model(
        graph, producer_name="convexrelu", opset_imports=[helper.make_opsetid("", _ONNX_OPSET)]
    )
    model.ir_version = 8  # of that opset's time
    checker.check_model(model)
    write_bytes(path, model.SerializeToString())


class GivenOut(ABC):
    """A network of one hidden layer that PyTorch and ONNX take."""

    @abstractmethod
    def _parts(self, wanted: str, *, biases: bool) -> Parts:
        """Return the layers, for what is wanted."""

    def to_weights(self, *, biases: bool = False) -> Parts:
        """Return the layers as arrays: ``f(x) = W2 (W1 x + b1)_+ + b2``, the inverse of ``from_weights``.

        A linear part becomes two neurons for each input that has one: ``t = (t)_+ - (-t)_+``.

        Parameters
        ----------
        biases : bool, default False
            Whether to take the weights of the last column, the ones, as the hidden biases b1: W1 then acts on
            X without it.

        Returns
        -------
        named tuple
            ``W1`` (m, d), ``b1`` (m,) or None, ``W2`` (K, m) and ``b2`` (K,) or None: copies.

        Raises
        ------
        InvalidInputError
            If there is no neuron, or no column but the ones.

        Examples
        --------
        >>> from convexrelu import TwoLayerReLU
        >>> W1, b1, W2, b2 = TwoLayerReLU([[1.0, -1.0, 0.5]], [2.0]).to_weights(biases=True)
        >>> W1, b1, W2, b2
        (array([[ 1., -1.]]), array([0.5]), array([[2.]]), None)
        """
        W1, b1, W2, b2 = self._parts("to_weights", biases=biases)
        hidden, constant = (None if bias is None else np.array(bias) for bias in (b1, b2))
        return Parts(np.array(W1), hidden, np.array(W2), constant)

    def to_torch(self, *, biases: bool = False) -> Any:
        """Return ``nn.Sequential(Linear(d, m), ReLU(), Linear(m, K))`` in double precision.

        A linear part becomes two neurons for each input that has one: ``t = (t)_+ - (-t)_+``.

        Parameters
        ----------
        biases : bool, default False
            Whether to take the weights of the last column, the ones, as biases: the module then acts on X
            without it.

        Returns
        -------
        torch.nn.Sequential
            The same function of shape (n, K); its weights are copies and can be trained on.

        Raises
        ------
        ImportError
            If PyTorch is not installed (``pip install 'convexrelu[torch]'``).
        InvalidInputError
            If there is no neuron, or no column but the ones.
        """
        return _module_of(self._parts("to_torch", biases=biases))

    def to_onnx(self, path: str | os.PathLike[str], *, biases: bool = False) -> None:
        """Write the network as an ONNX model: input ``X`` of shape (n, d), output ``f`` of shape (n, K).

        Parameters
        ----------
        path : str or path
            The file; an older one is replaced in one step.
        biases : bool, default False
            As in :meth:`to_torch`.

        Raises
        ------
        ImportError
            If onnx is not installed (``pip install 'convexrelu[onnx]'``).
        InvalidInputError
            If there is no neuron, no column but the ones, or the file cannot be written.
        """
        _write_onnx(path, self._parts("to_onnx", biases=biases))


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
    return [to_numpy(layer.weight) for layer in linear], slopes.pop() if slopes else 0.0


def _layers_of(module: Any, need: str, advice: str = "") -> tuple[list[Any], list[str]]:
    """Return what a Sequential holds, and the names of its classes."""
    if type(module).__name__ != "Sequential":
        raise InvalidInputError(f"from_torch {need}, got a {type(module).__name__}{advice}")
    layers = list(module)
    return layers, [type(layer).__name__ for layer in layers]
