"""What proves the dual norm of several outputs without a search: corners of a cover, with a proof each.

:mod:`convexrelu.check_outputs` says what it means and evaluates it. The space of outputs is halved, the
widest live edge first, until the bounds at the corners prove the level.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from jaxtyping import Float

from convexrelu._clock import Clock
from convexrelu.check import SIGNS, _integers
from convexrelu.check_outputs import Corners, halves, orthants, output_bound
from convexrelu.oracle import DualNorm, dual_norm
from convexrelu.oracle.outputs import output_norm
from convexrelu.oracle.witness import proof_of

__all__ = ["output_proof", "proven_output_norm"]

_MOST_CORNERS = 400  # each holds two proofs
_MOST_CONES = 20_000  # of a corner's proof, for each sign
_MOST_TEXT = 4e6  # characters of all proofs together: a minute or so to make them
_LOOSE = 1e-7  # relative: how much more than the oracle's bound at a corner its proof may leave
_MOST_OUTPUTS = 10  # there are two to the power of their number of orthants
_SHARE = 0.1  # of what a level leaves above the largest corner, for the scalar bounds
_LEAST_TOL = 1e-9
_FLAT = 1e-6  # of the largest bound: a corner along which nothing depends on the output, but for rounding


def output_proof(
    X: Float[np.ndarray, "n d"], Lam: Float[np.ndarray, "n k"], level: float, clock: Clock | None = None
) -> dict[str, Any] | None:
    """Return a proof that ``||Lam^T (X u)_+||`` is at most `level` for unit u.

    None if it is too large, or not made before the clock expires.
    """
    K, clock = Lam.shape[1], clock or Clock()
    if K > _MOST_OUTPUTS:
        return None
    value = output_norm(X, Lam, search=False).value
    tol = min(max(_SHARE * (level / value - 1), _LEAST_TOL), 0.1) if value > 0 else _LEAST_TOL
    # the axes along which the multipliers differ most: those that they lack need no cutting
    axes = np.linalg.svd(np.vstack([Lam, np.zeros((K, K))]), full_matrices=False)[2]
    basis, _ = _integers(axes)
    corners, splits, proofs, text = Corners(X, Lam), list[int](), list[dict[str, Any]](), 0
    for root in orthants(basis):
        work = [root]
        while work:
            cone = work.pop()
            for corner in cone:
                if tuple(corner) not in corners.known:
                    if clock.expired():
                        return None
                    lam, power = corners.weights(corner)
                    seconds = None if math.isinf(clock.left) else clock.left
                    bound = dual_norm(X, lam, tol=tol, max_nodes=_MOST_CONES, time_limit=seconds).upper_bound
                    proof = proof_of(X, lam, bound, max_nodes=_MOST_CONES, raised=False, clock=clock)
                    text += len(str(proof))
                    if len(proofs) >= _MOST_CORNERS or text > _MOST_TEXT or not _complete(lam, proof):
                        return None
                    corners.learn(corner, proof, exact=False)
                    proofs.append(proof)
                    if corners.known[tuple(corner)] > ((1 + _LOOSE) * bound + _LOOSE * level) * 2.0**power:
                        return None
            if corners.top(cone) <= level:
                splits.append(0)
                continue
            edge = _widest(cone, [float(corners.known[tuple(corner)]) for corner in cone])
            if not edge:
                return None
            splits.append(edge)
            work.extend(reversed(halves(cone, edge)))
    return {"kind": "outputs", "basis": axes.tolist(), "split": splits, "corners": proofs}


def _complete(lam: Float[np.ndarray, " n"], proof: dict[str, Any]) -> bool:
    return all(proof[name] is not None or not (sign * lam > 0).any() for name, sign in SIGNS.items())


def _widest(cone: np.ndarray, bounds: list[float]) -> int:
    """The edge of the widest angle, of those between corners where a bound is more than rounding; or 0."""
    K = len(cone)
    units = np.array([[float(v) for v in corner] for corner in cone])
    lengths = np.linalg.norm(units, axis=1)
    sizes, units = np.array(bounds) / lengths, units / lengths[:, None]
    live = sizes > _FLAT * sizes.max()
    a, b = np.triu_indices(K, 1)
    products = np.where(live[a] & live[b], (units @ units.T)[a, b], 2.0)
    return int(np.argmin(products)) + 1 if K > 1 and products.min() < 1 - _LEAST_TOL else 0


def proven_output_norm(
    X: Float[np.ndarray, "n d"], Lam: Float[np.ndarray, "n k"], proof: dict[str, Any]
) -> DualNorm:
    """Return the dual norm as far as a proof proves it; raises RefusedError if it is none."""
    known = output_norm(X, Lam, search=False)
    bound = float(output_bound(X, Lam, proof))
    bound = float(np.nextafter(bound, np.inf)) if bound > 0 else 0.0
    return DualNorm(
        value=known.value,
        upper_bound=max(bound, known.value),
        exact=False,
        repeatable=True,
        direction=known.direction,
        sign=1.0,
    )
