"""What other libraries do with results: send them to workers, copy and keep them, find them in threads."""

from __future__ import annotations

import copy
import io
import pickle
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest

import convexrelu as cr
from convexrelu.training import scaled_start

X, Y = cr.datasets.load("moons")
X, Y = X[::3], Y[::3]
PLANE = cr.datasets.load("wang-pilanci-f1")


def start():
    return scaled_start(X, Y, width=3, scale=1e-2, rng=0).network


def three_classes():
    labels = np.where(X[:, 0] > 0.5, 3, Y)
    return cr.solve_max_margin(X, labels, C=0.1, tol=1e-2)


RESULTS = {
    "MaxMarginSolution": lambda: cr.solve_max_margin(X, Y),
    "TwoLayerReLU": start,
    "Certificate": lambda: cr.certify(X, Y, start(), improve=False),
    "Solution": lambda: cr.solve(X, Y, loss="squared", beta=1.0, tol=1e-2),
    "MultiClassSolution": three_classes,
    "MaxMarginPath": lambda: cr.max_margin_path(X, Y, [0.1, 1.0], tol=1e-2),
    "SolutionPath": lambda: cr.solution_path(X, Y, betas=[2.0, 1.0], loss="squared", tol=1e-2),
    "KKTReport": lambda: cr.check_kkt(
        *PLANE, cr.TwoLayerReLU([[1.0, 0.0], [0.0, 1.0]], [1.0, -1.0]), [0.5, -0.5]
    ),
    "Arrangement": lambda: cr.enumerate_patterns(X[:8]),
    "Correlation": lambda: cr.maximize_correlation(X, Y),
    "Dataset": lambda: cr.datasets.load("moons"),
    "LimitReport": lambda: cr.verify_gradient_descent(*PLANE, width=4, n_runs=1, rng=0),
    "Trajectory": lambda: cr.gradient_descent(X, Y, start(), step_size=0.1, n_steps=20),
    "FlowTrajectory": lambda: cr.gradient_flow(X, Y, start(), t_max=0.5),
    "AlignmentResult": lambda: cr.alignment_flow(X, Y, start().W1),
    "PursuitResult": lambda: cr.neuron_pursuit(X, Y, depth=2, rng=0, max_iterations=2),
}


@pytest.mark.parametrize("name", sorted(RESULTS))
def test_results_are_carried(name):
    result = RESULTS[name]()
    assert type(result).__name__ == name
    kept = io.BytesIO()
    joblib.dump(result, kept)
    kept.seek(0)
    for again in (pickle.loads(pickle.dumps(result)), copy.deepcopy(result), joblib.load(kept)):
        assert type(again) is type(result)
        assert repr(again) == repr(result)
        assert str(again) == str(result)
    assert len(repr(result).splitlines()) <= 5


def test_errors_are_carried_with_their_proof():
    with pytest.raises(cr.InfeasibleError) as caught:
        cr.solve_max_margin([[1.0, 1.0], [1.0, 1.0]], [1, -1])
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    np.testing.assert_array_equal(again.farkas, caught.value.farkas)


def test_threads_find_what_one_finds():
    alone = cr.solve_max_margin(X, Y)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: cr.solve_max_margin(X, Y), range(6)))
    for solution in found:
        np.testing.assert_array_equal(solution.network.W1, alone.network.W1)
        np.testing.assert_array_equal(solution.lam, alone.lam)
