"""While loops are compiled or loaded, clocks stand still, and whoever waits at a terminal is told so."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from convexrelu._clock import STANDSTILL

__all__ = ["keep", "watch_compiling"]

_NOTICE = "convexrelu: compiling loops for this machine, which is done once; the next run starts at once"


@cache
def watch_compiling() -> None:
    """Stop the clocks whenever numba compiles, and say so, the first time, if the error stream is a terminal.

    What is found in the cache is not compiled, and nothing is said; :func:`keep` stops the clocks meanwhile.
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


def keep(loop: Any, function: Callable[..., object]) -> None:
    """Cache a loop on disk; loading it, once a process, is not counted by clocks either.

    Raises RuntimeError where no folder for the cache can be written to.
    """
    from numba.core.caching import FunctionCache

    class Kept(FunctionCache):  # type: ignore[misc]
        """A cache that stops the clocks while it loads."""

        def load_overload(self, sig: object, target_context: object) -> object:
            STANDSTILL.begin()
            try:
                return super().load_overload(sig, target_context)
            finally:
                STANDSTILL.end()

    loop._cache = Kept(function)  # what numba's enable_caching does


def _tell() -> None:
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal:
        console.print(_NOTICE, style="dim")
