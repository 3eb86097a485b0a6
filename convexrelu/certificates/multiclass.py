"""Certificates of K classes, one against the rest: a binary certificate each, and their sums."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from convexrelu._clock import Clock
from convexrelu._typing import ArrayLike
from convexrelu._validation import as_class_labels, as_matrix, check_seconds, one_vs_rest
from convexrelu.certificates import document
from convexrelu.certificates.bounds import relative_gap
from convexrelu.certificates.certificate import Certificate
from convexrelu.certificates.stored import RECHECK_TOL, Enclosure, StoredCertificate, check_arithmetic
from convexrelu.certificates.words import in_words
from convexrelu.errors import CertificateError
from convexrelu.networks import TwoLayerReLU

__all__ = ["MultiClassCertificate"]

_LEAST_SECONDS = 1e-3  # for a class whose turn comes when time is up: what needs no search is proven anyway


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class MultiClassCertificate(StoredCertificate):
    """One certificate for each class against the rest; objectives and bounds add up (WP eq. (5) and (8)).

    Attributes
    ----------
    classes : (K,) array
        The labels.
    certificates : tuple of Certificate
        In the same order.

    References
    ----------
    WP: docs/references.md.

    Examples
    --------
    >>> from convexrelu import solve_max_margin
    >>> X, y = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], ["a", "b", "c"]
    >>> certificate = solve_max_margin(X, y).certificate
    >>> round(certificate.lower_bound, 6), certificate.globally_optimal, certificate.check(X, y)
    (7.242641, True, True)
    """

    classes: np.ndarray
    certificates: tuple[Certificate, ...]

    @property
    def objective(self) -> float:
        """Sum of the classes' objectives."""
        return float(sum(c.objective for c in self.certificates))

    @property
    def lower_bound(self) -> float:
        """Sum of the classes' lower bounds."""
        return float(sum(c.lower_bound for c in self.certificates))

    @property
    def gap(self) -> float:
        """``(objective - lower_bound)/objective``; inf if the objective is."""
        return relative_gap(self.objective, self.lower_bound)

    @property
    def exact(self) -> bool:
        """Whether every class's dual norm was computed exactly."""
        return all(c.exact for c in self.certificates)

    @property
    def better_objective(self) -> float:
        """Sum of the classes' objectives, of the better network where there is one; inf if there is none."""
        if not any(part.not_optimal for part in self.certificates):
            return math.inf
        return float(sum(min(part.objective, part.better_objective) for part in self.certificates))

    @property
    def better(self) -> tuple[TwoLayerReLU, ...]:
        """Each class's better network, its own where there is none."""
        return tuple(part.better if part.not_optimal else part.network for part in self.certificates)

    @property
    def verdict(self) -> str:
        """What is proven of the sums, in one sentence."""
        if math.isinf(self.lower_bound):
            return "no network without biases fits the data: proven"
        if self.globally_optimal:
            return f"globally optimal, proven to a relative gap of {max(self.gap, 0.0):.1e}"
        pairs = zip(self.classes, self.certificates, strict=True)
        unfitted = ", ".join(str(k) for k, part in pairs if math.isinf(part.objective))
        return in_words(
            self.objective,
            self.lower_bound,
            self.better_objective,
            better_neurons=sum(part.n_neurons for part in self.better),
            unfitted=f"does not fit the data (classes {unfitted})",
        )

    def __str__(self) -> str:
        best = min(self.objective, self.better_objective)
        lines = [
            f"Certificate: {self.verdict}",
            f"  {self.lower_bound:.9g} <= P* <= {best:.9g}, sums over {len(self.classes)} classes",
        ]
        return "\n".join(
            [*lines, *(f"class {k}: {c}" for k, c in zip(self.classes, self.certificates, strict=True))]
        )

    def proven(self, *, time_limit: float | None = None) -> MultiClassCertificate:
        """Return the certificate with a proof of each class's bounds (see :meth:`Certificate.proven`).

        Parameters
        ----------
        time_limit : float or None
            Seconds for all; the classes share what is left when their turn comes.

        Returns
        -------
        MultiClassCertificate
            As it is saved.

        Raises
        ------
        InvalidInputError
            If the time limit is not positive.
        """
        clock, parts = Clock(limit=float(check_seconds(time_limit))), list[Certificate]()
        for part in self.certificates:
            seconds = max(clock.left / (len(self.certificates) - len(parts)), _LEAST_SECONDS)
            parts.append(part.proven(time_limit=seconds))
        return replace(self, certificates=tuple(parts))

    def to_document(self) -> dict[str, Any]:
        """Return the certificate as plain JSON values.

        Returns
        -------
        dict
            The sums, the classes and every class's own document.
        """
        return {
            "objective": self.objective,
            "lower_bound": self.lower_bound,
            "gap": self.gap,
            "classes": self.classes.tolist(),
            "certificates": [c.to_document() for c in self.certificates],
        }

    @classmethod
    def from_document(cls, values: dict[str, Any]) -> MultiClassCertificate:
        """Return the certificate that :meth:`to_document` turned into these values.

        Parameters
        ----------
        values : dict
            The fields; infinity as a float or as the string "inf".

        Returns
        -------
        MultiClassCertificate
            Not yet checked against any data.

        Raises
        ------
        CertificateError
            On anything malformed, or if a sum is not that of the classes.
        """
        fields = document.Fields(values)
        parts = tuple(Certificate.from_document(part) for part in fields.documents("certificates"))
        loaded = cls(classes=np.asarray(fields.labels("classes", len(parts))), certificates=parts)
        for name, scale in (("objective", 0.0), ("lower_bound", 0.0), ("gap", 1.0)):
            if not document.agrees(fields.number(name), getattr(loaded, name), RECHECK_TOL, scale=scale):
                raise CertificateError(f"{name} is not the sum over the classes: {fields.number(name)!r}")
        return loaded

    def enclosure(self, X: ArrayLike, y: ArrayLike, *, arithmetic: str = "float") -> Enclosure:
        """Return what the certificates prove of P*, the sum over the classes, once all is verified.

        Parameters
        ----------
        X : (n, d) array_like
            The data.
        y : (n,) array_like
            Labels of K classes.
        arithmetic : "float" or "exact", default "float"
            Floating point, rounded outwards, or rational numbers.

        Returns
        -------
        Enclosure
            Of the sum over the classes. Anything else raises CertificateError.
        """
        check_arithmetic(arithmetic)
        matrix = as_matrix(X)
        encoded = one_vs_rest(as_class_labels(y, length=len(matrix)))
        if list(map(str, encoded.classes.tolist())) != list(map(str, self.classes.tolist())):
            raise CertificateError(
                f"the certificate is about classes {self.classes.tolist()}, "
                f"y holds {np.unique(np.asarray(y)).tolist()}"
            )
        found = [
            part.enclosure(matrix, labels, arithmetic=arithmetic)
            for part, labels in zip(self.certificates, encoded.Y, strict=True)
        ]
        return Enclosure(
            lower=sum(part.lower for part in found),
            upper=sum(part.upper for part in found),
            exact=all(part.exact for part in found),
        )
