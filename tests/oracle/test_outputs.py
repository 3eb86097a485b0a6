from __future__ import annotations

import numpy as np
import pytest

from convexrelu.errors import InvalidInputError
from convexrelu.oracle import Cover, dual_norm, outputs
from convexrelu.oracle.outputs import covered_output_norm, output_norm


def plane_maximum(X, Lam):
    """In the plane every arc without a kink has a quadratic form, whose maximum is known."""
    angles = np.arctan2(X[:, 1], X[:, 0])
    kinks = np.sort(np.mod(np.r_[angles + np.pi / 2, angles - np.pi / 2], 2 * np.pi))
    best = 0.0
    for first, last in zip(kinks, np.r_[kinks[1:], kinks[0] + 2 * np.pi], strict=True):
        middle = np.array([np.cos((first + last) / 2), np.sin((first + last) / 2)])
        M = Lam[X @ middle > 0].T @ X[X @ middle > 0]
        B = M.T @ M
        turn = 0.5 * np.arctan2(2 * B[0, 1], B[0, 0] - B[1, 1])
        inside = [turn + k * np.pi / 2 for k in range(-5, 10) if first < turn + k * np.pi / 2 < last]
        for angle in (first, last, *inside):
            u = np.array([np.cos(angle), np.sin(angle)])
            best = max(best, float(np.linalg.norm(Lam.T @ np.maximum(X @ u, 0))))
    return best


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("K", [1, 2, 3])
def test_in_the_plane_against_every_arc(seed, K):
    rng = np.random.default_rng(seed)
    X, Lam = rng.normal(size=(12, 2)), rng.normal(size=(12, K))
    X[1], X[2] = -2 * X[0], 0.0
    maximum = plane_maximum(X[[0, 1, *range(3, 12)]], Lam[[0, 1, *range(3, 12)]])
    norm = output_norm(X, Lam, tol=1e-3)
    assert norm.value == pytest.approx(maximum, rel=1e-3)
    assert norm.value <= maximum * (1 + 1e-12)
    assert maximum <= norm.upper_bound <= maximum * (1 + 1.001e-3)
    again = covered_output_norm(X, 3.7 * Lam, norm.scaled(3.7).cover)
    assert again.upper_bound == pytest.approx(3.7 * norm.upper_bound, rel=2e-9)


def test_one_output_and_equal_outputs_are_the_scalar_norm():
    rng = np.random.default_rng(1)
    X, lam = rng.normal(size=(40, 3)), rng.normal(size=40)
    scalar = dual_norm(X, lam).value
    for Lam, factor in ((lam[:, None], 1.0), (np.outer(lam, [3.0, 4.0]), 5.0)):
        norm = output_norm(X, Lam, tol=1e-6)
        assert norm.value == pytest.approx(factor * scalar, rel=1e-6)
        assert factor * scalar <= norm.upper_bound * (1 + 1e-12) <= factor * scalar * (1 + 2e-6)


def test_bounds_hold_against_many_directions_and_when_cut_off():
    rng = np.random.default_rng(2)
    X, Lam = rng.normal(size=(60, 4)), rng.normal(size=(60, 3))
    U = rng.normal(size=(20_000, 4))
    U /= np.linalg.norm(U, axis=1)[:, None]
    dense = np.linalg.norm(np.maximum(U @ X.T, 0) @ Lam, axis=1).max()
    for options in ({"tol": 0.05}, {"tol": 0.01, "max_nodes": 5}, {"search": False}):
        norm = output_norm(X, Lam, **options)
        assert dense <= norm.upper_bound
        assert norm.value <= norm.upper_bound
        attained = np.linalg.norm(Lam.T @ np.maximum(X @ norm.direction, 0))
        assert attained == pytest.approx(norm.value)
    assert not norm.exact


def test_nothing_correlates_with_nothing_and_bad_arguments_are_refused():
    assert output_norm(np.eye(2), np.zeros((2, 3))).upper_bound == 0
    with pytest.raises(InvalidInputError, match="rows"):
        output_norm(np.eye(2), np.ones((3, 2)))
    with pytest.raises(InvalidInputError, match="must prove"):
        covered_output_norm(np.eye(2), np.eye(2), Cover(level=0.9, nodes=3))


def test_a_poor_start_is_mended_by_the_search(monkeypatch):
    """Local maxima only spare time: from a direction of no value the same norm is found, and bounded."""
    rng = np.random.default_rng(4)
    X, Lam = rng.normal(size=(15, 2)), rng.normal(size=(15, 2))
    known = output_norm(X, Lam, tol=1e-3)
    u = np.array([1.0, 0.0])
    value = float(np.linalg.norm(Lam.T @ np.maximum(X @ u, 0)))
    monkeypatch.setattr("convexrelu.oracle.outputs._local", lambda *_: (0.5 * value, u))
    for options in ({"tol": 1e-3}, {"tol": 1e-3, "max_nodes": 1}):
        found = output_norm(X, Lam, **options)
        assert found.value <= known.upper_bound
        assert found.upper_bound >= known.value
        attained = np.linalg.norm(Lam.T @ np.maximum(X @ found.direction, 0))
        assert found.value <= attained * (1 + 1e-12)
    assert output_norm(X, Lam, tol=1e-3).value == pytest.approx(known.value, rel=1e-3)


def test_scalar_searches_have_the_seconds_that_are_left(monkeypatch):
    """One alone may take minutes: 80 rows in six dimensions to 2e-7."""
    given = []

    def searched(*arguments, **options):
        given.append(options.get("time_limit"))
        return dual_norm(*arguments, **options)

    monkeypatch.setattr(outputs, "dual_norm", searched)
    rng = np.random.default_rng(3)
    X, Lam = rng.normal(size=(9, 2)), rng.normal(size=(9, 2))
    output_norm(X, Lam, time_limit=100.0)
    limits = [seconds for seconds in given if seconds is not None]  # the crude bounds search for nothing
    assert len(limits) >= 2
    assert limits == sorted(limits, reverse=True)
    assert 0 < limits[-1] <= limits[0] <= 100
    given.clear()
    output_norm(X, Lam)
    assert len(given) >= 2
    assert not any(given)


@pytest.mark.parametrize("seed", [2, 4])
def test_kinks_over_the_outputs_are_no_obstacle(seed):
    # where the strongest neuron changes, the slope through a cone of any size may be longer than any value
    rng = np.random.default_rng(seed)
    X, Lam = rng.normal(size=(8, 3)), rng.normal(size=(8, 3))
    norm = output_norm(X, Lam, tol=1e-6, max_nodes=300)
    assert norm.upper_bound <= (1 + 1e-6) * norm.value
    angles = rng.normal(size=(2000, 3))
    angles /= np.linalg.norm(angles, axis=1, keepdims=True)
    assert np.linalg.norm(np.maximum(X @ angles.T, 0.0).T @ Lam, axis=1).max() <= norm.upper_bound
