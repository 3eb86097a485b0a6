"""KKT conditions, of the non-convex problem and of the convex one, and what connects them (WP section 3).

A network at margin 1 with multiplier lam (``Y lam >= 0``) is a KKT point of WP (13) if every neuron has a
mask with ``s_i u_i/||u_i|| = X^T Dhat_i lam``, 1 where ``x_n^T w1_i > 0`` and 0 where it is negative, and
``lam_n (y_n f(x_n) - 1) = 0``. On the neuron's own hyperplanes WP asks for 0 or 1 (B-subdifferential);
Clarke's subdifferential allows everything between, and global optima of generic data need it. Both residuals
are reported.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import qr

from convexrelu._box_least_norm import box_least_norm
from convexrelu._shown import Shown
from convexrelu._typing import ArrayLike
from convexrelu._validation import as_data, as_vector
from convexrelu.arrangements import is_orthogonally_separable, is_spike_free
from convexrelu.certificates.bounds import (
    at_margin,
    bound,
    feasible_signs,
    margins,
    relative_gap,
    scale_exponent,
    scaled_by,
)
from convexrelu.certificates.multipliers import TIE_TOL
from convexrelu.errors import InvalidInputError
from convexrelu.networks import TwoLayerReLU
from convexrelu.networks.neurons import row_norms
from convexrelu.oracle import DualNorm, dual_norm

__all__ = ["OPTIMALITY_TOL", "KKTReport", "check_kkt", "kkt_report"]

OPTIMALITY_TOL = 1e-6
"""A network is called globally optimal when the certified relative gap is below this."""

RESIDUAL_TOL = 1e-4
"""A point counts as KKT up to this residual; it is the root of a gap of 1e-8, since residuals are of first
order and gaps of second."""

_MOST_ROWS = 20_000  # the definition of orthogonal separability is about all pairs of rows

# 2^12 masks are tried for the B-subdifferential; with more ties the residual is an upper bound.
_MOST_TIES = 12


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class KKTReport(Shown):
    """KKT residuals of a network with a multiplier, both taken at margin 1.

    Attributes
    ----------
    stationarity : float
        Largest ``|w2_i| min_Dhat ||s_i u_i/||u_i|| - X^T Dhat lam||`` over the neurons, divided by the
        largest ``|w2_i|``; Clarke masks.
    stationarity_b : float
        The same with masks in {0, 1} (B-subdifferential, WP Proposition 3).
    imbalance : float
        Largest ``| ||w1_i|| - |w2_i| |`` relative to the largest neuron: stationarity in the sizes. The other
        residuals are of the balanced network.
    complementarity : float
        ``sum_n |lam_n| (y_n f(x_n) - 1)`` relative to the objective.
    dual_feasibility : float
        Proven upper bound on h(lam).
    convex_stationarity : float
        Largest violation of the first two conditions of WP (46) at the network's own patterns, with z_j
        constructed from the Clarke masks.
    convex_complementarity : float
        Largest ``z_jn |x_n^T u_j|/||u_j||`` of WP (46).
    structure : str
        "orthogonally separable", "spike-free", "orthogonally separable and spike-free", "general", or "not
        examined" (more than 20,000 rows).
    covers_positive, covers_negative : bool
        Whether some neuron's mask contains all rows of the label (the conditions of WP Propositions 4 and 5).
    objective, lower_bound : float
        Certified bounds on P* from the network and from lam.
    correspondence : str
        What Theorem 3 and Propositions 4 and 5 say about this point, in words.

    References
    ----------
    WP: docs/references.md.

    Examples
    --------
    >>> from convexrelu import check_kkt, solve_max_margin
    >>> X, y = [[1.65, -0.47], [-0.47, 1.35]], [1, -1]
    >>> solution = solve_max_margin(X, y)
    >>> report = check_kkt(X, y, solution.network, solution.lam)
    >>> report.globally_optimal, report.stationarity < 1e-9
    (True, True)
    """

    stationarity: float
    stationarity_b: float
    imbalance: float
    complementarity: float
    dual_feasibility: float
    convex_stationarity: float
    convex_complementarity: float
    structure: str
    covers_positive: bool
    covers_negative: bool
    objective: float
    lower_bound: float
    correspondence: str

    @property
    def globally_optimal(self) -> bool:
        """Proven to 1e-6 relative by weak duality, whatever the residuals are."""
        return relative_gap(self.objective, self.lower_bound) <= OPTIMALITY_TOL

    def __str__(self) -> str:
        proven = "globally optimal" if self.globally_optimal else "not certified globally optimal"
        return "\n".join(
            [
                f"KKT report: {proven}",
                f"  objective                 {self.objective:.9g}   (lower bound {self.lower_bound:.9g})",
                f"  stationarity              {self.stationarity:.2e} Clarke, "
                f"{self.stationarity_b:.2e} B-subdifferential",
                f"  imbalance                 {self.imbalance:.2e}",
                f"  complementarity           {self.complementarity:.2e}",
                f"  h(lam)                    {self.dual_feasibility:.9g}",
                f"  convex program (WP 46)    {self.convex_stationarity:.2e}, "
                f"complementarity {self.convex_complementarity:.2e}",
                f"  data                      {self.structure}",
                f"  {self.correspondence}",
            ]
        )


def check_kkt(X: ArrayLike, y: ArrayLike, network: TwoLayerReLU, lam: ArrayLike) -> KKTReport:
    """Return the KKT residuals of a network with multiplier lam, for WP (13) and for the convex program.

    The convex program's are those of WP (46). The network is rescaled to margin 1 first; lam is taken as
    given.

    Parameters
    ----------
    X : (n, d) array_like
        The data.
    y : (n,) array_like
        Two labels.
    network : TwoLayerReLU
        A network with positive margin.
    lam : (n,) array_like
        Multipliers with ``y * lam >= 0``.

    Returns
    -------
    KKTReport
        Residuals, bounds, and the correspondence in words.

    Raises
    ------
    InvalidInputError
        If shapes disagree, a multiplier has the wrong sign, or the network does not fit the data.

    References
    ----------
    WP: docs/references.md.

    Examples
    --------
    The optimum of WP appendix F.1:

    >>> X, y = [[1.65, -0.47], [-0.47, 1.35]], [1, -1]
    >>> network = TwoLayerReLU.from_directions([[0.560576, -0.159679], [-0.230009, 0.660664]], [1, -1])
    >>> report = check_kkt(X, y, network, [0.582875, -0.699557])
    >>> report.stationarity < 1e-5, report.covers_positive, report.covers_negative
    (True, True, True)
    """
    matrix, labels = as_data(X, y)
    weights = feasible_signs(labels, as_vector(lam, "lam", length=len(matrix)))
    margin = float(margins(matrix, labels, network).min())
    if not margin > 0:
        raise InvalidInputError(f"network must fit the data to be a KKT point, got margin {margin:.3g}")
    return kkt_report(matrix, labels, network, weights, dual_norm(matrix, weights))


def kkt_report(
    X: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, " n"],
    network: TwoLayerReLU,
    lam: Float[np.ndarray, " n"],
    norm: DualNorm,
) -> KKTReport:
    """Return the report of clean arguments: a network that fits the data, ``y * lam >= 0``, and its norm.

    No residual depends on the scale of X, if lam has the inverse: they are taken where X is near one.
    """
    proven = bound(X, y, network, lam, norm, np.inf)
    exponent = scale_exponent(X)
    X, lam = scaled_by(X, -exponent), scaled_by(lam, exponent)
    scaled = at_margin(X, y, network)
    if scaled is None or not np.isfinite(lam).all():
        raise InvalidInputError("at margin 1 the network's weights or lam are beyond the range of float64")
    balanced = scaled.balanced()
    balanced = TwoLayerReLU(balanced.W1[balanced.w2 != 0], balanced.w2[balanced.w2 != 0])
    carried = lam != 0
    support = _Support(
        X=X[carried],
        y=y[carried],
        lam=lam[carried],
        ties=TIE_TOL * row_norms(X[carried]),
    )
    neurons = [_Neuron.of(support, w1, w2) for w1, w2 in zip(balanced.W1, balanced.w2, strict=True)]
    sizes = np.abs(balanced.w2) / np.abs(balanced.w2).max()
    positive, negative = (_covered(X, y, label, support, neurons) for label in (1.0, -1.0))
    residual = max(float(s * n.clarke) for s, n in zip(sizes, neurons, strict=True))
    norms = row_norms(scaled.W1)
    excess = np.abs(support.y * scaled(support.X) - 1) if carried.any() else np.zeros(0)
    complementarity = float(np.abs(support.lam) @ excess) / balanced.objective()
    structure = _structure(X, y)
    return KKTReport(
        stationarity=residual,
        stationarity_b=max(float(s * n.b_residual) for s, n in zip(sizes, neurons, strict=True)),
        imbalance=float(np.abs(norms - np.abs(scaled.w2)).max() / max(norms.max(), np.abs(scaled.w2).max())),
        complementarity=complementarity,
        dual_feasibility=proven.dual_feasibility,
        convex_stationarity=max(float(s * n.convex) for s, n in zip(sizes, neurons, strict=True)),
        convex_complementarity=max(n.convex_complementarity for n in neurons),
        structure=structure,
        covers_positive=positive,
        covers_negative=negative,
        objective=proven.objective,
        lower_bound=proven.lower_bound,
        correspondence=_correspondence(
            max(residual, complementarity), proven.dual_feasibility, structure, positive, negative, y
        ),
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Support:
    """The rows with a multiplier, which are all that a neuron's residuals depend on."""

    X: Float[np.ndarray, "k d"]
    y: Float[np.ndarray, " k"]
    lam: Float[np.ndarray, " k"]
    ties: Float[np.ndarray, " k"]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Neuron:
    """One neuron's residuals: Clarke, B-subdifferential, and WP (46) with its constructed z."""

    direction: Float[np.ndarray, " d"]
    mask: Float[np.ndarray, " k"]
    clarke: float
    b_residual: float
    convex: float
    convex_complementarity: float

    @classmethod
    def of(cls, support: _Support, w1: Float[np.ndarray, " d"], w2: float) -> _Neuron:
        direction, sign = w1 / row_norms(w1[None, :])[0], float(np.sign(w2))
        heights = support.X @ direction
        tied = np.abs(heights) <= support.ties
        sure = (heights > 0) & ~tied
        target = sign * direction - support.X[sure].T @ support.lam[sure]
        generators = support.X[tied] * support.lam[tied, None]
        fit = box_least_norm(generators, target, np.ones(len(generators)))
        mask = sure.astype(float)
        mask[tied] = fit.t
        convex, complementarity = _convex_residual(support, direction, sign, mask, heights)
        return cls(
            direction=direction,
            mask=mask,
            clarke=fit.norm,
            b_residual=_b_residual(generators, target, fit.t),
            convex=convex,
            convex_complementarity=complementarity,
        )


