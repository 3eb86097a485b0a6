"""Certificates by the semidefinite program on purpose."""

import numpy as np

import convexrelu as cr
from convexrelu.certificates.certificate import assess
from convexrelu.oracle.relaxation import Relaxation, relaxed_norm
from convexrelu.solvers.history import SolverClock
from convexrelu.solvers.problem import prepare
from convexrelu.solvers.semidefinite.bound import semidefinite_bound


def relaxed(X: np.ndarray, y: np.ndarray, network: cr.TwoLayerReLU, *, share: float) -> cr.Certificate:
    """A certificate by the semidefinite program, to a share of the objective, the longest branch first."""
    problem = prepare(X, y, np.inf)
    found = semidefinite_bound(
        problem,
        np.ones(len(y)),
        problem.neurons(network),
        clock=SolverClock(limit=np.inf),
        target=share * network.objective() / problem.scale,
    )
    relaxation = Relaxation(leaves=tuple(sorted(found.relaxation.leaves, key=lambda leaf: -len(leaf.rows))))
    lam, nobody = problem.dual(found.mu), cr.TwoLayerReLU(np.zeros((0, X.shape[1])), [])
    norm = relaxed_norm(X, lam, relaxation)
    return assess(X, y, network, lam, norm=norm, C=np.inf, better=nobody, relaxation=relaxation)
