"""The one clock: seconds allowed, seconds left, and whether Ctrl-C was pressed."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any, TypeVar
from weakref import WeakSet

__all__ = ["STANDSTILL", "Clock", "Interruption", "Standstill"]

C = TypeVar("C", bound="Clock")  # typing.Self is refused by the checks of shapes that run under the tests


@dataclass(kw_only=True, eq=False)
class Interruption:
    """Whether Ctrl-C was pressed; shared by the clocks of all parts of a run.

    Attributes
    ----------
    pressed : bool
        Set by the first Ctrl-C while :meth:`listening`.
    """

    pressed: bool = False

    def __post_init__(self) -> None:
        _LIVING.add(self)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Turn the first Ctrl-C into an early end with what there is so far.

        Signals reach the main thread only: whoever listens there tells all clocks there are, so that a search
        that somebody waits for ends, too. Clocks that are made later, for what is to be done with the answer,
        have not heard it. A second Ctrl-C raises KeyboardInterrupt as usual.
        """
        with _handling(self._note):
            yield

    def _note(self, number: int, frame: FrameType | None, before: Any) -> None:
        if self.pressed and callable(before):
            before(number, frame)
        for living in list(_LIVING):
            living.pressed = True

    @contextmanager
    def ending(self) -> Iterator[None]:
        """Let the first Ctrl-C end the block on the spot: for work of one piece, of which nothing is kept."""
        heard: list[int] = []

        def end(number: int, frame: FrameType | None, _before: Any) -> None:
            heard.append(number)
            signal.default_int_handler(number, frame)

        try:
            with _handling(end):
                yield
        except (KeyboardInterrupt, SystemError) as error:
            # what comes while a compiled loop is being loaded, the interpreter reports as a fault of its own
            if isinstance(error, SystemError) and not heard:
                raise
            for living in list(_LIVING):
                living.pressed = True


_LIVING: WeakSet[Interruption] = WeakSet()
"""Those of all clocks, in all threads."""


@contextmanager
def _handling(handle: Callable[[int, FrameType | None, Any], None]) -> Iterator[None]:
    """In the main thread, let a function handle Ctrl-C meanwhile; it is also given the handler before it."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is None:
        yield  # None: the program around Python handles it, and could not be given back
        return
    signal.signal(signal.SIGINT, lambda number, frame: handle(number, frame, before))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class Standstill:
    """The seconds for which the clocks of this process stood still: while loops were compiled.

    A machine compiles once; a limit is meant for the work that is done each time. Otherwise the first answer
    on a machine would be worse than all later ones.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._depth = 0  # compiling one loop compiles those that it calls, and threads may compile at once
        self._since = 0.0
        self._past = 0.0

    def begin(self) -> None:
        """Stop the clocks, until as many calls of :meth:`end`."""
        with self._lock:
            if self._depth == 0:
                self._since = time.monotonic()
            self._depth += 1

    def end(self) -> None:
        """Let them go on."""
        with self._lock:
            self._depth -= 1
            if self._depth == 0:
                self._past += time.monotonic() - self._since

    @property
    def seconds(self) -> float:
        """How long they have stood still since the process began."""
        with self._lock:
            return self._past + (time.monotonic() - self._since if self._depth else 0.0)


STANDSTILL = Standstill()


@dataclass(kw_only=True, eq=False)
class Clock:
    """Seconds allowed and seconds left, those not counted in which loops were compiled.

    A clock that is pickled, on its way to another process or host, takes along the seconds that are left and
    not when it was started: no two hosts agree on what the time is. The way there is not counted.

    Attributes
    ----------
    limit : float
        Seconds allowed, inf for no limit.
    started : float
        Start of the run on the monotonic clock of this process.
    stood : float
        How long the clocks of this process had stood still by then.
    interruption : Interruption
        Whether Ctrl-C was pressed.
    """

    limit: float = math.inf
    started: float = field(default_factory=time.monotonic)
    stood: float = field(default_factory=lambda: STANDSTILL.seconds)
    interruption: Interruption = field(default_factory=Interruption)

    def until(self: C, elapsed: float) -> C:
        """The same clock with another limit."""
        return replace(self, limit=elapsed)

    def within(self: C, seconds: float) -> C:
        """The same clock, that also ends after so many seconds from now."""
        return self.until(min(self.limit, self.elapsed + seconds))

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self.interruption.pressed

    @property
    def elapsed(self) -> float:
        """Seconds since the start, without those of compiling."""
        return time.monotonic() - self.started - (STANDSTILL.seconds - self.stood)

    @property
    def left(self) -> float:
        """Seconds left (inf without a limit, at least 0)."""
        return max(self.limit - self.elapsed, 0.0)

    def expired(self) -> bool:
        """Whether the limit has passed, or the run was interrupted."""
        return self.interrupted or self.elapsed >= self.limit

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "limit": self.left, "started": None, "stood": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, started=time.monotonic(), stood=STANDSTILL.seconds)
