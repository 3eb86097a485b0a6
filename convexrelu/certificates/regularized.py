"""Certificates of training with weight decay: any convex loss, ReLU or gated, one output or several.

What is stored is little: the network, the multipliers, the loss and its price, and, where the search for
h(lam) did not end by itself, how far it went. :meth:`RegularizedCertificate.check` recomputes the rest.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from convexrelu._json_files import read_json, write_json
from convexrelu._shown import Shown
from convexrelu._typing import ArrayLike
from convexrelu._validation import check_seconds
from convexrelu.certificates.bounds import relative_gap
from convexrelu.certificates.certificate import RECHECK_TOL
from convexrelu.certificates.document import Fields, agrees, encode_cover, fingerprint
from convexrelu.certificates.kkt import OPTIMALITY_TOL
from convexrelu.certificates.weight_decay import Decayed, OutputBias, WeightDecay, weight_decay
from convexrelu.errors import CertificateError, InvalidInputError
from convexrelu.losses import Loss, stored_loss
from convexrelu.networks import GatedReLU, ReLUNetwork, TwoLayerReLU
from convexrelu.oracle import Cover, DualNorm, covered_norm, dual_norm
from convexrelu.oracle.outputs import covered_output_norm, output_norm

__all__ = ["RegularizedCertificate", "assess_regularized", "certify_regularized", "gated_norm", "norm_of"]

FORMAT, VERSION = "convexrelu certificate of weight decay", 1
_SAME = 1e-11  # of an objective: a difference that says nothing, least of all about a scale
_EPS = float(np.finfo(float).eps)
_NETWORKS = {kind._kind: kind for kind in (TwoLayerReLU, ReLUNetwork, GatedReLU)}


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class RegularizedCertificate(Shown):
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
        How far the oracle's search went; None if as far as it goes by default.

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

    @property
    def globally_optimal(self) -> bool:
        """Proven optimal to 1e-6 relative."""
        return self.gap <= OPTIMALITY_TOL

    @property
    def verdict(self) -> str:
        """What is proven, in one sentence."""
        if self.globally_optimal:
            return f"globally optimal, proven to a relative gap of {max(self.gap, 0.0):.1e}"
        if self.lower_bound > 0:
            return f"above the optimum by {self.objective / self.lower_bound - 1:.2%} at most"
        return "above the optimum by an unknown amount: the lower bound is zero"

    def __str__(self) -> str:
        kind = "exact" if self.exact else "only bounded from above, so the lower bound may be loose"
        return "\n".join(
            [
                f"Certificate: {self.verdict}",
                f"  {self.lower_bound:.9g} <= P* <= {self.objective:.9g}",
                f"  loss {self.loss.name}, beta {self.beta:.6g}",
                f"  h(lam) = {self.dual_feasibility:.9g}, {kind}",
            ]
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the certificate as JSON; an existing file is replaced only once all is written.

        Parameters
        ----------
        path : str or path
            The file; its folder must exist.

        Raises
        ------
        InvalidInputError
            If its folder does not exist, or the path is a folder.
        """
        write_json(path, {"format": FORMAT, "version": VERSION, **self.to_document()})

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
        try:
            return cls.from_document(read_json(path, kind=FORMAT, version=VERSION))
        except InvalidInputError as error:
            raise CertificateError(str(error)) from error

    def check(self, X: ArrayLike, y: ArrayLike) -> bool:
        """Recompute everything from the data; True, or CertificateError naming the first number that fails.

        Parameters
        ----------
        X : (n, d) array_like
            The data the certificate is about.
        y : (n,) or (n, K) array_like
            Its targets, as they were given.

        Returns
        -------
        bool
            True.

        Raises
        ------
        CertificateError
            If the data is another one, or a number is not what the data, the network and lam give.
        """
        try:
            problem = weight_decay(
                X,
                y,
                loss=self.loss,
                beta=self.beta,
                sample_weight=self.weights,
                output_bias=self.output_bias,
                skip=self.skip,
                gates=self.gates,
            )
            if _fingerprint(problem) != self.data:
                raise CertificateError(
                    "the certificate is about other data: sizes or checksum of X and y differ"
                )
            self._check_claims(problem)
            if self.cover is None:
                norm = norm_of(problem, self.lam)
            else:
                covered = covered_output_norm if self.loss.vector else covered_norm
                norm = covered(problem.X, self.lam, self.cover)
        except InvalidInputError as error:
            raise CertificateError(str(error)) from error
        again = assess_regularized(problem, self.network, self.lam, norm)
        for name in ("objective", "lower_bound", "gap", "dual_feasibility", "exact"):
            claimed, value = getattr(self, name), getattr(again, name)
            if not agrees(claimed, value, RECHECK_TOL, scale=1.0 if name == "gap" else 0.0):
                raise CertificateError(
                    f"{name} is {claimed!r} in the certificate, but the data gives {value!r}"
                )
        return True

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
            "cover": encode_cover(self.cover),
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
        fields = Fields(values)
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
            cover=fields.cover("cover"),
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
        return fingerprint(problem.X, problem.y)
    return fingerprint(np.hstack([problem.X, problem.y]), problem.y[:, 0])


