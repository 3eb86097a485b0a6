"""The max-margin problem as the solvers see it, and the way back to the data.

The rows are unit vectors of full rank, and those that cannot bind are left out. In the data's terms: ``min
sum_j ||u_j|| + C sum_n xi_n  s.t.  y_n f(x_n) >= 1 - xi_n``. With ``x_n = ||x_n|| B v_n`` (v_n a unit row in
coordinates of the row space B), a common scale beta, and w = u / beta in those coordinates it reads ``min
sum_j ||w_j|| + sum_n caps_n xi_n  s.t.  y_n f(v_n) >= demand_n - xi_n``, with ``demand_n = 1/(beta ||x_n||)``
and ``caps_n = C ||x_n||``; its multipliers mu give ``lam_n = mu_n y_n / ||x_n||``. Badly scaled rows do not
reach the solvers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from convexrelu.arrangements import Hyperplanes, hyperplanes_of
from convexrelu.networks import RELU, TwoLayerReLU, evaluate
from convexrelu.networks.neurons import row_norms
from convexrelu.oracle import DualNorm, dual_norm

__all__ = ["Neurons", "Problem", "prepare", "spread"]

# Rows longer than the shortest one by more are taken for shorter ones: their margins are asked for as if they
# were. Nothing resolves a share of 1e-30, and linear solvers hang on coefficients of 1e200.
_LEAST_DEMAND = 1e-30


@dataclass(frozen=True, kw_only=True, eq=False)
class Neurons:
    """Neurons in a problem's coordinates.

    Attributes
    ----------
    U : (k, r) float array
        Their convex variables; a neuron's size is its row's norm.
    signs : (k,) float array
        Output signs, +1 or -1.
    """

    U: Float[np.ndarray, "k r"]
    signs: Float[np.ndarray, " k"]

    def __len__(self) -> int:
        return len(self.U)

    @property
    def size(self) -> float:
        """The sum of their norms: the objective without slack."""
        return float(np.linalg.norm(self.U, axis=1).sum())

    def joined(self, other: Neurons) -> Neurons:
        """Both sets of neurons."""
        return Neurons(U=np.vstack([self.U, other.U]), signs=np.r_[self.signs, other.signs])

    def kept(self, index: Int[np.ndarray, " q"] | Bool[np.ndarray, " k"]) -> Neurons:
        """The neurons of that index or mask."""
        return Neurons(U=self.U[index], signs=self.signs[index])

    def normalized(self) -> Neurons:
        """The neurons' directions: rows of norm one; zero rows are dropped."""
        sizes = np.linalg.norm(self.U, axis=1)
        live = sizes > 0
        return Neurons(U=self.U[live] / sizes[live, None], signs=self.signs[live])


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """A binary max-margin problem in reduced form (see the module's text).

    Attributes
    ----------
    rows : (k, r) float array
        Unit rows v_n in coordinates of the row space.
    data : (k, d) float array
        The same rows as they are in X.
    y : (k,) float array
        Their labels, +1 or -1.
    demand : (k,) float array
        The margins asked for, at most 1.
    caps : (k,) float array
        Prices of slack: ``C ||x_n||``, inf for the hard margin.
    index : (k,) int array
        The rows of X that they are; the others cannot bind.
    inverse_norms : (k,) float array
        ``1/||x_n||`` of these rows.
    scale : float
        beta, the largest of the inverse norms.
    basis : (d, r) float array
        Of the row space.
    n : int
        Number of rows of X.
    """

    rows: Float[np.ndarray, "k r"]
    data: Float[np.ndarray, "k d"]
    y: Float[np.ndarray, " k"]
    demand: Float[np.ndarray, " k"]
    caps: Float[np.ndarray, " k"]
    index: Int[np.ndarray, " k"]
    inverse_norms: Float[np.ndarray, " k"]
    scale: float
    basis: Float[np.ndarray, "d r"]
    n: int

    @property
    def soft(self) -> bool:
        """Whether slack is allowed (C is finite)."""
        return bool(np.isfinite(self.caps).all())

    @property
    def empty_neurons(self) -> Neurons:
        """No neurons."""
        return Neurons(U=self.rows[:0], signs=self.y[:0])

    def subset(self, chosen: Int[np.ndarray, " q"]) -> Problem:
        """The problem of these rows alone, in the same coordinates and scale."""
        return replace(
            self,
            rows=np.ascontiguousarray(self.rows[chosen]),
            data=self.data[chosen],
            y=self.y[chosen],
            demand=self.demand[chosen],
            caps=self.caps[chosen],
            index=self.index[chosen],
            inverse_norms=self.inverse_norms[chosen],
        )

    def outputs(self, neurons: Neurons) -> Float[np.ndarray, " k"]:
        """Margins ``y_n f(v_n)`` of all rows, without a matrix of rows by neurons."""
        values = evaluate([neurons.U, neurons.signs[None, :]], RELU, self.rows)
        return np.asarray(self.y * values[:, 0])

    def objective(self, neurons: Neurons) -> float:
        """The objective of the neurons: with slack at its price, or rescaled to the margins.

        The latter is inf if they miss a margin's sign.
        """
        outputs = self.outputs(neurons)
        if self.soft:
            return neurons.size + float(self.caps @ np.maximum(self.demand - outputs, 0.0))
        reached = float((outputs / self.demand).min())
        return neurons.size / reached if reached > 0 else float("inf")

    def features(self, neurons: Neurons) -> Float[np.ndarray, "k q"]:
        """Signed margins ``y_n s_j (v_n^T u_j)_+`` of every row (one a line) and neuron."""
        margins: np.ndarray = self.y[:, None] * np.maximum(self.rows @ neurons.U.T, 0) * neurons.signs
        return margins

    def network(self, neurons: Neurons) -> TwoLayerReLU:
        """The network of these neurons in the data's coordinates."""
        return TwoLayerReLU.from_directions(self.scale * neurons.U @ self.basis.T, neurons.signs)

    def neurons(self, network: TwoLayerReLU) -> Neurons:
        """The neurons of a network in this problem's coordinates; its part off the row space is dropped."""
        live = network.signs != 0
        return Neurons(U=network.u[live] @ self.basis / self.scale, signs=network.signs[live])

    def dual(self, mu: Float[np.ndarray, " k"]) -> Float[np.ndarray, " n"]:
        """The dual variable lam of the data from the multipliers mu >= 0 of the reduced rows."""
        return spread(self.y * mu * self.inverse_norms, self.index, self.n)

    def dual_norm(
        self,
        mu: Float[np.ndarray, " k"],
        *,
        tol: float = 1e-9,
        time_limit: float | None = None,
        max_nodes: int | None = None,
        search: bool = True,
        stop_above: float = np.inf,
    ) -> DualNorm:
        """The dual norm of the multipliers, by the oracle (:func:`convexrelu.oracle.dual_norm`).

        It is asked about the data's own rows, so that the answer is the one that a certificate rests on.
        """
        lam = self.y * mu * self.inverse_norms
        return dual_norm(
            self.data,
            lam,
            tol=tol,
            time_limit=time_limit,
            max_nodes=max_nodes,
            search=search,
            stop_above=stop_above,
        )

    def multipliers(self, lam: Float[np.ndarray, " n"]) -> Float[np.ndarray, " k"]:
        """The inverse of :meth:`dual` on the rows kept."""
        mu: np.ndarray = self.y * lam[self.index] / self.inverse_norms
        return mu


