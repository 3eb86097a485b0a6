import numpy as np
import pytest

from convexrelu._clock import Clock
from convexrelu.errors import InvalidInputError
from convexrelu.training import scaled_start
from convexrelu.training.start import draw_start


@pytest.mark.parametrize("seed", range(5))
def test_scaled_alternating_and_favourable(seed):
    rng = np.random.default_rng(seed)
    X, y = rng.normal(size=(9, 4)), np.where(np.arange(9) % 2, 1.0, -1.0)
    start = scaled_start(X, y, width=6, scale=1e-3, rng=seed)
    W1, w2 = start.network.W1, start.network.w2
    np.testing.assert_allclose(np.linalg.norm(W1, axis=1), 1e-3, rtol=1e-14)
    assert w2.tolist() == [1e-3, -1e-3] * 3
    favourable = np.sign(w2) * (y @ np.maximum(X @ W1.T, 0)) > 0
    assert start.satisfied == (favourable[w2 > 0].any() and favourable[w2 < 0].any())
    assert start.satisfied
    assert np.array_equal(W1, scaled_start(X, y, width=6, scale=1e-3, rng=seed).network.W1)


def test_one_class_needs_one_sign_only():
    assert scaled_start([[1.0, 0.0]], [1], width=1, scale=1.0, rng=0).satisfied


def test_says_so_when_no_start_is_favourable():
    # a single neuron is positive, so the negative class has none
    start = scaled_start([[1.0, 0.0], [0.0, 1.0]], [1, -1], width=1, scale=1.0, rng=0)
    assert not start.satisfied
    assert start.draws == 100
    assert "does not hold" in str(start)


@pytest.mark.parametrize("change", [{"width": 0}, {"scale": -1.0}, {"X": [[np.inf, 1.0]]}])
def test_bad_input(change):
    with pytest.raises(InvalidInputError):
        scaled_start(**({"X": [[1.0, 2.0]], "y": [1], "width": 2, "scale": 1.0} | change))


@pytest.mark.usefixtures("unchecked")
def test_a_source_of_randomness_that_is_none():
    with pytest.raises(InvalidInputError, match="rng"):
        scaled_start([[1.0, 2.0]], [1], width=2, scale=1.0, rng="x")


def test_an_expired_clock_ends_the_draws():
    drawn = draw_start(
        np.eye(2),
        np.array([1.0, -1.0]),
        width=1,
        scale=1.0,
        generator=np.random.default_rng(0),
        clock=Clock(limit=0.0),
    )
    assert not drawn.satisfied
    assert drawn.draws == 1