def check_network(problem: WeightDecay, network: Decayed) -> None:
    """Refuse a network that is not one of those over which the problem minimises (InvalidInputError)."""
    wanted = GatedReLU if problem.gates is not None else (TwoLayerReLU, ReLUNetwork)
    if not isinstance(network, wanted):
        needed = "a GatedReLU" if problem.gates is not None else "a TwoLayerReLU or a ReLUNetwork"
        raise InvalidInputError(f"network must be {needed}, got {type(network).__name__}")
    if network.n_features != problem.X.shape[1]:
        raise InvalidInputError(
            f"network must have {problem.X.shape[1]} inputs, as X has columns, got {network.n_features}"
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
            "output_bias and skip"
        )
    if isinstance(network, GatedReLU):
        known = {row.tobytes() for row in np.asarray(problem.gates)}
        if not all(row.tobytes() in known for row in network.gates):
            raise InvalidInputError("network must have gates among those of the problem")


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
    problem: WeightDecay, network: Decayed, lam: Float[np.ndarray, "n ..."], norm: DualNorm
) -> RegularizedCertificate:
    """Return the certificate of multipliers in the domain: the one place where its numbers are computed.

    `norm` is what is proven of them; they are handed out scaled to prove the most.
    """
    if norm.cover is not None:  # what a check arrives at
        norm = replace(norm, upper_bound=norm.cover.level)
    objective = problem.objective(problem.rescaled(network))
    t, own = problem.scale(lam, norm.upper_bound), problem.dual_value(lam)
    # multipliers at their best scale, to the rounding of their value, stay as they are to the last bit
    if norm.upper_bound <= problem.beta and problem.dual_value(t * lam) <= own + _SAME * objective:
        t = 1.0
    scaled = norm.scaled(t) if t > 0 else norm_of(problem, 0.0 * lam)
    lower = problem.dual_value(t * lam)
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
        gap=relative_gap(objective, lower),
        dual_feasibility=scaled.upper_bound,
        exact=scaled.exact and scaled.cover is None,
        cover=scaled.cover,
    )


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
    feasible = problem.feasible(given)
    tol = _affordable(problem, network, feasible)
    return assess_regularized(
        problem, network, feasible, norm_of(problem, feasible, tol=tol, time_limit=time_limit)
    )


def _affordable(problem: WeightDecay, network: Decayed, lam: Float[np.ndarray, "n ..."]) -> float:
    """Return a tolerance for the oracle that costs the bound little beside what it lacks anyway."""
    objective = problem.objective(problem.rescaled(network))
    rough = norm_of(problem, lam, search=False).value
    best = problem.bound(lam, rough)
    gap = max(relative_gap(objective, best), 0.0)
    return float(min(max(0.05 * gap, 1e-9), 0.5)) if math.isfinite(gap) else 1e-9
