"""The network that fits begin with: a descent direction each, all losses, never worse than it began."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.preprocessing import StandardScaler

import convexrelu as cr
from convexrelu._clock import Clock
from convexrelu.certificates.weight_decay import weight_decay
from convexrelu.estimator.descent import descended

RNG = np.random.default_rng(3)
X = cr.datasets.with_bias(RNG.normal(size=(40, 3)))
F = np.abs(X[:, 0]) - X[:, 1]
LABELS = np.where(F > 0.5, 1.0, -1.0)
PROBLEMS = {
    "squared": F,
    "absolute": 1e3 * F,
    "quantile": F,
    "epsilon_insensitive": F,
    "poisson": np.round(np.exp(np.clip(F, -1, 2))),
    "logistic": LABELS,
    "hinge": LABELS,
    "squared_hinge": LABELS,
    "exponential": LABELS,
    "multi_squared": np.column_stack([F, -F, X[:, 2]]),
    "softmax": np.digitize(F, [-0.5, 1.0]).astype(float),
}


@pytest.mark.parametrize("output_bias", [True, "penalised"])
@pytest.mark.parametrize("loss", PROBLEMS)
def test_descent_comes_near_the_optimum(loss, output_bias):
    y = PROBLEMS[loss]
    s = np.linspace(1.0, 2.0, len(X))
    beta = 0.2 * float(cr.beta_max(X, y, loss=loss, sample_weight=s).upper_bound)
    problem = weight_decay(X, y, loss=loss, beta=beta, sample_weight=s, output_bias=output_bias)
    found = problem.objective(descended(problem, work=np.inf, clock=Clock()))
    solution = cr.solve(
        X, y, loss=loss, beta=beta, sample_weight=s, output_bias=output_bias, tol=1e-2, time_limit=3.0
    )
    assert found >= solution.lower_bound * (1 - 1e-9)
    assert found <= 1.08 * solution.objective  # a local minimum


def test_nothing_to_learn_is_no_obstacle():
    for data, y in (
        (np.zeros((3, 2)), [1.0, 2.0, 3.0]),
        (np.eye(3), [5.0, 5.0, 5.0]),
        (np.eye(3), [0.0] * 3),
    ):
        problem = weight_decay(data, y, loss="squared", beta=0.1, output_bias=True)
        network = descended(problem, work=np.inf, clock=Clock())
        assert np.isfinite(problem.objective(network))


def test_it_ends_with_its_work_or_where_the_clock_has_run_out():
    Z = RNG.normal(size=(300, 20))
    problem = weight_decay(Z, np.abs(Z[:, 0]), loss="squared", beta=1e-3)
    ends = [
        problem.objective(descended(problem, work=work, clock=Clock(limit=limit)))
        for work, limit in ((np.inf, np.inf), (0.01, np.inf), (0.01, np.inf), (np.inf, 0.0))
    ]
    assert ends[0] < ends[1] < ends[3]
    assert ends[1] == ends[2]


def test_where_time_runs_out_the_network_that_a_fit_began_with_is_taken():
    Z, y = load_digits(return_X_y=True)
    Z, y = StandardScaler().fit_transform(Z)[:600], y[:600]
    model = cr.MaxMarginReLUClassifier(time_limit=8.0).fit(Z[:400], y[:400])
    assert model.score(Z[400:], y[400:]) > 0.75  # as long as some classes had no network it was below a half
    assert model.lower_bound_ <= model.objective_
    assert model.check_certificate(Z[:400], y[:400])
