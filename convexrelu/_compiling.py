"""While loops are compiled, clocks stand still, and whoever waits at a terminal is told so."""

from __future__ import annotations

from functools import cache

from convexrelu._clock import STANDSTILL

__all__ = ["watch_compiling"]

_NOTICE = "convexrelu: compiling loops for this machine, which is done once; the next run starts at once"


@cache
def watch_compiling() -> None:
    """Stop the clocks whenever numba compiles, and say so, the first time, if the error stream is a terminal.

    What is found in the cache is not compiled: the clocks go on, and nothing is said.
    """
    from numba.core import event

    class Listener(event.Listener):  # type: ignore[misc]
        """Hears when a loop is compiled and when that is done."""

        told = False

        def on_start(self, event: object) -> None:  # noqa: ARG002
            """Stop the clocks; give notice, the first time."""
            STANDSTILL.begin()
            if not self.told:
                self.told = True
                _tell()

        def on_end(self, event: object) -> None:  # noqa: ARG002
            """Let the clocks go on."""
            STANDSTILL.end()

    event.register("numba:compile", Listener())


def _tell() -> None:
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal:
        console.print(_NOTICE, style="dim")
