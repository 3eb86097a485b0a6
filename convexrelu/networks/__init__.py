"""Networks: two-layer ReLU, what the convex programs are about, and feed-forward ones of any depth."""

from convexrelu.networks.activations import (
    GELU,
    RELU,
    Activation,
    PowerLeakyReLU,
    SmoothedLeakyReLU,
    Tanh,
    homogeneous,
)
from convexrelu.networks.feed_forward import FeedForward
from convexrelu.networks.fourier import FourierSpectra, fourier_spectra
from convexrelu.networks.layers import Layers, Pass, evaluate, forward, pack, unpack
from convexrelu.networks.outputs import GatedReLU, ReLUNetwork
from convexrelu.networks.two_layer import TwoLayerReLU

__all__ = [
    "GELU",
    "RELU",
    "Activation",
    "FeedForward",
    "FourierSpectra",
    "GatedReLU",
    "Layers",
    "Pass",
    "PowerLeakyReLU",
    "ReLUNetwork",
    "SmoothedLeakyReLU",
    "Tanh",
    "TwoLayerReLU",
    "evaluate",
    "forward",
    "fourier_spectra",
    "homogeneous",
    "pack",
    "unpack",
]
