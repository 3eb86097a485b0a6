"""Networks: two-layer ReLU, what the convex programs are about."""

from convexrelu.networks.two_layer import TwoLayerReLU

__all__ = ["TwoLayerReLU"]
