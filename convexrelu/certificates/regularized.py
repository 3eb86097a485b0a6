"""Certificates of training with weight decay: any convex loss, ReLU or gated, one output or several.

A certificate holds the network, the multipliers, the loss and its price, and what proves h(lam): a
relaxation, or, where the oracle's search did not end by itself, how far it went. Saved, it holds a proof
without a search instead, which :mod:`convexrelu.check` verifies alone, where one of a reasonable size is as
good.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from convexrelu._clock import Clock
from convexrelu._typing import ArrayLike
from convexrelu._validation import check_seconds
from convexrelu.certificates import document
from convexrelu.certificates.bounds import relative_gap
from convexrelu.certificates.certificate import stated_norm
from convexrelu.certificates.output_proof import output_proof, proven_output_norm
from convexrelu.certificates.stored import (
    RECHECK_TOL,
    Enclosure,
    StoredCertificate,
    check_arithmetic,
    claimed,
    refusing,
    verified,
)
from convexrelu.certificates.weight_decay import Decayed, OutputBias, WeightDecay, weight_decay
from convexrelu.certificates.words import in_words
from convexrelu.check import SIGNS
from convexrelu.errors import CertificateError, InvalidInputError
from convexrelu.losses import Loss, stored_loss
from convexrelu.networks import GatedReLU, ReLUNetwork, TwoLayerReLU
from convexrelu.networks.convert import how_to_convert
from convexrelu.networks.layers import bias_hint
from convexrelu.oracle import Cover, DualNorm, covered_norm, dual_norm, rescaled_norm
from convexrelu.oracle.outputs import covered_output_norm, output_norm
from convexrelu.oracle.relaxation import Relaxation, relaxed_norm
from convexrelu.oracle.witness import proof_of, proven_norm

__all__ = ["RegularizedCertificate", "assess_regularized", "certify_regularized", "gated_norm", "norm_of"]

_SAME = 1e-11  # of an objective: a difference that says nothing, least of all about a scale
_LOOSE = 1e-9  # relative: how much more than the certificate's bound on h(lam) its proof may leave
_EPS = float(np.finfo(float).eps)
_NETWORKS = {kind._kind: kind for kind in (TwoLayerReLU, ReLUNetwork, GatedReLU)}


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class RegularizedCertificate(StoredCertificate):
    """Proven bounds on ``P* = min sum_n s_n l(f(x_n), y_n) + beta/2 ||theta||^2``, and how to check them.

    Attributes
    ----------
    network : TwoLayerReLU, ReLUNetwork or GatedReLU
        The network judged.
    lam : (n,) or (n, K) float array
        Dual feasible multipliers: they prove the lower bound.
    loss : Loss
        Of one sample.
    beta : float
        Price of the weights.
    weights : (n,) float array
        Of the samples, as they multiply the loss.
    output_bias : bool or "penalised"
        Whether outputs have a constant.
    skip : bool
        Whether outputs have a linear part without penalty.
    gates : (p, d) float array or None
        Those among which gated networks choose; None for ReLU.
    data : str
        Fingerprint of X and the targets.
    objective : float
        Upper bound on P*: that of the network, balanced, its neurons at their best common scale.
    lower_bound : float
        Lower bound on P*.
    gap : float
        ``(objective - lower_bound) / objective``.
    dual_feasibility : float
        Proven upper bound on h(lam), at most beta.
    exact : bool
        Whether h(lam) was computed exactly; if not, the lower bound is valid but may be loose.
    cover : Cover or None
        How far the oracle's search went; None if as far as it goes by default, or if there was none.
    relaxation : Relaxation or None
        What bounds h(lam) without a search; None if the oracle's search does.
    proof : dict or None
        What proves the bound on h(lam) without a search (docs/certificate.md), in certificates from a file.
    better : TwoLayerReLU, ReLUNetwork, GatedReLU or None
        A network with a smaller objective, where one is known. It is not saved: what certifies it is a
        certificate of its own.
    better_objective : float
        Its objective; inf if there is none.

    Examples
    --------
    >>> from convexrelu import solve
    >>> X, y = [[1.0, 0.5], [-0.3, 1.0]], [1.0, 2.0]
    >>> certificate = solve(X, y, loss="squared", beta=0.1).certificate
    >>> certificate
    <RegularizedCertificate: globally optimal, proven to a relative gap of ...>
    >>> certificate.check(X, y)
    True
    """

    network: Decayed
    lam: Float[np.ndarray, "n ..."]
    loss: Loss
    beta: float
    weights: Float[np.ndarray, " n"]
    output_bias: OutputBias
    skip: bool
    gates: Float[np.ndarray, "p d"] | None
    data: str
    objective: float
    lower_bound: float
    gap: float
    dual_feasibility: float
    exact: bool
    cover: Cover | None
    relaxation: Relaxation | None = None
    proof: dict[str, Any] | None = None
    better: Decayed | None = None
    better_objective: float = np.inf
    # the data, for whoever saves the certificate: a proof is made from it
    _source: WeightDecay | None = field(default=None, repr=False)

    @property
    def not_optimal(self) -> bool:
        """Proven not optimal: a network better by more than the rounding of both objectives is at hand."""
        return self.better_objective < self.objective * (1 - RECHECK_TOL)

    @property
    def verdict(self) -> str:
        """What is proven, in one sentence."""
        if self.globally_optimal:
            return f"globally optimal, proven to a relative gap of {max(self.gap, 0.0):.1e}"
        return in_words(
            self.objective,
            self.lower_bound,
            self.better_objective if self.not_optimal else np.inf,
            better_neurons=0 if self.better is None else self.better.n_neurons,
        )

    def __str__(self) -> str:
        kind = "exact" if self.exact else "only bounded from above, so the lower bound may be loose"
        return "\n".join(
            [
                f"Certificate: {self.verdict}",
                f"  {self.lower_bound:.9g} <= P* <= {min(self.objective, self.better_objective):.9g}",
                f"  loss {self.loss.name}, beta {self.beta:.6g}",
                f"  h(lam) = {self.dual_feasibility:.9g}, {kind}",
            ]
        )

    def rejudged(self, network: Decayed, better: Decayed | None) -> RegularizedCertificate:
        """Return the certificate of another network by the same multipliers, and what proves their bound.

        Parameters
        ----------
        network : TwoLayerReLU, ReLUNetwork or GatedReLU
            The network to judge.
        better : TwoLayerReLU, ReLUNetwork, GatedReLU or None
            One that may have a smaller objective.

        Returns
        -------
        RegularizedCertificate
            With the same lower bound.

        Raises
        ------
        CertificateError
            If the data is not at hand: the certificate came from a file.
        """
        problem = self._source
        if problem is None:
            raise CertificateError("only a certificate that was computed here knows its data")
        norm = stated_norm(self.dual_feasibility, self.exact, self.cover, self.network.n_features)
        again = assess_regularized(problem, network, self.lam, norm, self.relaxation)
        objective = np.inf if better is None else problem.objective(problem.rescaled(better))
        return replace(again, better=better, better_objective=objective)

    def proven(self, *, time_limit: float | None = None) -> RegularizedCertificate:
        """Return the certificate with a proof of its bounds, as it is saved.

        Parameters
        ----------
        time_limit : float or None
            Seconds. A proof that takes longer is given up like one that is too large.

        Returns
        -------
        RegularizedCertificate
            Its bounds are those that the proof proves: these but for rounding. This one if it has a proof, if
            its data is not at hand (it came from a file), or if a proof as good would be too large.

        Raises
        ------
        InvalidInputError
            If the time limit is not positive.
        """
        problem, clock = self._source, Clock(limit=float(check_seconds(time_limit)))
        if self.proof is not None or problem is None:
            return self
        lam, level = self.lam, max(self.dual_feasibility, self.cover.level if self.cover else 0.0)
        if problem.gates is not None:  # the checker evaluates them all: there is nothing to prove
            proof, norm = dict.fromkeys(SIGNS), gated_norm(problem.X, lam, problem.gates)
        elif problem.loss.vector:
            found = output_proof(problem.X, lam, level, clock)
            if found is None:
                return self
            proof, norm = found, proven_output_norm(problem.X, lam, found)
        else:
            proof = proof_of(problem.X, lam, level, self.relaxation, raised=False, clock=clock)
            norm = proven_norm(problem.X, lam, proof)
        if norm.upper_bound > level * (1 + _LOOSE):
            return self
        bare = replace(
            self,
            objective=np.inf,
            lower_bound=-np.inf,
            dual_feasibility=norm.upper_bound,
            exact=norm.exact,
            cover=None,
            relaxation=None,
            proof=proof,
        )
        lower, upper = claimed(bare.to_document(), problem.X, problem.y)
        return replace(bare, lower_bound=lower, objective=upper, gap=_gap(upper, lower))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> RegularizedCertificate:
        """Return the certificate in a file; nothing in it is believed before :meth:`check`.

        Parameters
        ----------
        path : str or path
            The file.

        Returns
        -------
        RegularizedCertificate
            As it was saved.

        Raises
        ------
        CertificateError
            If the file is not such a certificate.
        """
        return cls.from_document(document.read(path))

    def enclosure(self, X: ArrayLike, y: ArrayLike, *, arithmetic: str = "float") -> Enclosure:
        """Return what the certificate proves of P*, once all of it is verified.

        Parameters
        ----------
        X : (n, d) array_like
            The data the certificate is about.
        y : (n,) or (n, K) array_like
            Its targets, as they were given.
        arithmetic : "float" or "exact", default "float"
            Floating point, rounded outwards, or rational numbers, with logarithms to 40 digits: then the
            enclosure is a theorem about the given floats. A certificate without a proof is given one for
            that.

        Returns
        -------
        Enclosure
            ``lower <= P* <= upper``, as proven.

        Raises
        ------
        CertificateError
            If the data is another one, a number is not what the data, the network and lam give, or the
            bounds are not proven.
        InvalidInputError
            If the arithmetic is none of these.
        """
        check_arithmetic(arithmetic)
        with refusing():
            problem = self._problem(X, y)
            if _fingerprint(problem) != self.data:
                raise CertificateError(
                    "the certificate is about other data: sizes or checksum of X and y differ"
                )
            self._check_claims(problem)
            norm = self._norm(problem)
        if self.proof is not None:
            found = verified(self.to_document(), problem.X, problem.y, arithmetic)
            gap = _gap(self.objective, self.lower_bound)
            again = replace(self, gap=gap, dual_feasibility=norm.upper_bound, exact=norm.exact)
        else:
            found = Enclosure(lower=self.lower_bound, upper=self.objective, exact=False)
            again = assess_regularized(problem, self.network, self.lam, norm, self.relaxation, as_given=True)
        for name in ("objective", "lower_bound", "gap", "dual_feasibility", "exact"):
            given, value = getattr(self, name), getattr(again, name)
            if not document.agrees(given, value, RECHECK_TOL, scale=1.0 if name == "gap" else 0.0):
                raise CertificateError(
                    f"{name} is {given!r} in the certificate, but the data gives {value!r}"
                )
        if arithmetic == "exact" and self.proof is None:
            proven = replace(self, _source=problem).proven()
            if proven.proof is None:
                raise CertificateError(
                    "exact arithmetic needs a proof without a search, and there is none for this network, or "
                    "it would be too large"
                )
            found = verified(proven.to_document(), problem.X, problem.y, arithmetic)
        return found

    def _problem(self, X: ArrayLike, y: ArrayLike) -> WeightDecay:
        return weight_decay(
            X,
            y,
            loss=self.loss,
            beta=self.beta,
            sample_weight=self.weights,
            output_bias=self.output_bias,
            skip=self.skip,
            gates=self.gates,
        )

    def _norm(self, problem: WeightDecay) -> DualNorm:
        """The dual norm, by the proof, the relaxation, or the same search."""
        if problem.gates is not None:
            return gated_norm(problem.X, self.lam, problem.gates)
        if self.proof is not None:
            proven = proven_output_norm if self.loss.vector else proven_norm
            return proven(problem.X, self.lam, self.proof)
        if self.relaxation is not None:
            if not self.relaxation.leaves:
                return norm_of(problem, self.lam, search=False)
            return relaxed_norm(problem.X, self.lam, self.relaxation)
        if self.cover is None:
            return norm_of(problem, self.lam)
        covered = covered_output_norm if self.loss.vector else covered_norm
        return covered(problem.X, self.lam, self.cover)

    def _check_claims(self, problem: WeightDecay) -> None:
        """Refuse multipliers and networks that do not belong to the problem."""
        low, high = problem.interval()
        if self.lam.shape != problem.y.shape:
            raise CertificateError(f"lam must have shape {problem.y.shape}, got {self.lam.shape}")
        if not ((self.lam >= low) & (self.lam <= high)).all():
            raise CertificateError("lam must lie in the domain of the loss's conjugate")
        if not problem.satisfied(self.lam):
            raise CertificateError("lam must add up to zero with the parts of the outputs without penalty")
        check_network(problem, self.network)

    def to_document(self) -> dict[str, Any]:
        """Return the certificate as plain JSON values, under the names of its fields.

        Returns
        -------
        dict
            Numbers, strings and lists.
        """
        return {
            "loss": self.loss.name,
            "parameters": self.loss.parameters,
            "beta": self.beta,
            "weights": self.weights.tolist(),
            "output_bias": self.output_bias,
            "skip": self.skip,
            "gates": None if self.gates is None else self.gates.tolist(),
            "data": self.data,
            "objective": self.objective,
            "lower_bound": self.lower_bound,
            "gap": self.gap,
            "dual_feasibility": self.dual_feasibility,
            "exact": self.exact,
            "lam": self.lam.tolist(),
            "network": {"kind": self.network._kind, **self.network._document()},
            "relaxation": document.encode_relaxation(self.relaxation),
            "cover": document.encode_cover(self.cover),
            "proof": self.proof,
        }

    @classmethod
    def from_document(cls, values: dict[str, Any]) -> RegularizedCertificate:
        """Return the certificate that :meth:`to_document` turned into these values.

        Parameters
        ----------
        values : dict
            The fields.

        Returns
        -------
        RegularizedCertificate
            Not yet checked against any data.

        Raises
        ------
        CertificateError
            On anything malformed.
        """
        fields = document.Fields(values)
        try:
            loss = stored_loss(fields.text("loss"), dict(values.get("parameters") or {}))
            network = _network_of(values.get("network"))
            lam = np.array(values.get("lam"), dtype=np.float64)
            gates = values.get("gates")
            gates = None if gates is None else np.array(gates, dtype=np.float64)
        except (TypeError, ValueError, KeyError) as error:
            raise CertificateError(f"the certificate is malformed: {error}") from error
        if lam.ndim != (2 if loss.vector else 1) or not np.isfinite(lam).all():
            raise CertificateError(f"lam must be finite, a row for each sample, got shape {lam.shape}")
        output_bias = values.get("output_bias")
        if output_bias not in (False, True, "penalised"):
            raise CertificateError(f"output_bias must be false, true or 'penalised', got {output_bias!r}")
        penalised: Literal["penalised"] = "penalised"
        return cls(
            network=network,
            lam=lam,
            loss=loss,
            beta=fields.number("beta"),
            weights=fields.vector("weights"),
            output_bias=penalised if output_bias == penalised else bool(output_bias),
            skip=fields.flag("skip"),
            gates=gates,
            data=fields.text("data"),
            objective=fields.number("objective"),
            lower_bound=fields.number("lower_bound"),
            gap=fields.number("gap"),
            dual_feasibility=fields.number("dual_feasibility"),
            exact=fields.flag("exact"),
            relaxation=fields.relaxation("relaxation"),
            cover=fields.cover("cover"),
            proof=fields.proof("proof"),
        )


def _network_of(values: Any) -> Decayed:
    """Return the network that a document holds."""
    if not isinstance(values, dict) or values.get("kind") not in _NETWORKS:
        raise CertificateError(f"network must be one of {', '.join(_NETWORKS)}")
    kind = _NETWORKS[values["kind"]]
    network: Decayed = kind._of({name: values[name] for name in kind._fields})
    return network


def _fingerprint(problem: WeightDecay) -> str:
    if problem.y.ndim == 1:
        return document.fingerprint(problem.X, problem.y)
    return document.fingerprint(np.hstack([problem.X, problem.y]), problem.y[:, 0])


def check_network(problem: WeightDecay, network: Decayed) -> None:
    """Refuse a network that is not one of those over which the problem minimises (InvalidInputError)."""
    wanted = GatedReLU if problem.gates is not None else (TwoLayerReLU, ReLUNetwork)
    if not isinstance(network, wanted):
        needed = "a GatedReLU" if problem.gates is not None else "a TwoLayerReLU or a ReLUNetwork"
        raise InvalidInputError(
            f"network must be {needed}, got {type(network).__name__}{how_to_convert(network)}"
        )
    if network.n_features != problem.X.shape[1]:
        raise InvalidInputError(
            f"network must have {problem.X.shape[1]} inputs, as X has columns, got {network.n_features}"
            f"{bias_hint(problem.X.shape[1], network.n_features)}"
        )
    outputs = network.W2.shape[:-1] if isinstance(network, ReLUNetwork) else ()
    if outputs != problem.y.shape[1:]:
        raise InvalidInputError(
            f"network must have {problem.y.shape[1:] or 'one'} outputs, got {outputs or 'one'}"
        )
    if isinstance(network, TwoLayerReLU):
        return
    if (network.output_bias.any() and not problem.output_bias) or (network.skip.any() and not problem.skip):
        raise InvalidInputError(
            "network has an output bias or a linear part that is not part of the problem: ask for it by "
            "output_bias=True (or 'penalised', as torch's weight_decay has it) and skip=True"
        )
    if isinstance(network, GatedReLU):
        known = {row.tobytes() for row in np.asarray(problem.gates)}
        if not all(row.tobytes() in known for row in network.gates):
            raise InvalidInputError("network must have gates among those of the problem")


def _gap(objective: float, lower_bound: float) -> float:
    """The relative gap; none where an objective that is rounded upwards is zero, as a loss may be."""
    return 0.0 if objective == lower_bound == 0 else relative_gap(objective, lower_bound)


def norm_of(
    problem: WeightDecay,
    lam: Float[np.ndarray, "n ..."],
    *,
    tol: float = 1e-9,
    time_limit: float | None = None,
    max_nodes: int | None = None,
    search: bool = True,
    stop_above: float = np.inf,
) -> DualNorm:
    """Return the dual norm of multipliers, by the oracle of the problem's networks."""
    if problem.gates is not None:
        return gated_norm(problem.X, lam, problem.gates)
    oracle = output_norm if problem.loss.vector else dual_norm
    return oracle(
        problem.X,
        lam,
        tol=tol,
        time_limit=time_limit,
        max_nodes=max_nodes,
        search=search,
        stop_above=stop_above,
    )


