"""The dual norm of the multipliers that a search ends with, proven as closely as the gap leaves room for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from convexrelu.certificates.regularized import norm_of
from convexrelu.certificates.weight_decay import WeightDecay
from convexrelu.oracle import DualNorm
from convexrelu.oracle.relaxation import Relaxation
from convexrelu.solvers.history import SolverClock
from convexrelu.solvers.work import CONE, CORNER

__all__ = ["VIOLATED", "ProvenNorm", "level_of", "proven_norm", "room"]

VIOLATED = 1e-9
"""Relative violation of the dual constraint up to which it is rounding."""

MOST_NODES = 10**8  # of the oracle's search where a time limit ends it


def level_of(decay: WeightDecay, lam: Float[np.ndarray, "n ..."], wanted: float) -> float:
    """The dual norm up to which multipliers prove the bound `wanted`; beta if none does."""
    return decay.level(lam, wanted, decay.beta * (1 + VIOLATED))


def room(level: float, largest: float, gap: float, *, least: float) -> float:
    """The tolerance that the oracle is asked for, given the largest value known and the gap that is open.

    Where the multipliers are not good enough, a bound is sought that loses little beside them.
    """
    return max(0.9 * (level / largest - 1), 0.05 * min(gap, 1.0), least)


@dataclass(frozen=True, kw_only=True, eq=False)
class ProvenNorm:
    """A dual norm, as far as it is proven, and by what.

    Attributes
    ----------
    norm : DualNorm
        Value and bound.
    relaxation : Relaxation or None
        What proves the bound; None if the oracle's search does.
    """

    norm: DualNorm
    relaxation: Relaxation | None = None


def proven_norm(
    decay: WeightDecay,
    lam: Float[np.ndarray, "n ..."],
    *,
    tol: float,
    clock: SolverClock,
    stop_above: float = np.inf,
    share: float = 0.9,
) -> ProvenNorm:
    """Return the dual norm as far as a share of the clock's time proves it; Ctrl-C ends it on the spot."""
    # what the structure of the rows proves: it needs no search to be repeated
    proven = ProvenNorm(norm=norm_of(decay, lam, search=False), relaxation=Relaxation())
    with clock.interruption.ending():
        node = CORNER if decay.loss.vector else CONE * max(int(np.count_nonzero(lam)), 1)
        limit, nodes = clock.allowed(share, node, least=1e-2)
        if limit is not None and nodes is None:
            nodes = MOST_NODES
        norm = norm_of(decay, lam, tol=tol, time_limit=limit, max_nodes=nodes, stop_above=stop_above)
        clock.did(node * norm.nodes)
        proven = ProvenNorm(norm=norm)
    return proven  # noqa: RET504  (of what Ctrl-C left)
