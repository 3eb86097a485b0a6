"""Networks in JSON files, to the last bit of their weights."""

from __future__ import annotations

import json
import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from convexrelu._json_files import read_json, write_json
from convexrelu.errors import InvalidInputError

__all__ = ["Stored", "kind_of"]

_VERSION = 1

_Network = TypeVar("_Network", bound="Stored")


class Stored(ABC):
    """What all networks share: a file for each."""

    _kind: ClassVar[str]
    """The field ``format`` of the files."""

    _fields: ClassVar[tuple[str, ...]]
    """The other fields."""

    @abstractmethod
    def _document(self) -> dict[str, Any]:
        """Return the fields as plain JSON values."""

    @classmethod
    @abstractmethod
    def _of(cls: type[_Network], document: dict[str, Any]) -> _Network:
        """Return the network of a document that has all fields, not yet checked; else InvalidInputError."""

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network to a JSON file from which :meth:`load` reads the same floats.

        Parameters
        ----------
        path : str or path
            The file; an older one is replaced in one step.

        Raises
        ------
        InvalidInputError
            If its folder does not exist, or the activation is not homogeneous.
        """
        write_json(path, {"format": self._kind, "version": _VERSION, **self._document()})

    @classmethod
    def load(cls: type[_Network], path: str | os.PathLike[str]) -> _Network:
        """Return the network that :meth:`save` wrote to the file.

        Parameters
        ----------
        path : str or path
            The file.

        Returns
        -------
        TwoLayerReLU or FeedForward
            The same weights to the last bit.

        Raises
        ------
        InvalidInputError
            If the file is missing, not such a file, or misshapen; the message names it.
        """
        document = read_json(path, kind=cls._kind, version=_VERSION)
        missing = [field for field in cls._fields if field not in document]
        if missing:
            needed, lacking = ", ".join(cls._fields), ", ".join(missing)
            raise InvalidInputError(f"{path} must hold {needed}, it lacks {lacking}")
        try:
            return cls._of(document)
        except InvalidInputError as error:
            raise InvalidInputError(f"{path} does not hold a network: {error}") from error


def kind_of(path: str | os.PathLike[str]) -> str:
    """Return the field ``format`` of a JSON file; "" if there is none, and whoever loads it says why."""
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return ""
    found = document.get("format") if isinstance(document, dict) else None
    return found if isinstance(found, str) else ""
