"""What was claimed, and everything needed to claim it again from the data: no solver, no trust.

A certificate holds the network, the dual variable and the numbers they prove. :meth:`Certificate.check`
recomputes every number from X, y, the weights and lam with NumPy and the package's oracle, and refuses other
data or altered numbers. Where the oracle's search went to a tolerance or was cut off, the certificate says
how far it went, and it is repeated that far; where it is out of reach, the certificate holds what bounds
h(lam) without one, which is evaluated and not believed.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from convexrelu._typing import ArrayLike
from convexrelu._validation import as_data
from convexrelu.certificates import document
from convexrelu.certificates.bounds import bound, feasible_signs, scale_exponent, scaled_by, upper_bound
from convexrelu.certificates.kkt import OPTIMALITY_TOL, kkt_report
from convexrelu.errors import CertificateError, InvalidInputError
from convexrelu.networks import TwoLayerReLU
from convexrelu.networks.neurons import row_norms
from convexrelu.oracle import Cover, DualNorm, covered_norm, dual_norm
from convexrelu.oracle.relaxation import Relaxation, relaxed_norm

__all__ = ["RECHECK_TOL", "Certificate", "assess"]

# Recomputing on another machine changes sums in their last digits; bounds that are rounded outwards move by
# as much.
RECHECK_TOL = 1e-9


@dataclass(frozen=True, kw_only=True, eq=False)
class Certificate:
    """Proven bounds on P* from one network and one dual variable, with the means to check them.

    Attributes
    ----------
    network : TwoLayerReLU
        The network judged.
    lam : (n,) float array
        The dual variable, ``y * lam >= 0``.
    C : float
        Penalty of slack, inf for the hard margin.
    data : str
        Fingerprint of X and the +-1 labels (sizes and SHA-256).
    objective : float
        Upper bound on P*: the network's objective at margin 1; inf if it does not fit the data.
    lower_bound : float
        Lower bound on P* from lam.
    gap : float
        ``(objective - lower_bound)/objective``; inf if the objective is.
    margin : float
        ``min_n y_n f(x_n)`` of the network as given.
    dual_feasibility : float
        Proven upper bound on h(lam).
    exact : bool
        Whether h(lam) was computed exactly; if not, the lower bound is valid but may be loose.
    stationarity, complementarity : float
        KKT residuals of the network with lam scaled to dual feasibility (inf where there are none: no fit, or
        a finite C).
    structure, correspondence : str
        See :class:`KKTReport`.
    better : TwoLayerReLU
        A network with a smaller objective: the only accepted proof that `network` is not globally optimal. No
        neurons if there is none.
    better_objective : float
        Its objective; inf if there is none.
    relaxation : Relaxation or None
        What bounds h(lam) without a search; None if the oracle's search does.
    cover : Cover or None
        How far the oracle's search went; None if as far as it goes by default, or if there was none.
    """

    network: TwoLayerReLU
    lam: Float[np.ndarray, " n"]
    C: float
    data: str
    objective: float
    lower_bound: float
    gap: float
    margin: float
    dual_feasibility: float
    exact: bool
    stationarity: float
    complementarity: float
    structure: str
    correspondence: str
    better: TwoLayerReLU
    better_objective: float
    relaxation: Relaxation | None = None
    cover: Cover | None = None

    @property
    def globally_optimal(self) -> bool:
        """Proven optimal to 1e-6 relative."""
        return self.gap <= OPTIMALITY_TOL

    @property
    def not_optimal(self) -> bool:
        """Proven not optimal: a network better by more than the rounding of both objectives is at hand."""
        return self.better_objective < self.objective * (1 - RECHECK_TOL)

    @property
    def verdict(self) -> str:
        """What is proven, in one sentence."""
        if self.globally_optimal:
            return f"globally optimal, proven to a relative gap of {max(self.gap, 0.0):.1e}"
        if self.not_optimal:
            return (
                "not globally optimal: "
                f"a network with objective {self.better_objective:.9g} < {self.objective:.9g} is at hand"
            )
        if np.isinf(self.objective):
            return (
                f"does not fit the data (margin {self.margin:.3g}); "
                f"every network that does has objective >= {self.lower_bound:.6g}"
            )
        excess = (
            f"{self.objective / self.lower_bound - 1:.2%}" if self.lower_bound > 0 else "unboundedly much"
        )
        return f"above the optimum by {excess} at most; whether it is optimal is not decided"

    def __str__(self) -> str:
        kind = "exact" if self.exact else "only bounded from above, so the lower bound may be loose"
        return "\n".join(
            [
                f"Certificate: {self.verdict}",
                f"  {self.lower_bound:.9g} <= P* <= {min(self.objective, self.better_objective):.9g}",
                f"  objective {self.objective:.9g} at margin 1 (margin as given {self.margin:.6g})",
                f"  h(lam) = {self.dual_feasibility:.9g}, {kind}",
                f"  {self.correspondence}",
            ]
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the certificate as JSON (schema version 1).

        An existing file is replaced only once all is written.

        Parameters
        ----------
        path : str or path
            The file; its folder must exist.

        Raises
        ------
        InvalidInputError
            If its folder does not exist, or the path is a folder.
        """
        document.write(path, self.to_document())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Certificate:
        """Return the binary certificate in a file; nothing in it is believed before :meth:`check`.

        Parameters
        ----------
        path : str or path
            The file.

        Returns
        -------
        Certificate
            As it was saved.

        Raises
        ------
        CertificateError
            If the file is not a binary certificate.
        """
        values = document.read(path)
        if "certificates" in values:
            raise CertificateError(f"{path} holds a certificate of several classes: use load_certificate")
        return cls.from_document(values)

    def check(self, X: ArrayLike, y: ArrayLike) -> bool:
        """Recompute everything from the data; True, or CertificateError naming the first number that fails.

        Parameters
        ----------
        X : (n, d) array_like
            The data the certificate is about.
        y : (n,) array_like
            Its two labels.

        Returns
        -------
        bool
            True.

        Raises
        ------
        CertificateError
            If the data is another one, or a number is not what the data, the network and lam give.
        """
        matrix, labels = as_data(X, y)
        if document.fingerprint(matrix, labels) != self.data:
            raise CertificateError("the certificate is about other data: sizes or checksum of X and y differ")
        self._check_shapes(matrix)
        try:
            lam = feasible_signs(labels, self.lam)
        except InvalidInputError as error:
            raise CertificateError(str(error)) from error
        with np.errstate(
            over="ignore", invalid="ignore"
        ):  # absurd weights: infinity is then not what is claimed
            norm = self._norm(matrix, lam)
            again = assess(
                matrix,
                labels,
                self.network,
                lam,
                norm=norm,
                C=self.C,
                better=self.better,
                relaxation=self.relaxation,
            )
        claims = self.to_document()
        # residuals are relative already, and a margin is a difference of outputs
        scales = dict.fromkeys(("gap", "stationarity", "complementarity"), 1.0)
        scales["margin"] = self.network.group_norm() * float(row_norms(matrix).max())
        if not np.isfinite(scales["margin"]):
            scales["margin"] = 0.0
        for name, value in again.to_document().items():
            claimed = claims[name]
            if not document.agrees(claimed, value, RECHECK_TOL, scale=scales.get(name, 0.0)):
                raise CertificateError(
                    f"{name} is {claimed!r} in the certificate, but the data gives {value!r}"
                )
        return True

    def _norm(self, X: Float[np.ndarray, "n d"], lam: Float[np.ndarray, " n"]) -> DualNorm:
        """The dual norm, by the same search or by one evaluation of the relaxation."""
        try:
            if self.relaxation is not None:
                return relaxed_norm(X, lam, self.relaxation)
            return dual_norm(X, lam) if self.cover is None else covered_norm(X, lam, self.cover)
        except InvalidInputError as error:
            raise CertificateError(str(error)) from error

    def _check_shapes(self, X: Float[np.ndarray, "n d"]) -> None:
        n, d = X.shape
        if len(self.lam) != n or self.network.n_features != d or self.better.n_features != d:
            raise CertificateError(
                f"the certificate needs lam of {n} entries and networks of {d} inputs, got {len(self.lam)}, "
                f"{self.network.n_features} and {self.better.n_features}"
            )
        if not self.C > 0:
            raise CertificateError(f"C must be positive, got {self.C}")

    def to_document(self) -> dict[str, Any]:
        """Return the certificate as plain JSON values, under the names of its fields.

        Returns
        -------
        dict
            Numbers, strings and lists; infinity is still a float.
        """
        return {
            "C": self.C,
            "data": self.data,
            "objective": self.objective,
            "lower_bound": self.lower_bound,
            "gap": self.gap,
            "margin": self.margin,
            "dual_feasibility": self.dual_feasibility,
            "exact": self.exact,
            "stationarity": self.stationarity,
            "complementarity": self.complementarity,
            "structure": self.structure,
            "correspondence": self.correspondence,
            "better_objective": self.better_objective,
            "lam": self.lam.tolist(),
            "network": {"W1": self.network.W1.tolist(), "w2": self.network.w2.tolist()},
            "better": {"W1": self.better.W1.tolist(), "w2": self.better.w2.tolist()},
            "relaxation": document.encode_relaxation(self.relaxation),
            "cover": document.encode_cover(self.cover),
        }

    @classmethod
    def from_document(cls, values: dict[str, Any]) -> Certificate:
        """Return the certificate that :meth:`to_document` turned into these values.

        Parameters
        ----------
        values : dict
            The fields; infinity as a float or as the string "inf".

        Returns
        -------
        Certificate
            Not yet checked against any data.

        Raises
        ------
        CertificateError
            On anything malformed.
        """
        fields = document.Fields(values)
        lam = fields.vector("lam")
        data = fields.text("data")
        d = document.columns(data)
        return cls(
            C=fields.number("C"),
            data=data,
            objective=fields.number("objective"),
            lower_bound=fields.number("lower_bound"),
            gap=fields.number("gap"),
            margin=fields.number("margin"),
            dual_feasibility=fields.number("dual_feasibility"),
            exact=fields.flag("exact"),
            stationarity=fields.number("stationarity"),
            complementarity=fields.number("complementarity"),
            structure=fields.text("structure"),
            correspondence=fields.text("correspondence"),
            better_objective=fields.number("better_objective"),
            lam=lam,
            network=fields.network("network", d),
            better=fields.network("better", d),
            relaxation=fields.relaxation("relaxation"),
            cover=fields.cover("cover"),
        )


