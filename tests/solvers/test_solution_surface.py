"""Both kinds of solutions predict, score and save alike, in the labels that were given."""

from __future__ import annotations

import numpy as np
import pytest

import convexrelu as cr

X = np.random.default_rng(0).normal(size=(18, 3))
TWO = np.where(X[:, 0] > 0, "yes", "no")
THREE = np.where(X[:, 0] > 0.3, "a", np.where(X[:, 1] > 0, "b", "c"))


@pytest.mark.parametrize("labels", [TWO, THREE, np.where(TWO == "yes", 7, 3)])
def test_solutions_speak_in_the_labels_they_were_given(labels, tmp_path):
    solution = cr.solve_max_margin(X, labels, C=100.0, tol=1e-2)
    assert set(solution.predict(X).tolist()) <= set(labels.tolist())
    assert solution.score(X, labels) == np.mean(solution.predict(X) == labels)
    assert solution.score(X, labels) > 0.9
    solution.save(tmp_path / "c.json")
    from convexrelu.certificates import load_certificate

    assert load_certificate(tmp_path / "c.json").check(X, labels)


def test_the_network_of_several_classes_has_their_outputs():
    solution = cr.solve_max_margin(X, THREE, C=1.0, tol=1e-2)
    outputs = solution.network(X)
    for column, part in zip(outputs.T, solution.solutions, strict=True):
        np.testing.assert_allclose(column, part.network(X), rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(solution.lam, [part.lam for part in solution.solutions])


def test_one_label_alone_is_predicted():
    solution = cr.solve_max_margin([[1.0, 0.0], [0.0, 1.0]], [1, 1])
    assert solution.predict([[2.0, 3.0]]).tolist() == [1.0]
