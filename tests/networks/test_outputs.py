from __future__ import annotations

import numpy as np
import pytest

from convexrelu import GatedReLU, ReLUNetwork
from convexrelu.errors import InvalidInputError

rng = np.random.default_rng(0)
W1, X = rng.normal(size=(4, 3)), rng.normal(size=(7, 3))
ONE = ReLUNetwork(W1, rng.normal(size=4), output_bias=0.7, skip=rng.normal(size=3))
THREE = ReLUNetwork(W1, rng.normal(size=(2, 4)), output_bias=[0.7, -1.0], skip=rng.normal(size=(2, 3)))
GATED = GatedReLU(W1, rng.normal(size=(4, 3)), output_bias=0.3, skip=rng.normal(size=3))


def test_values_are_the_formula():
    hidden = np.maximum(X @ W1.T, 0)
    np.testing.assert_allclose(ONE(X), hidden @ ONE.w2 + 0.7 + X @ ONE.skip)
    np.testing.assert_allclose(THREE(X), hidden @ THREE.W2.T + [0.7, -1.0] + X @ THREE.skip.T)
    expected = sum((X @ g > 0) * (X @ u) for g, u in zip(GATED.gates, GATED.U, strict=True))
    np.testing.assert_allclose(GATED(X), expected + 0.3 + X @ GATED.skip)


@pytest.mark.parametrize("network", [ONE, THREE], ids=["one", "two"])
def test_scaled_neurons_are_balanced_and_keep_the_affine_part(network):
    affine = network.scaled_neurons(0.0)(X)
    scaled = network.scaled_neurons(2.5)
    np.testing.assert_allclose(scaled(X) - affine, 2.5 * (network(X) - affine))
    assert scaled.objective() == pytest.approx(scaled.group_norm())
    assert scaled.group_norm() == pytest.approx(2.5 * network.group_norm())


@pytest.mark.parametrize(
    "network", [ONE, THREE, GATED, THREE.scaled_neurons(0.0), ReLUNetwork(W1[:0], [])], ids=repr
)
def test_a_network_survives_its_file(network, tmp_path):
    network.save(tmp_path / "network.json")
    again = type(network).load(tmp_path / "network.json")
    assert np.array_equal(again(X), network(X))
    assert again.n_features == 3


def test_bad_shapes_are_refused():
    for build, message in (
        (lambda: ReLUNetwork(W1, np.ones((2, 3))), "W2"),
        (lambda: ReLUNetwork(W1, np.ones(4), skip=np.ones(2)), "skip"),
        (lambda: GatedReLU(W1, np.ones((3, 3))), "rows"),
        (lambda: ONE(np.ones((2, 2))), "columns"),
        (lambda: THREE.w2, "2 outputs"),
    ):
        with pytest.raises(InvalidInputError, match=message):
            build()
