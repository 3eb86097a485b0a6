import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import convexrelu as cr
from convexrelu.papers.wang_pilanci import star
from convexrelu.planar import hausdorff_segments, zonotope_generators, zonotope_polygon


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 6), integer=st.booleans())
def test_support_function_of_the_polygon_is_the_sum_of_positive_parts(seed, k, integer):
    rng = np.random.default_rng(seed)
    generators = rng.integers(-2, 3, size=(k, 2)).astype(float) if integer else rng.normal(size=(k, 2))
    polygon = zonotope_polygon(generators)
    u = rng.normal(size=(100, 2))
    assert np.allclose((u @ polygon.T).max(axis=1), np.maximum(u @ generators.T, 0).sum(axis=1))


def test_polygon_runs_counter_clockwise_and_is_convex():
    polygon = zonotope_polygon(np.random.default_rng(0).normal(size=(5, 2)))
    steps = np.diff(np.vstack([polygon, polygon[:2]]), axis=0)
    turns = steps[:-1, 0] * steps[1:, 1] - steps[:-1, 1] * steps[1:, 0]
    assert len(polygon) == 10
    assert (turns > 0).all()


def test_no_generators_give_the_origin():
    assert np.array_equal(zonotope_polygon(np.zeros((0, 2))), [[0, 0]])


@pytest.mark.parametrize(
    "data", [cr.datasets.load("wang-pilanci-f1"), star(6, rng=3), star(8, rng=24)], ids=lambda d: d.name
)
def test_neurons_realise_the_hausdorff_distance_one(data):
    """Each neuron is a unit segment from the nearest point of one zonotope to a vertex of the other."""
    solution = cr.solve_max_margin(data.X, data.y)
    segments = hausdorff_segments(data.X, solution.lam, solution.network)
    assert len(segments) == solution.network.n_neurons
    for segment in segments:
        assert segment.length == pytest.approx(1, abs=1e-7)
        assert np.allclose(segment.end - segment.start, segment.neuron, atol=1e-4)
        mine = np.abs(solution.lam)[:, None] * data.X
        vertices = zonotope_polygon(mine[segment.sign * solution.lam > 0])
        assert np.linalg.norm(vertices - segment.end, axis=1).min() < 1e-9


def test_data_out_of_the_plane_is_refused():
    network = cr.TwoLayerReLU(np.ones((1, 3)), np.ones(1))
    with pytest.raises(cr.InvalidInputError, match="2 columns"):
        hausdorff_segments(np.ones((2, 3)), np.ones(2), network)


def test_generators_are_the_weighted_samples_of_one_sign():
    X, lam = np.arange(6.0).reshape(3, 2), np.array([2.0, -1.0, 0.0])
    assert np.array_equal(zonotope_generators(X, lam, 1.0), [[0.0, 2.0]])
    assert np.array_equal(zonotope_generators(X, lam, -1.0), [[2.0, 3.0]])
