"""The file that ``solve --out`` writes: a certificate, and what it takes to use its network on a table.

It is the certificate's own document with one more field, ``model``: what was done to the columns, and the
names of the classes. ``check`` and ``certify`` prepare the data by it, ``predict`` answers in these names.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from convexrelu.cli.output import complain, working
from convexrelu.errors import CertificateError, InfeasibleError, InvalidInputError

if TYPE_CHECKING:
    from convexrelu.certificates import Certificate, MultiClassCertificate, RegularizedCertificate
    from convexrelu.certificates.weight_decay import Decayed
    from convexrelu.cli.data import Given
    from convexrelu.datasets import Preprocessing

    AnyCertificate = Certificate | MultiClassCertificate | RegularizedCertificate

__all__ = [
    "Model",
    "fit_of_outputs",
    "fit_sentence",
    "infeasible_sentence",
    "load_model",
    "predicted",
    "save_infeasible",
    "save_model",
]

_WEAKER = 1e-6  # relative: more than rounding
_LINES = 12  # of a file in a sentence


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """A certificate, with what its network needs.

    Attributes
    ----------
    certificate : Certificate, MultiClassCertificate or RegularizedCertificate
        As in the file.
    preprocessing : Preprocessing or None
        What is done to the columns of a table; None if the file does not tell: its numbers are about arrays.
    label : str or None
        The column of the labels.
    classes : tuple of str
        Their names, smallest first; none of real targets.
    """

    certificate: AnyCertificate
    preprocessing: Preprocessing | None
    label: str | None
    classes: tuple[str, ...]

    @property
    def networks(self) -> list[Decayed]:
        """The network, or one a class."""
        from convexrelu.certificates import MultiClassCertificate

        if isinstance(self.certificate, MultiClassCertificate):
            return [part.network for part in self.certificate.certificates]
        return [self.certificate.network]

    def outputs(self, X: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n k"]:
        """The networks' values on preprocessed rows, a column for each output."""
        return np.column_stack([network(X) for network in self.networks])

    def predict(self, outputs: Float[np.ndarray, "n k"]) -> np.ndarray:
        """Return what outputs stand for: names of classes, or numbers."""
        return predicted(outputs, self.classes, getattr(self.certificate, "loss", None))


def predicted(outputs: Float[np.ndarray, "n k"], classes: Sequence[str], loss: Any) -> np.ndarray:
    """Return names of classes, or numbers if there are no classes: of counts their expected value."""
    if not classes:
        values = outputs[:, 0] if outputs.shape[1] == 1 else outputs
        return np.asarray(np.exp(values) if getattr(loss, "name", "") == "poisson" else values)
    names = np.array(classes)
    if outputs.shape[1] > 1:
        return np.asarray(names[outputs.argmax(axis=1)])
    return np.asarray(names[(outputs[:, 0] > 0).astype(int) * (len(names) - 1)])


def fit_of_outputs(outputs: Float[np.ndarray, "n k"], given: Given, loss: Any) -> dict[str, Any]:
    """How well labelled data is predicted: the accuracy, or of numbers R^2."""
    found = predicted(outputs, given.classes, loss)
    if given.classes:
        codes = np.searchsorted(np.unique(given.y), given.y)
        return {"accuracy": float(np.mean(found == np.array(given.classes)[codes]))}
    spread = np.sum(np.square(given.y - given.y.mean()))
    rest = float(np.sum(np.square(given.y - found)))
    return {"r2": 1.0 - rest / float(spread) if spread > 0 else float("nan")}


def fit_sentence(fit: dict[str, Any], n: int) -> str:
    """Return how well the training data is predicted, in words."""
    if "accuracy" in fit:
        return f"training accuracy {fit['accuracy']:.1%} ({round(fit['accuracy'] * n)} of {n})"
    return f"training R^2 {fit['r2']:.4f}"


def save_model(certificate: AnyCertificate, path: Path, given: Given, time_limit: float) -> None:
    """Write the certificate, its proof and the model, and say so if the file can only prove less."""
    with working(f"writing the proof ({time_limit:g} s at most)"):
        proven = certificate.proven(time_limit=time_limit)
        proven.save(path)
    _add_model(path, given)
    if proven.lower_bound < certificate.lower_bound * (1 - _WEAKER):
        complain(
            f"the file proves {proven.lower_bound:.9g} <= P* only: a proof of {certificate.lower_bound:.9g}, "
            "which a search found, would be too large, or take longer than the time limit"
        )


def infeasible_sentence(given: Given, error: InfeasibleError) -> str:
    """Return why no network fits, where in the file to look, and what to do on the command line."""
    where = [given.lines[row] for row in error.rows[:_LINES]] if given.lines else []
    more = ", ..." if len(error.rows) > len(where) else ""
    place = f" In the file: {', '.join(where)}{more}." if where else ""
    return f"{error}{place} On the command line, --C 1 allows slack."


def save_infeasible(path: Path, given: Given, error: InfeasibleError, command: str) -> None:
    """Write the proof that no network fits, and say so on the error stream."""
    from convexrelu.certificates import certify_infeasible

    certify_infeasible(given.X, given.y, error.farkas).save(path)
    _add_model(path, given)
    complain(f"{infeasible_sentence(given, error)} The proof is written to {path}; check it with: {command}")


def _add_model(path: Path, given: Given) -> None:
    """Add the model to a certificate just written."""
    from convexrelu._json_files import write_json
    from convexrelu.check import seal

    document = json.loads(path.read_text(encoding="utf-8"))
    document["model"] = {
        "preprocessing": given.preprocessing.to_document(),
        "label": given.label,
        "classes": list(given.classes),
    }
    if "seal" in document:
        document["seal"] = seal(document)
    write_json(path, document)


def load_model(path: Path) -> Model:
    """Return the model in a file that ``solve --out``, ``certify --out`` or ``certificate.save`` wrote."""
    from convexrelu.certificates import load_certificate
    from convexrelu.datasets import Preprocessing

    certificate: AnyCertificate = load_certificate(path)
    values = json.loads(path.read_text(encoding="utf-8")).get("model")
    if values is None:
        return Model(certificate=certificate, preprocessing=None, label=None, classes=())
    try:
        preprocessing = Preprocessing.from_document(values["preprocessing"])
        label, classes = values["label"], values["classes"]
    except (KeyError, TypeError, InvalidInputError) as error:
        raise CertificateError(f"{path}: the model is malformed: {error}") from error
    named = isinstance(classes, list) and all(isinstance(name, str) for name in classes)
    if not named or not (label is None or isinstance(label, str)):
        raise CertificateError(f"{path}: the model is malformed: label and classes must be names")
    return Model(certificate=certificate, preprocessing=preprocessing, label=label, classes=tuple(classes))
