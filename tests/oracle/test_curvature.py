"""Chords lowered by half of their errors, and the curvature of the sphere: sound, as strong as promised."""

from itertools import combinations

import numpy as np
import pytest

from convexrelu.oracle.curvature import closes, copositive

ROUNDING = 1e-12


def least_on_simplex(Q):
    """The least value of a^T Q a over the simplex, from the stationary point of every face."""
    least, r = np.inf, len(Q)
    for size in range(1, r + 1):
        for face in map(list, combinations(range(r), size)):
            solution = np.linalg.lstsq(Q[np.ix_(face, face)], np.ones(size), rcond=None)[0]
            total = solution.sum()
            if total and (solution / total >= 0).all():
                point = solution / total
                least = min(least, point @ Q[np.ix_(face, face)] @ point)
    return least


def test_what_is_called_copositive_is():
    rng, shown, missed = np.random.default_rng(0), 0, 0
    for _ in range(3000):
        r = int(rng.integers(1, 7))
        Q = rng.normal(size=(r, r))
        Q = Q + Q.T + rng.uniform(0, 3) * np.eye(r)
        least = least_on_simplex(Q)
        if copositive(Q.copy()):
            shown += 1
            assert least >= -ROUNDING
        elif least > 0:
            missed += 1
    assert shown > 300
    assert missed < 0.2 * shown


@pytest.mark.parametrize(
    ("Q", "answer"),
    [
        ([[1.0]], True),
        ([[-1e-9]], False),
        ([[0.0, 1.0], [1.0, 1.0]], False),  # strictly, so that nothing is divided by zero
        ([[1.0, -1.0], [-1.0, 1.0 + 1e-9]], True),
        ([[1.0, -1.0 - 1e-9], [-1.0, 1.0]], False),
        ([[1.0, 5.0, -0.5], [5.0, 1.0, -0.5], [-0.5, -0.5, 1.0]], True),  # indefinite, copositive
    ],
)
def test_small_forms(Q, answer):
    assert copositive(np.array(Q)) is answer


def narrow_cone(r, width, rng):
    V = np.ones((r, r)) / np.sqrt(r) + width * rng.normal(size=(r, r))
    return V / np.linalg.norm(V, axis=1, keepdims=True)


@pytest.mark.parametrize("width", [0.5, 0.1, 1e-3, 1e-9])
@pytest.mark.parametrize("r", [2, 3, 6])
def test_a_closed_cone_holds_no_larger_correlation(r, width):
    rng, closed = np.random.default_rng(r), 0
    for _ in range(60):
        V, linear = narrow_cone(r, width, rng), rng.normal(size=r)
        P = rng.normal(size=(8, r))
        P -= np.outer(P @ V.mean(axis=0), V.mean(axis=0)) / (V.mean(axis=0) @ V.mean(axis=0))
        weights = np.vstack([rng.dirichlet(np.full(r, 0.5), 2000), np.eye(r)])
        points = weights @ V
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        largest = (points @ linear + np.maximum(points @ P.T, 0).sum(axis=1)).max()
        heights = V @ P.T
        top = V @ linear + np.maximum(heights, 0).sum(axis=1)
        c = points[int(rng.integers(len(points)))]
        for level in largest + np.abs(largest) * np.array([-1e-3, 1e-3, 0.05, 0.5]):
            if level > 0 and closes(top, np.ascontiguousarray(heights.T), len(P), c, V, level):
                closed += 1
                assert largest <= level * (1 + ROUNDING)
    assert closed > 20


@pytest.mark.parametrize("angle", [0.3, 0.05])
def test_half_of_a_chords_error_is_left(angle):
    V = np.array([[np.cos(angle), np.sin(angle)], [np.cos(angle), -np.sin(angle)]])
    residual, east = np.array([[1.0, -1.0]]), np.array([1.0, 0.0])
    high = 2 / (1 - np.cos(angle))  # so large that the sphere's curvature outweighs the kink's at the rays
    top = high * V[:, 0] + np.maximum(residual[0], 0) - 0.5 * residual[0]  # 1/2, and 0 in the middle
    error = 0.5 / np.cos(angle)  # of the chord there, seen from the sphere
    assert closes(top, residual, 1, east, V, high + 0.51 * error)
    assert not closes(top, residual, 1, east, V, high + 0.45 * error)


def test_the_curvature_of_the_sphere_alone_closes_what_no_length_exceeds():
    rng = np.random.default_rng(5)
    for r in (2, 4, 6):
        V, linear = narrow_cone(r, 0.3, rng), np.ones(r)
        length = np.linalg.norm(linear)
        nothing = np.zeros((0, r))
        assert closes(V @ linear, nothing, 0, linear / length, V, length * (1 + 1e-9))
        assert not closes(V @ linear, nothing, 0, linear / length, V, (V @ linear).max() * (1 - 1e-9))
