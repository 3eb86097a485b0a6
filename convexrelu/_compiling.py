"""A word to whoever waits at a terminal while loops are compiled."""

from __future__ import annotations

from functools import cache

__all__ = ["announce_compiling"]

_NOTICE = "convexrelu: compiling loops for this machine, which is done once; the next run starts at once"


@cache
def announce_compiling() -> None:
    """Say so once, on the error stream and only if that is a terminal, when numba begins to compile.

    What is found in the cache is not compiled, and nothing is said.
    """
    from numba.core import event

    class Listener(event.Listener):  # type: ignore[misc]
        """Waits for the first loop that is compiled."""

        told = False

        def on_start(self, event: object) -> None:  # noqa: ARG002
            """Give notice, the first time."""
            if not self.told:
                self.told = True
                _tell()

        def on_end(self, event: object) -> None:
            """Do nothing when a loop is done."""

    event.register("numba:compile", Listener())


def _tell() -> None:
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal:
        console.print(_NOTICE, style="dim")
