"""The command line: ``convexrelu`` or ``python -m convexrelu``; the only place that prints."""

from convexrelu.cli.app import app, main

__all__ = ["app", "main"]