def gated_norm(
    X: Float[np.ndarray, "n d"], lam: Float[np.ndarray, " n"], gates: Float[np.ndarray, "p d"]
) -> DualNorm:
    """Return ``max_j ||X^T D_j lam||``, exact in any dimension, rounded upwards."""
    pulls = ((X @ gates.T > 0) * lam[:, None]).T @ X
    sizes = np.linalg.norm(pulls, axis=1)
    k = int(np.argmax(sizes))
    size = float(sizes[k])
    rounding = (len(X) + X.shape[1]) * _EPS * float(np.abs(lam) @ np.linalg.norm(X, axis=1))
    return DualNorm(
        value=size,
        upper_bound=size + rounding,
        exact=True,
        repeatable=True,
        direction=pulls[k] / size if size > 0 else pulls[k],
        sign=1.0,
    )


def assess_regularized(
    problem: WeightDecay,
    network: Decayed,
    lam: Float[np.ndarray, "n ..."],
    norm: DualNorm,
    relaxation: Relaxation | None = None,
    *,
    as_given: bool = False,
) -> RegularizedCertificate:
    """Return the certificate of multipliers in the domain: the one place where its numbers are computed.

    `norm` is what is proven of them, by the relaxation if there is one; they are handed out scaled to prove
    the most, unless they are to be judged `as_given`.
    """
    norm = _as_checked(norm)
    objective = problem.objective(problem.rescaled(network))
    t, scaled = 1.0, norm
    if not as_given:
        t, own = problem.scale(lam, norm.upper_bound), problem.dual_value(lam)
        # multipliers at their best scale, to the rounding of their value, stay as they are to the last bit
        if norm.upper_bound <= problem.beta and problem.dual_value(t * lam) <= own + _SAME * objective:
            t = 1.0
        scaled = _as_checked(_rescaled(problem, lam, norm, t, relaxation))
        while scaled.upper_bound > problem.beta:  # by the rounding of the products
            t *= min(problem.beta / scaled.upper_bound, 1.0 - 8 * _EPS)
            scaled = _as_checked(_rescaled(problem, lam, norm, t, relaxation))
    lower = problem.proven_value(t * lam, scaled.upper_bound)
    return RegularizedCertificate(
        network=network,
        lam=t * lam,
        loss=problem.loss,
        beta=problem.beta,
        weights=problem.weights,
        output_bias=problem.output_bias,
        skip=problem.skip,
        gates=problem.gates,
        data=_fingerprint(problem),
        objective=objective,
        lower_bound=lower,
        gap=_gap(objective, lower),
        dual_feasibility=scaled.upper_bound,
        exact=scaled.exact and scaled.cover is None,
        cover=scaled.cover,
        relaxation=relaxation,
        _source=problem,
    )


