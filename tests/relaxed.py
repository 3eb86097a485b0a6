"""Certificates by the semidefinite program on purpose."""

import numpy as np

import convexrelu as cr
from convexrelu.certificates.certificate import assess
from convexrelu.oracle.relaxation import relaxed_norm
from convexrelu.solvers.history import SolverClock
from convexrelu.solvers.problem import prepare
from convexrelu.solvers.semidefinite.bound import semidefinite_bound


def relaxed(X: np.ndarray, y: np.ndarray, time_limit: float) -> cr.Certificate:
    """A certificate by the semidefinite program, where a search would be quicker."""
    network = cr.solve_max_margin(X, y, time_limit=time_limit).network
    reduced = prepare(X, y, np.inf)
    found = semidefinite_bound(
        reduced,
        np.ones(len(y)),
        reduced.neurons(network),
        clock=SolverClock(limit=np.inf),
        target=0.9 * network.objective() / reduced.scale,
    )
    lam = reduced.dual(found.mu)
    norm = relaxed_norm(X, lam, found.relaxation)
    nobody = cr.TwoLayerReLU(np.zeros((0, X.shape[1])), [])
    return assess(X, y, network, lam, norm=norm, C=np.inf, better=nobody, relaxation=found.relaxation)
