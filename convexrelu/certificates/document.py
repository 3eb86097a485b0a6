"""JSON of certificates: writing, strict reading, comparing, and the fingerprint of the data."""

from __future__ import annotations

import math
import os
import re
from typing import Any

import numpy as np
from jaxtyping import Float

from convexrelu._json_files import read_json, write_json
from convexrelu.check import FORMAT, VERSION, fingerprint, seal
from convexrelu.errors import CertificateError, InvalidInputError
from convexrelu.networks import TwoLayerReLU
from convexrelu.oracle import Cover
from convexrelu.oracle.relaxation import Leaf, Relaxation

__all__ = [
    "Fields",
    "agrees",
    "columns",
    "encode",
    "encode_cover",
    "encode_relaxation",
    "fingerprint",
    "read",
    "write",
]

_MOST_ROWS = 10**9  # as the fingerprint's form has it
_MOST_NODES = 10**15  # exact as a float


def columns(data: str) -> int:
    """The number of columns that a fingerprint states."""
    size = re.match(r"[1-9][0-9]{0,8}x([1-9][0-9]{0,8}) sha256:", data)
    if size is None:
        raise CertificateError(f"the certificate's data must look like '2x2 sha256:...', got {data!r}")
    return int(size[1])


def write(path: str | os.PathLike[str], values: dict[str, Any]) -> None:
    """Write a document, sealed, whole or not at all."""
    whole = {"format": FORMAT, "version": VERSION, **encode(values)}
    write_json(path, {**whole, "seal": seal(whole)})


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a document, or raise CertificateError saying what is wrong with the file.

    Documents of format 1 have neither a proof nor a seal.
    """
    try:
        values = read_json(path, kind=FORMAT, version=VERSION)
        if values["version"] == VERSION and values.get("seal") != seal(values):
            raise CertificateError(f"{path} was altered after it was written: its seal is broken")
    except (InvalidInputError, ValueError, RecursionError) as error:
        raise CertificateError(str(error)) from error
    return values


def agrees(claimed: Any, value: Any, tol: float, *, scale: float = 0.0) -> bool:
    """Whether a claimed value is the recomputed one.

    Numbers agree to `tol` times their size or `scale`, whichever is larger; the rest exactly.
    """
    if isinstance(value, float) and isinstance(claimed, (int, float)) and not isinstance(claimed, bool):
        if math.isinf(value) or math.isinf(claimed):
            return value == claimed
        return abs(claimed - value) <= tol * max(scale, abs(value))
    return bool(claimed == value)


def encode_relaxation(relaxation: Relaxation | None) -> list[dict[str, Any]] | None:
    """Return a relaxation as plain values: its leaves, each under the names of its fields."""
    if relaxation is None:
        return None
    return [
        {
            "sign": leaf.sign,
            "rows": leaf.rows.tolist(),
            "sides": leaf.sides.tolist(),
            "T": leaf.T.tolist(),
            "t0": leaf.t0.tolist(),
            "mu": leaf.mu.tolist(),
        }
        for leaf in relaxation.leaves
    ]


def encode_cover(cover: Cover | None) -> dict[str, Any] | None:
    """Return a cover as plain values, under the names of its fields."""
    return None if cover is None else {"level": cover.level, "nodes": cover.nodes}


def encode(value: Any) -> Any:
    """Return what JSON can hold: infinity, which it lacks, as the string "inf"."""
    if isinstance(value, dict):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, list):
        return [encode(item) for item in value]
    if isinstance(value, float) and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return value


class Fields:
    """Typed access to a document's fields; every mismatch is a CertificateError that names the field."""

    def __init__(self, values: Any) -> None:
        if not isinstance(values, dict):
            raise CertificateError(f"a certificate must be a JSON object, got {type(values).__name__}")
        self._values = values

    def _get(self, name: str) -> Any:
        if name not in self._values:
            raise CertificateError(f"the certificate lacks the field {name!r}")
        return self._values[name]

    def number(self, name: str) -> float:
        """A finite number, or infinity, as a float or as the string that stands for it in JSON."""
        value = self._get(name)
        if value in ("inf", "-inf", math.inf, -math.inf):
            return float(value)
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise CertificateError(f"{name} must be a number, got {value!r}")
        return float(self._array(value, name, 0))

    def flag(self, name: str) -> bool:
        """A boolean."""
        value = self._get(name)
        if not isinstance(value, bool):
            raise CertificateError(f"{name} must be true or false, got {value!r}")
        return value

    def text(self, name: str) -> str:
        """A string."""
        value = self._get(name)
        if not isinstance(value, str):
            raise CertificateError(f"{name} must be a string, got {value!r}")
        return value

    def vector(self, name: str) -> Float[np.ndarray, " n"]:
        """A list of finite numbers."""
        return self._array(self._get(name), name, 1)

    def labels(self, name: str, length: int) -> list[Any]:
        """A list of that many labels."""
        value = self._get(name)
        if not isinstance(value, list) or len(value) != length:
            raise CertificateError(f"{name} must list {length} labels, got {value!r}")
        return value

    def documents(self, name: str) -> list[Any]:
        """A list of objects."""
        value = self._get(name)
        if not isinstance(value, list) or not value or not all(isinstance(part, dict) for part in value):
            raise CertificateError(f"{name} must be a list of certificates, got {type(value).__name__}")
        return value

    def network(self, name: str, d: int) -> TwoLayerReLU:
        """A network of d inputs, written as W1 and w2."""
        value = self._get(name)
        if not isinstance(value, dict) or not {"W1", "w2"} <= set(value):
            raise CertificateError(f"{name} must hold W1 and w2, got {type(value).__name__}")
        weights = self._array(value["w2"], f"{name}.w2", 1)
        rows = self._array(value["W1"], f"{name}.W1", 2) if len(weights) else np.zeros((0, d))
        try:
            return TwoLayerReLU(rows, weights)
        except InvalidInputError as error:
            raise CertificateError(f"{name} is not a network: {error}") from error

    def relaxation(self, name: str) -> Relaxation | None:
        """A list of leaves; None if null, or missing as in documents written before there were any."""
        value = self._values.get(name)
        if value is None:
            return None
        if not isinstance(value, list):
            raise CertificateError(f"{name} must be a list of leaves, got {type(value).__name__}")
        return Relaxation(leaves=tuple(Fields(part)._leaf() for part in value))

    def cover(self, name: str) -> Cover | None:
        """A level and a number of cones; None if null, or missing as in documents written before."""
        value = self._values.get(name)
        if value is None:
            return None
        fields = Fields(value)
        level, nodes = fields.number("level"), fields.number("nodes")
        if not (0 < level < math.inf and 0 <= nodes <= _MOST_NODES and nodes == int(nodes)):
            raise CertificateError(
                f"a cover needs a positive level and a number of cones, got {level!r} and {nodes!r}"
            )
        return Cover(level=level, nodes=int(nodes))

    def proof(self, name: str) -> dict[str, Any] | None:
        """An object, which the checker evaluates; None if null, or missing as in format 1."""
        value = self._values.get(name)
        if value is not None and not isinstance(value, dict):
            raise CertificateError(f"{name} must be an object, got {type(value).__name__}")
        return value

    def _leaf(self) -> Leaf:
        rows, mu, t0 = self.vector("rows"), self.vector("mu"), self.vector("t0")
        if (rows != np.floor(rows)).any() or (rows < 0).any() or (rows > _MOST_ROWS).any():
            raise CertificateError("a leaf's rows must be indices of rows")
        sides, shape = self.vector("sides"), (len(t0), max(len(mu) - 1, 0))
        T = self._array(self._get("T"), "T", 2) if len(t0) else np.zeros(shape)
        if len(sides) != len(rows) or T.shape != shape or not len(mu):
            raise CertificateError(
                f"a leaf of {len(rows)} rows, {len(t0)} entries of t0 and {len(mu)} of mu needs T of shape "
                f"{shape} and a side for each row, got {T.shape} and {len(sides)}"
            )
        return Leaf(
            sign=self.number("sign"),
            rows=rows.astype(np.int64),
            sides=sides,
            T=T,
            t0=t0,
            mu=mu,
        )

    @staticmethod
    def _array(value: Any, name: str, dimensions: int) -> np.ndarray:
        try:
            array = np.array(value, dtype=np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise CertificateError(f"{name} must be an array of numbers: {error}") from error
        if array.ndim != dimensions or not np.isfinite(array).all():
            raise CertificateError(
                f"{name} must be a finite array of {dimensions} dimension(s), got shape {array.shape}"
            )
        return array
