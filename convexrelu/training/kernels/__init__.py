"""Compiled loops of training."""

RUNNING, CONVERGED, DIVERGED, REACHED = 0, 1, 2, 3
"""How some steps ended: on its way, nothing changed any more, not finite, loss low enough."""
