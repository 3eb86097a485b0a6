"""The best mix over all rows of neurons that are known: what a search on a working set leaves undone.

A working set's network is judged by rows that it has never seen. The linear program over all of them decides,
and needs few: with slack at a price, rows far below their margins pay in proportion to what they miss, all
together as one row, and rows far above pay nothing. Whichever changes sides enters on its own. That one row
pays less than its parts do, so that each program is a relaxation, and the last one, where none changes
sides, is the whole. Without slack the rows that fall short enter.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from convexrelu.errors import SolverError
from convexrelu.solvers.history import SolverClock
from convexrelu.solvers.linear_master import Master, Mix
from convexrelu.solvers.problem import Neurons, Problem

__all__ = ["WholeMix", "mixed"]

_LOGGER = logging.getLogger("convexrelu")

FIRST = 500  # rows that have a constraint of their own to begin with
ENTERING = 500  # rows that enter at once, or as many as there are if these are more
SHORT = 1e-7  # relative, of a demand: rows that fall short by less are at their margins
CLOSED = 1e-4  # gap between program and network, at which the mix is the best there is
PRICES = (1e3, 1e6, 1e9, 1e13)  # of artificial slack, on unit rows, where the problem allows none
MOST_ENTRIES = 5e7  # of rows by directions: more take seconds to multiply
MOST = 250  # directions


@dataclass(frozen=True, kw_only=True, eq=False)
class WholeMix:
    """A mix of given directions and its multipliers, on all rows.

    Attributes
    ----------
    neurons : Neurons
        The directions in use, at their sizes.
    mu : (k,) float array
        Multipliers of all rows: none of the directions correlates more than 1 with them.
    value : float
        The neurons' objective on all rows.
    """

    neurons: Neurons
    mu: Float[np.ndarray, " k"]
    value: float


def mixed(problem: Problem, start: Neurons, known: Neurons, *, clock: SolverClock) -> WholeMix:
    """Return the best mix of the known neurons' directions, or `start` if that is better or time is short.

    The last of the known are left out if all were too many.
    """
    most = int(min(MOST, max(MOST_ENTRIES / len(problem.y), 20)))
    directions = start.joined(known).normalized()
    directions = directions.kept(np.arange(min(len(directions), most)))
    best = WholeMix(neurons=start, mu=np.zeros(len(problem.y)), value=problem.objective(start))
    if not len(directions):
        return best
    excess = _excess(problem, start)
    near = np.zeros(len(problem.y), dtype=bool)
    near[np.argsort(np.abs(excess) if problem.soft else excess, kind="stable")[:FIRST]] = True
    prices = iter(() if problem.soft else PRICES)
    price = next(prices, np.inf)
    while not clock.expired():
        below = np.flatnonzero(~near & (excess < 0)) if problem.soft else np.zeros(0, dtype=np.int64)
        try:
            mix = _solved(problem, np.flatnonzero(near), below, directions, price, clock)
        except SolverError as error:
            _LOGGER.info("%s", error)
            break
        mu = np.zeros(len(problem.y))
        mu[near] = mix.mu
        mu[below] = mix.rest * problem.caps[below]
        excess = _excess(problem, mix.neurons)
        value = problem.objective(mix.neurons)
        if value < best.value:
            best = WholeMix(neurons=mix.neurons, mu=mu, value=value)
        below_now = np.zeros_like(near)
        below_now[below] = True
        changed = ~near & np.where(below_now, excess > SHORT, excess < -SHORT)
        dear = mix.mu.max(initial=0.0) >= 0.99 * price
        if mix.value >= best.value * (1 - CLOSED) and not dear:
            return WholeMix(neurons=best.neurons, mu=mu, value=best.value)
        if not changed.any():
            if not dear or price == PRICES[-1]:
                break
            price = next(prices)
            continue
        rows = np.flatnonzero(changed)
        weight = np.abs(excess) * problem.demand * (problem.caps if problem.soft else 1.0)
        most_rows = max(ENTERING, int(near.sum()))
        near[rows[np.argsort(-weight[rows], kind="stable")[:most_rows]]] = True
    return best


def _solved(
    problem: Problem,
    near: Int[np.ndarray, " q"],
    below: Int[np.ndarray, " b"],
    directions: Neurons,
    price: float,
    clock: SolverClock,
) -> Mix:
    """Solve the program of the rows `near`, and of those `below` together."""
    rest = problem.subset(below) if len(below) else None
    master = Master(problem.subset(near), penalty=price, rest=rest)
    master.add(directions)
    return master.solve(seconds=max(clock.left, 1e-2))


def _excess(problem: Problem, neurons: Neurons) -> Float[np.ndarray, " k"]:
    """Return by what share of its demand each margin exceeds it."""
    return np.asarray(problem.outputs(neurons) / problem.demand - 1)
