import numpy as np
import pytest

import convexrelu as cr
from convexrelu.networks import fourier_spectra


def test_a_sinusoid_has_one_frequency_and_a_spike_has_all():
    """The spectrum of a cosine is a single line, that of a unit impulse is flat."""
    p = 11
    wave = np.cos(2 * np.pi * 3 * np.arange(p) / p + 0.4)
    spike = np.eye(p)[2]
    W1 = np.vstack([np.r_[wave, 2 * wave, 1.0], np.r_[spike, np.ones(p), 0.0]])
    network = cr.FeedForward([W1, np.column_stack([wave, spike])], cr.PowerLeakyReLU(1.0, 2))
    shares = fourier_spectra(network, p).shares
    np.testing.assert_allclose(shares[0], 1.0, rtol=1e-12)
    np.testing.assert_allclose(shares[1, [0, 2]], 2 / (p - 1), rtol=1e-12)
    assert shares[1, 1] == 0.0  # constant


def test_networks_of_another_shape_are_refused():
    network = cr.FeedForward([np.ones((2, 11)), np.ones((5, 2))])
    assert fourier_spectra(network, 5).on_a.shape == (2, 3)
    with pytest.raises(cr.InvalidInputError, match="2p \\+ 1 inputs"):
        fourier_spectra(network, 7)
