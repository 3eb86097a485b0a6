"""What was claimed, and everything needed to claim it again from the data: no solver, no trust.

A certificate holds the network, the dual variable and the numbers they prove. Saved, it also holds what
proves its bounds without a search, and claims no more than that: :mod:`convexrelu.check` verifies it alone.
:meth:`Certificate.check` recomputes every number from X, y, the weights and lam, and refuses other data or
altered numbers. It verifies the proof if there is one; else it repeats the oracle's search, as far as the
certificate says that it went, or evaluates the relaxation that stands for it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from convexrelu._clock import Clock
from convexrelu._typing import ArrayLike
from convexrelu._validation import as_data, check_seconds
from convexrelu.certificates import document
from convexrelu.certificates.bounds import (
    bound,
    feasible_signs,
    relative_gap,
    scale_exponent,
    scaled_by,
    upper_bound,
)
from convexrelu.certificates.kkt import kkt_report
from convexrelu.certificates.stored import (
    RECHECK_TOL,
    Enclosure,
    StoredCertificate,
    check_arithmetic,
    claimed,
    refusing,
    verified,
)
from convexrelu.certificates.words import in_words
from convexrelu.errors import CertificateError, InvalidInputError
from convexrelu.networks import TwoLayerReLU
from convexrelu.networks.neurons import row_norms
from convexrelu.oracle import Cover, DualNorm, covered_norm, dual_norm
from convexrelu.oracle.relaxation import Relaxation, relaxed_norm
from convexrelu.oracle.witness import proof_of, proven_norm

__all__ = ["Certificate", "assess", "stated_norm"]

_ROUNDING = 8 * float(np.finfo(float).eps)  # of a residual, in units of what its terms add up to in size


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Certificate(StoredCertificate):
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
    proof : dict or None
        What proves the bound on h(lam) without a search (docs/certificate.md), in certificates from a file.

    Examples
    --------
    >>> from convexrelu import TwoLayerReLU, certify
    >>> X, y = [[1.0, 0.0], [0.0, 1.0]], [1, -1]
    >>> certificate = certify(X, y, TwoLayerReLU(X, [1.0, -1.0]))
    >>> certificate
    <Certificate: globally optimal, proven to a relative gap of ...>
    >>> certificate.check(X, y)
    True
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
    proof: dict[str, Any] | None = None
    # the data, for whoever saves the certificate: a proof is made from it
    _source: tuple[np.ndarray, np.ndarray] | None = field(default=None, repr=False)

    @property
    def not_optimal(self) -> bool:
        """Proven not optimal: a network better by more than the rounding of both objectives is at hand."""
        return self.better_objective < self.objective * (1 - RECHECK_TOL)

    @property
    def verdict(self) -> str:
        """What is proven, in one sentence."""
        if np.isinf(self.lower_bound):
            return "no network without biases fits the data: proven"
        if self.globally_optimal:
            return f"globally optimal, proven to a relative gap of {max(self.gap, 0.0):.1e}"
        return in_words(
            self.objective,
            self.lower_bound,
            self.better_objective if self.not_optimal else np.inf,
            better_neurons=self.better.n_neurons,
            unfitted=f"does not fit the data (margin {self.margin:.3g})",
        )

    def __str__(self) -> str:
        hard = np.isinf(self.C)  # what KKT points correspond to is about hard margins
        kind = "exact" if self.exact else "only bounded from above, so the lower bound may be loose"
        upper = min(self.objective, self.better_objective)
        return "\n".join(
            [
                f"Certificate: {self.verdict}",
                f"  {self.lower_bound:.9g} <= P*" + (f" <= {upper:.9g}" if np.isfinite(upper) else ""),
                f"  {self._reached} (margin as given {self.margin:.6g})",
                f"  h(lam) = {self.dual_feasibility:.9g}, {kind}",
                *([f"  {self.correspondence}"] if hard else []),
            ]
        )

    @property
    def _reached(self) -> str:
        if np.isinf(self.objective):
            return "no multiple of it has margin 1"
        return f"objective {self.objective:.9g} {'at margin 1' if np.isinf(self.C) else 'with its slack'}"

    def rejudged(self, network: TwoLayerReLU, better: TwoLayerReLU) -> Certificate:
        """Return the certificate of another network by the same dual variable, and what proves its bound.

        Parameters
        ----------
        network : TwoLayerReLU
            The network to judge.
        better : TwoLayerReLU
            One that may have a smaller objective; without neurons if there is none.

        Returns
        -------
        Certificate
            With the same lower bound.

        Raises
        ------
        CertificateError
            If the data is not at hand: the certificate came from a file.
        """
        if self._source is None:
            raise CertificateError("only a certificate that was computed here knows its data")
        return assess(
            *self._source,
            network,
            self.lam,
            norm=stated_norm(self.dual_feasibility, self.exact, self.cover, self.network.n_features),
            C=self.C,
            better=better,
            relaxation=self.relaxation,
        )

    def proven(self, *, time_limit: float | None = None) -> Certificate:
        """Return the certificate with a proof of its bounds, as it is saved.

        Its bounds are those that the proof proves: these but for rounding, or weaker ones where a proof of
        these would be too large.

        Parameters
        ----------
        time_limit : float or None
            Seconds. A proof that takes longer is given up like one that is too large.

        Returns
        -------
        Certificate
            This one if it has a proof, or if its data is not at hand (it came from a file without a proof).

        Raises
        ------
        InvalidInputError
            If the time limit is not positive.
        """
        clock = Clock(limit=float(check_seconds(time_limit)))
        if self.proof is not None or self._source is None:
            return self
        X, y = self._source
        proof = proof_of(X, self.lam, self.dual_feasibility, self.relaxation, clock=clock)
        norm = proven_norm(X, self.lam, proof)
        again = assess(X, y, self.network, self.lam, norm=norm, C=self.C, better=self.better)
        unclaimed = replace(again, lower_bound=0.0, objective=np.inf, proof=proof)
        lower, upper = claimed(unclaimed.to_document(), X, y)
        return replace(unclaimed, lower_bound=lower, objective=upper, gap=relative_gap(upper, lower))

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

    def enclosure(self, X: ArrayLike, y: ArrayLike, *, arithmetic: str = "float") -> Enclosure:
        """Return what the certificate proves of P*, once all of it is verified.

        Parameters
        ----------
        X : (n, d) array_like
            The data the certificate is about.
        y : (n,) array_like
            Its two labels.
        arithmetic : "float" or "exact", default "float"
            Floating point, rounded outwards, or rational numbers: then the enclosure is a theorem about the
            given floats. A certificate without a proof is given one for that.

        Returns
        -------
        Enclosure
            ``lower <= P* <= upper``, as proven.

        Raises
        ------
        CertificateError
            If the data is another one, a number is not what the data, the network and lam give, or the
            bounds are not proven (the message says what is).
        InvalidInputError
            If the arithmetic is none of these.
        """
        check_arithmetic(arithmetic)
        matrix, labels = as_data(X, y)
        if document.fingerprint(matrix, labels) != self.data:
            raise CertificateError("the certificate is about other data: sizes or checksum of X and y differ")
        self._check_shapes(matrix)
        with refusing():
            lam = feasible_signs(labels, self.lam)
        found = Enclosure(lower=self.lower_bound, upper=self.objective, exact=False)
        if self.proof is not None:
            found = verified(self.to_document(), matrix, labels, arithmetic)
        elif arithmetic == "exact":
            found = self._found_exactly(matrix, labels)
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
            self._compare(again, matrix, labels)
        return found

    def _found_exactly(self, X: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"]) -> Enclosure:
        """Return the enclosure of a proof that is made for it; it must agree with the bounds found before."""
        proven = replace(self, _source=(X, y)).proven()
        found = verified(proven.to_document(), X, y, "exact")
        lower, upper = self.lower_bound * (1 - RECHECK_TOL), self.objective * (1 + RECHECK_TOL)
        if not (found.lower >= lower and found.upper <= upper):
            raise CertificateError(
                f"exact arithmetic proves {float(found.lower)!r} <= P* <= {float(found.upper)!r}, and not "
                f"{self.lower_bound!r} <= P* <= {self.objective!r}: a proof of this would be too large"
            )
        return found

    def _compare(self, again: Certificate, X: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"]) -> None:
        """Raise CertificateError where a number is not the recomputed one; proven bounds are not compared."""
        if self.proof is not None:
            gap = relative_gap(self.objective, self.lower_bound)
            again = replace(again, objective=self.objective, lower_bound=self.lower_bound, gap=gap)
        claims = self.to_document()
        # residuals are relative already; where weights cancel, that of stationarity is rounding in part
        scales = dict.fromkeys(("gap", "complementarity"), 1.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            cancelled = float(np.abs(self.lam) @ row_norms(X) / np.float64(self.dual_feasibility))
        scales["stationarity"] = 1.0 + _ROUNDING * cancelled / RECHECK_TOL
        margins = y * self.network(X)
        rounding = RECHECK_TOL * self.network.group_norm() * row_norms(X)
        rounding[~np.isfinite(rounding)] = 0.0
        lowest, highest = float((margins - rounding).min()), float((margins + rounding).min())
        for name, value in again.to_document().items():
            if name == "proof" or (name == "margin" and lowest <= self.margin <= highest):
                continue
            if not document.agrees(claims[name], value, RECHECK_TOL, scale=scales.get(name, 0.0)):
                raise CertificateError(
                    f"{name} is {claims[name]!r} in the certificate, but the data gives {value!r}"
                )

    def _norm(self, X: Float[np.ndarray, "n d"], lam: Float[np.ndarray, " n"]) -> DualNorm:
        """The dual norm, by the same search or by one evaluation of the relaxation."""
        with refusing():
            if self.proof is not None:
                return proven_norm(X, lam, self.proof)
            if self.relaxation is not None:
                return relaxed_norm(X, lam, self.relaxation)
            return dual_norm(X, lam) if self.cover is None else covered_norm(X, lam, self.cover)

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
            "proof": self.proof,
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
            proof=fields.proof("proof"),
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
        _source=(X, y),
    )


def stated_norm(bound: float, exact: bool, cover: Cover | None, n_features: int) -> DualNorm:
    """The dual norm that a certificate states; nobody asks who attains it."""
    return DualNorm(
        value=bound,
        upper_bound=bound,
        exact=exact,
        repeatable=True,
        direction=np.zeros(n_features),
        sign=1.0,
        cover=cover,
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
