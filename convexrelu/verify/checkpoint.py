"""Finished runs in a file, so that a rerun goes on where an earlier one stopped."""

from __future__ import annotations

import base64
import os
from typing import Any

import numpy as np
from jaxtyping import Float

from convexrelu._finished import FinishedRuns
from convexrelu.certificates import Certificate
from convexrelu.errors import CertificateError
from convexrelu.losses import get_loss
from convexrelu.training import Trajectory
from convexrelu.verify.plan import Plan
from convexrelu.verify.verdicts import VERDICTS, LimitPart

__all__ = ["Checkpoint"]

FORMAT = "convexrelu verify checkpoint"

_NUMBERS = ("objective", "lower_bound", "stationarity", "dual_feasibility")
_TEXTS = ("better_by", "correspondence", "verdict")


class Checkpoint:
    """The finished runs of one set of settings, each the parts of its binary problems, kept in a JSON file.

    Parameters
    ----------
    path : path or None
        The file; without one nothing is kept.
    plan : Plan
        The runs there are to be: a file of other settings is refused.

    Raises
    ------
    InvalidInputError
        If the file cannot be read, cannot take the runs still to come, is that of other runs, or is damaged.
    """

    def __init__(self, path: str | os.PathLike[str] | None, plan: Plan) -> None:
        settings, n_runs = plan.settings, len(plan.starts)
        self._kept = FinishedRuns(path, kind=FORMAT, settings=settings, n_runs=n_runs)
        try:
            self.runs = {
                number: tuple(_decoded(part, plan.X, y) for part, y in zip(kept, plan.encoded.Y, strict=True))
                for number, kept in self._kept.values.items()
            }
        except (AttributeError, CertificateError, KeyError, TypeError, ValueError) as error:
            raise self._kept.damaged(error) from error

    def add(self, number: int, parts: tuple[LimitPart, ...]) -> None:
        """Keep one finished run; the file is replaced in one step."""
        self.runs[number] = parts
        self._kept.add(number, [_encoded(part) for part in parts])


def _encoded(part: LimitPart) -> dict[str, Any]:
    """One part as JSON values; its data is not among them."""
    path = part.trajectory
    certificate = part.certificate.to_document()
    return {
        **{name: _number(getattr(part, name)) for name in _NUMBERS},
        **{name: getattr(part, name) for name in _TEXTS},
        "favourable": part.favourable,
        "certificate": {k: _number(v) if isinstance(v, float) else v for k, v in certificate.items()},
        "loss": path.rule.name,
        "status": path.status,
        "stages": list(path.stages),
        **{name: _packed(getattr(path, name)) for name in ("times", "W1", "w2")},
    }


def _decoded(values: dict[str, Any], X: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"]) -> LimitPart:
    certificate = Certificate.from_document(values["certificate"])
    if values["verdict"] not in VERDICTS:
        raise ValueError(f"{values['verdict']!r} is no verdict")
    trajectory = Trajectory(
        X=X,
        y=y,
        times=_unpacked(values["times"]),
        W1=_unpacked(values["W1"]),
        w2=_unpacked(values["w2"]),
        rule=get_loss(values["loss"]),
        status=str(values["status"]),
        kind="descent",
        events=(),
        stages=tuple(int(step) for step in values.get("stages", [])),  # files of version 0.1 have none
    )
    fields: dict[str, Any] = {name: float(values[name]) for name in _NUMBERS}
    fields |= {name: str(values[name]) for name in _TEXTS}
    return LimitPart(
        trajectory=trajectory,
        limit=certificate.network,
        certificate=certificate,
        favourable=bool(values["favourable"]),
        **fields,
    )


def _number(value: float) -> float | str:
    """A number that JSON can hold: infinity becomes a string, which float() takes back."""
    return float(value) if np.isfinite(value) else str(float(value))


def _packed(array: np.ndarray) -> dict[str, Any]:
    """An array to its last bit, in base64, which is faster and shorter than decimal numbers."""
    plain = np.ascontiguousarray(array)
    little = plain.astype(plain.dtype.newbyteorder("<"))
    return {
        "dtype": little.dtype.str,
        "shape": list(plain.shape),
        "base64": base64.b64encode(little.tobytes()).decode("ascii"),
    }


def _unpacked(values: dict[str, Any]) -> np.ndarray:
    dtype = np.dtype(str(values["dtype"]))
    flat = np.frombuffer(base64.b64decode(values["base64"], validate=True), dtype=dtype)
    return flat.reshape(values["shape"]).astype(dtype.newbyteorder("="))