def _as_checked(norm: DualNorm) -> DualNorm:
    """The dual norm with the bound at which a check arrives: the level of its cover, if it has one."""
    return norm if norm.cover is None else replace(norm, upper_bound=norm.cover.level)


def _rescaled(
    problem: WeightDecay,
    lam: Float[np.ndarray, "n ..."],
    norm: DualNorm,
    t: float,
    relaxation: Relaxation | None,
) -> DualNorm:
    """Return the dual norm of the floats ``t lam``, given that of lam and what proves it."""
    if t == 1:
        return norm
    if t == 0 or problem.gates is not None:
        return norm_of(problem, t * lam)
    if relaxation is not None and relaxation.leaves:
        return relaxed_norm(problem.X, t * lam, relaxation)
    if problem.loss.vector or relaxation is not None:
        return norm.scaled(t)
    return rescaled_norm(problem.X, lam, norm, t)


def certify_regularized(
    problem: WeightDecay, network: Decayed, lam: ArrayLike | None, *, time_limit: float | None
) -> RegularizedCertificate:
    """Return the certificate of any network: by its own multipliers, unless others are given."""
    check_seconds(time_limit)
    check_network(problem, network)
    own = problem.multipliers(problem.rescaled(network)(problem.X))
    given = own if lam is None else np.asarray(lam, dtype=np.float64)
    if given.shape != own.shape or not np.isfinite(given).all():
        raise InvalidInputError(f"lam must be finite, of shape {own.shape}, got shape {given.shape}")
    feasible = problem.feasible(given, exactly=True)
    tol = _affordable(problem, network, feasible)
    return assess_regularized(
        problem, network, feasible, norm_of(problem, feasible, tol=tol, time_limit=time_limit)
    )


def _affordable(problem: WeightDecay, network: Decayed, lam: Float[np.ndarray, "n ..."]) -> float:
    """Return a tolerance for the oracle that costs the bound little beside what it lacks anyway."""
    objective = problem.objective(problem.rescaled(network))
    rough = norm_of(problem, lam, search=False).value
    best = problem.bound(lam, rough)
    gap = max(_gap(objective, best), 0.0)
    return float(min(max(0.05 * gap, 1e-9), 0.5)) if math.isfinite(gap) else 1e-9
