"""Results of finished runs in a JSON file, so that a rerun goes on where an earlier one stopped."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from convexrelu._json_files import read_json, write_json
from convexrelu.errors import InvalidInputError

__all__ = ["FinishedRuns", "digest"]

_VERSION = 1


def digest(*arrays: np.ndarray) -> str:
    """Return the SHA-256 of arrays, their shapes and kinds included."""
    total = hashlib.sha256()
    for array in arrays:
        plain = np.ascontiguousarray(array)
        total.update(f"{plain.dtype.str}{plain.shape}".encode())
        total.update(plain.tobytes())
    return total.hexdigest()


class FinishedRuns:
    """What is kept of the finished runs of one set of settings, as JSON values by the run's number.

    Parameters
    ----------
    path : path or None
        The file; without one nothing outlives the process. One that exists is read.
    kind : str
        What the file is, for its field ``format``.
    settings : dict
        What the runs depend on, as JSON values: a file of other settings is refused.
    n_runs : int
        How many runs there are to be.

    Attributes
    ----------
    values : dict
        What was kept of each run.

    Raises
    ------
    InvalidInputError
        If the file cannot be read or written, or is that of other runs.
    """

    def __init__(
        self, path: str | os.PathLike[str] | None, *, kind: str, settings: dict[str, Any], n_runs: int
    ) -> None:
        self._path, self._kind, self._settings, self._n_runs = _as_path(path), kind, settings, n_runs
        self.values: dict[int, Any] = {}
        if self._path is not None and self._path.exists():
            self.values = self._read(self._path, n_runs)
        if len(self.values) < n_runs:
            self._write()  # what cannot be written is said before the first run

    def add(self, number: int, value: Any) -> None:
        """Keep what one finished run left; the file is replaced in one step.

        What another process has put there meanwhile, for the same settings, stays.
        """
        self.values[number] = value
        self._write()

    def damaged(self, error: Exception) -> InvalidInputError:
        """Return the error to raise where a kept value is not what it must be."""
        return InvalidInputError(f"{self._path} is damaged: {type(error).__name__}: {error}")

    def _write(self) -> None:
        """Write what there is, or raise InvalidInputError."""
        if self._path is None:
            return
        with _alone_in(self._path.parent):
            if self._path.exists():
                self.values = {**self._read(self._path, self._n_runs), **self.values}
            runs = {str(number): value for number, value in sorted(self.values.items())}
            document = {"format": self._kind, "version": _VERSION, "settings": self._settings, "runs": runs}
            write_json(self._path, document)

    def _read(self, path: Path, n_runs: int) -> dict[int, Any]:
        document = read_json(path, kind=self._kind, version=_VERSION)
        settings = document.get("settings")
        if settings != self._settings and document.get("runs") == {}:
            return {}  # of other runs, none of which finished: nothing is lost by taking its place
        if settings != self._settings:
            theirs = settings if isinstance(settings, dict) else {}
            differ = [name for name, value in self._settings.items() if theirs.get(name) != value]
            raise InvalidInputError(
                f"{path} is the checkpoint of other runs ({', '.join(differ) or 'settings'} differ): give "
                "the data and settings it was started with, or another file"
            )
        try:
            values = {int(number): value for number, value in dict(document["runs"]).items()}
        except (KeyError, TypeError, ValueError) as error:
            raise self.damaged(error) from error
        if beyond := [number for number in values if not 0 <= number < n_runs]:
            raise InvalidInputError(
                f"{path} is damaged: it holds run {beyond[0]}, but there are only runs 0 to {n_runs - 1}"
            )
        return values


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes that ask for it out of a folder; where the system has no such lock, nobody."""
    with ExitStack() as stack:
        with suppress(ImportError, OSError):
            import fcntl

            handle = os.open(folder, os.O_RDONLY)
            stack.callback(os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_EX)  # ends with the handle, or with the process
        yield


def _as_path(path: str | os.PathLike[str] | None) -> Path | None:
    try:
        return None if path is None else Path(path)
    except TypeError as error:
        raise InvalidInputError(f"checkpoint must be a path, got {path!r}") from error
