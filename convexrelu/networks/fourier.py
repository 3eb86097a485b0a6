"""Waves in a network that adds modulo p: Fourier transforms of its neurons' weights (NP Figure 9)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from convexrelu.errors import InvalidInputError
from convexrelu.networks.feed_forward import FeedForward

__all__ = ["FourierSpectra", "fourier_spectra"]


@dataclass(frozen=True, kw_only=True, eq=False)
class FourierSpectra:
    """Absolute values of the discrete Fourier transform of each neuron's weights, a row a neuron.

    Attributes
    ----------
    on_a, on_b : (m, f) float arrays
        Of the weights on the two numbers, frequencies 0 to ``f - 1 = p // 2``.
    to_classes : (m, f) float array
        Of the weights to the classes.
    """

    on_a: Float[np.ndarray, "m f"]
    on_b: Float[np.ndarray, "m f"]
    to_classes: Float[np.ndarray, "m f"]

    @property
    def shares(self) -> Float[np.ndarray, "m 3"]:
        """The share of the strongest frequency in the power on a, on b and to the classes.

        The constant part is left out; 0 where weights are constant. A sinusoid has share 1; weights without
        structure have about ``2/p`` times the logarithm of p.
        """
        return np.column_stack([_strongest(part) for part in (self.on_a, self.on_b, self.to_classes)])


def fourier_spectra(network: FeedForward, p: int) -> FourierSpectra:
    """Return the Fourier transforms of the weights of a network for addition modulo p.

    Parameters
    ----------
    network : FeedForward
        Two layers on the inputs of :func:`convexrelu.datasets.modular_addition`.
    p : int
        The modulus, at least 3.

    Returns
    -------
    FourierSpectra
        Of ``W1[:, :p]``, ``W1[:, p:2p]`` and ``W2.T``.

    Raises
    ------
    InvalidInputError
        If the network's shape is not that of modular addition.

    Examples
    --------
    >>> wave = np.cos(2 * np.pi * np.arange(7) / 7)
    >>> network = FeedForward([np.concatenate([wave, wave, [1.0]])[None], wave[:, None]])
    >>> fourier_spectra(network, 7).shares.round(6)
    array([[1., 1., 1.]])
    """
    if p < 3 or network.depth != 2 or network.widths[0] != 2 * p + 1 or network.widths[-1] != p:
        raise InvalidInputError(
            f"two layers of 2p + 1 inputs and p outputs are needed, p at least 3, got p = {p} and {network!r}"
        )
    W1, W2 = network.weights
    on_a, on_b, to_classes = (np.abs(np.fft.rfft(W, axis=1)) for W in (W1[:, :p], W1[:, p : 2 * p], W2.T))
    return FourierSpectra(on_a=on_a, on_b=on_b, to_classes=to_classes)


def _strongest(spectrum: Float[np.ndarray, "m f"]) -> Float[np.ndarray, " m"]:
    """The strongest frequency's share of the power beyond the constant part; 0 where that is rounding."""
    power = spectrum[:, 1:] ** 2
    total = power.sum(axis=1)
    # weights that vary by less than this share of their sum are constant but for rounding
    varies = total > (1e-12 * spectrum[:, 0]) ** 2
    return np.where(varies, power.max(axis=1), 0.0) / np.where(varies, total, 1.0)