def spread(
    values: Float[np.ndarray, " q"], index: Int[np.ndarray, " q"], length: int
) -> Float[np.ndarray, " k"]:
    """Return a vector with these values at an index, and zeros elsewhere."""
    whole = np.zeros(length)
    whole[index] = values
    return whole


def prepare(
    X: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, " n"],
    C: float,
    lines: Hyperplanes | None = None,
) -> Problem:
    """Return the reduced problem of feasible data; `lines` are the hyperplanes of X, if they are known.

    Feasible: as :func:`convexrelu.solvers.feasibility.check_feasible` has it. Hard margin: of the rows with
    one label on one ray only the shortest can bind. Soft margin: every non-zero row has slack of its own.
    """
    lines = hyperplanes_of(X) if lines is None else lines
    norms = row_norms(X)
    index = np.flatnonzero(norms > 0)
    if np.isinf(C):
        index = _shortest_on_each_ray(lines, y, norms)
    inverse = 1.0 / norms[index]
    scale = float(inverse.max(initial=0.0)) or 1.0
    demand = np.maximum(inverse / scale, _LEAST_DEMAND)
    # a row whose demand is raised is a shorter row: what it costs to miss the margin stays
    shorter = np.where(demand > inverse / scale, 1.0 / (scale * demand), norms[index])
    return Problem(
        rows=(X[index] * inverse[:, None]) @ lines.basis,
        data=X[index],
        y=y[index],
        demand=demand,
        caps=C * shorter,
        index=index,
        inverse_norms=inverse,
        scale=scale,
        basis=lines.basis,
        n=len(X),
    )


def _shortest_on_each_ray(
    lines: Hyperplanes, y: Float[np.ndarray, " n"], norms: Float[np.ndarray, " n"]
) -> Int[np.ndarray, " k"]:
    rows = np.flatnonzero(lines.sign)
    ray = 4 * lines.member[rows] + 2 * (lines.sign[rows] > 0) + (y[rows] > 0)
    shared = np.bincount(ray)[ray] > 1
    rows, ray, alone = rows[shared], ray[shared], rows[~shared]
    order = np.lexsort((norms[rows], ray))  # stable: of equally short rows the first
    first = np.diff(ray[order], prepend=-1) != 0
    return np.sort(np.r_[alone, rows[order[first]]])