def _covered(
    X: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, " n"],
    label: float,
    support: _Support,
    neurons: list[_Neuron],
) -> bool:
    """Whether some neuron's mask contains all rows of this label, and there are any.

    A tied row without a multiplier may have any mask, 1 included.
    """
    rows = X[y == label]
    ties = TIE_TOL * row_norms(rows)
    return bool(len(rows)) and any(
        bool((neuron.mask[support.y == label] >= 1 - TIE_TOL).all())
        and bool((rows @ neuron.direction >= -ties).all())
        for neuron in neurons
    )


def _b_residual(
    generators: Float[np.ndarray, "k d"], target: Float[np.ndarray, " d"], clarke: Float[np.ndarray, " k"]
) -> float:
    """Smallest residual over masks in {0, 1} of the tied rows.

    Beyond 12 relevant ties it is the rounded Clarke mask's.
    """
    relevant = np.linalg.norm(generators, axis=1) > 0
    generators, clarke = generators[relevant], clarke[relevant]
    if len(generators) > _MOST_TIES:
        masks = np.round(clarke)[None, :]
    else:
        masks = ((np.arange(2 ** len(generators))[:, None] >> np.arange(len(generators))) % 2).astype(float)
        if len(target) > len(generators) + 1:  # lengths are those in coordinates of the span
            span = qr(np.vstack([generators, target]).T, mode="r")[0][: len(generators) + 1].T
            generators, target = span[:-1], span[-1]
    return float(np.linalg.norm(target - masks @ generators, axis=1).min())