def assess(
    X: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, " n"],
    network: TwoLayerReLU,
    lam: Float[np.ndarray, " n"],
    *,
    norm: DualNorm,
    C: float,
    better: TwoLayerReLU,
    relaxation: Relaxation | None = None,
) -> Certificate:
    """Return the certificate of clean arguments: the one place where its numbers are computed.

    `norm` is what the oracle's search proves of lam, or, if there is one, the relaxation. Its cover, if any,
    is part of the certificate.
    """
    proven = bound(X, y, network, lam, norm, C)
    kkt = None
    if np.isinf(C) and proven.objective < np.inf and 0 < norm.upper_bound < np.inf:
        with suppress(InvalidInputError):  # beyond the range of float64 there are no residuals
            kkt = kkt_report(X, y, network, *_feasible(lam, norm))
    return Certificate(
        network=network,
        lam=lam,
        C=C,
        data=document.fingerprint(X, y),
        objective=proven.objective,
        lower_bound=proven.lower_bound,
        gap=proven.gap,
        margin=proven.margin,
        dual_feasibility=proven.dual_feasibility,
        exact=proven.exact,
        stationarity=kkt.stationarity if kkt else float("inf"),
        complementarity=kkt.complementarity if kkt else float("inf"),
        structure=kkt.structure if kkt else "not examined",
        correspondence=kkt.correspondence if kkt else _no_kkt(C),
        better=better,
        better_objective=upper_bound(X, y, better, C) if better.n_neurons else float("inf"),
        relaxation=relaxation,
        cover=norm.cover,
    )


def _feasible(lam: Float[np.ndarray, " n"], norm: DualNorm) -> tuple[Float[np.ndarray, " n"], DualNorm]:
    """Lam divided by the bound on its dual norm, and the dual norm of that."""
    exponent = scale_exponent(lam)
    with np.errstate(over="ignore", divide="ignore"):
        shrink = 1.0 / np.ldexp(norm.upper_bound, -exponent)
    feasible = replace(norm, value=norm.value / norm.upper_bound, upper_bound=1.0, cover=None)
    return shrink * scaled_by(lam, -exponent), feasible


def _no_kkt(C: float) -> str:
    if np.isfinite(C):
        return "KKT residuals are those of the hard margin; with a finite C the bounds speak alone."
    return "Not a KKT point: the network does not fit the data, or lam is zero."
