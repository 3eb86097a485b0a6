"""Gradient flow of a ReLU network, from one change of activation pattern to the next."""
