"""Results show themselves in a line, and in a notebook in a few."""

from __future__ import annotations

import numpy as np
import pytest

import convexrelu as cr

F1 = cr.datasets.load("wang-pilanci-f1")


@pytest.fixture(scope="module")
def results():
    X, y = F1
    solution = cr.solve_max_margin(X, y)
    several = cr.solve_max_margin(np.eye(3), ["<a>", "b", "c"])
    network = cr.TwoLayerReLU(np.eye(2), [1.0, -1.0])
    report = cr.verify_gradient_descent(X, y, n_runs=2, rng=0)
    return [
        *(solution, solution.certificate, solution.network, several, several.certificate),
        solution.certificate.check(X, y, arithmetic="exact"),
        cr.check_kkt(X, y, solution.network, solution.lam),
        cr.solve(X, [1.0, 2.0], loss="squared", beta=0.1).certificate,
        cr.gradient_descent(X, y, network, step_size=0.1, n_steps=300),
        cr.gradient_flow(X, y, network, t_max=1.0),
        *(report, report.runs[0], report.runs[0].parts[0], report.cells[0]),
        cr.maximize_ncf(
            X, np.asarray(y), widths=[2, 2, 1], activation=cr.PowerLeakyReLU(), n_starts=2, rng=0
        ),
        cr.neuron_pursuit(X, y, depth=2, max_iterations=2, rng=0),
    ]


def test_reprs_are_short(results):
    for result in results:
        assert type(result).__name__ in repr(result)
        assert repr(result).count("\n") <= 3, repr(result)
        assert all(len(line) < 200 for line in repr(result).splitlines())


def test_notebooks_show_a_few_lines_and_no_markup_of_the_data(results):
    for result in results:
        if hasattr(result, "_repr_html_"):
            text = result._repr_html_()
            assert text.startswith("<pre>")
            assert text.count("\n") <= 13
            assert "<a>" not in text