def _convex_residual(
    support: _Support,
    direction: Float[np.ndarray, " d"],
    sign: float,
    mask: Float[np.ndarray, " k"],
    heights: Float[np.ndarray, " k"],
) -> tuple[float, float]:
    """The residual of WP (46) at a pattern D_j next to the neuron, and its z's complementarity.

    The condition is ``s X^T D_j lam + X^T (2D_j - I) z = u/||u||`` with z >= 0. With D_j = 1 at a tie, ``z =
    s (Dhat - 1) lam``; with D_j = 0, ``z = -s Dhat lam``. Either is non-negative where s lam <= 0; where
    s lam > 0 the constructed z is cut at zero and what is missing shows up in the residual.
    """
    X, lam, pattern = support.X, support.lam, heights > 0
    z = np.maximum(np.where(pattern, sign * (mask - 1) * lam, -sign * mask * lam), 0.0)
    reached = sign * X[pattern].T @ lam[pattern] + X.T @ (np.where(pattern, 1.0, -1.0) * z)
    return float(np.linalg.norm(reached - direction)), float((z * np.abs(heights)).max(initial=0.0))


def _structure(X: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"]) -> str:
    if len(X) > _MOST_ROWS:
        return "not examined"
    names = ["orthogonally separable"] if is_orthogonally_separable(X, y) else []
    names += ["spike-free"] if is_spike_free(X) else []
    return " and ".join(names) or "general"


def _correspondence(
    residual: float, norm: float, structure: str, positive: bool, negative: bool, y: Float[np.ndarray, " n"]
) -> str:
    """Theorem 3 and Propositions 4 and 5 in words."""
    if residual > RESIDUAL_TOL:
        return (
            "Not a KKT point of the non-convex problem with this multiplier "
            f"(a residual exceeds {RESIDUAL_TOL})."
        )
    if norm <= 1 + OPTIMALITY_TOL:
        text = (
            "Theorem 3 applies: a KKT point of the non-convex problem whose multiplier is dual feasible, "
            "so a KKT point of the convex program."
        )
        which = {
            "orthogonally separable": "Proposition 4 predicts",
            "spike-free": "Proposition 5 predicts",
            "orthogonally separable and spike-free": "Propositions 4 and 5 predict",
        }.get(structure)
        if which and (positive or not (y > 0).any()) and (negative or not (y < 0).any()):
            text += f" {which} it: the masks cover both classes."
        return text
    return (
        "Theorem 3 does not apply: h(lam) > 1 for this multiplier. That alone does not prove the point worse "
        "than optimal, since multipliers need not be unique; only a better network would."
    )
