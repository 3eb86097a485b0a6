"""JSON files that are written whole or not at all, and read with errors that name the file."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Any

from convexrelu.errors import InvalidInputError

__all__ = ["read_json", "write_json"]


def write_json(path: str | os.PathLike[str], document: dict[str, Any]) -> None:
    """Write the document to the file, floats to their last bit, replacing an older file in one step.

    The text goes to a new file in the same folder that is then renamed: a reader sees the old document or the
    new one, and a crash leaves no half-written file under this name.

    Parameters
    ----------
    path : str or path
        The file; its folder must exist.
    document : dict
        What to write: dicts, lists, strings and finite numbers.

    Raises
    ------
    InvalidInputError
        If the folder does not exist, or the path is a folder.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise InvalidInputError(f"cannot write {target}: there is no folder {target.parent}")
    if target.is_dir():
        raise InvalidInputError(f"cannot write {target}: it is a folder")
    text = json.dumps(document, indent=1, allow_nan=False)
    if target.exists() and not target.is_file():  # a device or a pipe is written to, never replaced
        target.write_text(text + "\n", encoding="utf-8")
        return
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        draft.write_text(text + "\n", encoding="utf-8")
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def read_json(path: str | os.PathLike[str], *, kind: str, version: int) -> dict[str, Any]:
    """Return the document of the file, whose fields `format` and `version` must be these.

    Parameters
    ----------
    path : str or path
        The file.
    kind : str
        What the field ``format`` must hold.
    version : int
        The newest version that can be read.

    Returns
    -------
    dict
        The document.

    Raises
    ------
    InvalidInputError
        If the file is missing, not JSON, of another kind, or of a newer version.
    """
    source = Path(path)
    try:
        document = json.loads(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInputError(f"cannot read {source}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInputError(f"{source} is not a JSON document: {error}") from error
    if not isinstance(document, dict) or document.get("format") != kind:
        got = document.get("format") if isinstance(document, dict) else type(document).__name__
        raise InvalidInputError(f'{source} must be a JSON document with "format": "{kind}", got {got!r}')
    found = document.get("version")
    if isinstance(found, bool) or not isinstance(found, int) or not 1 <= found <= version:
        raise InvalidInputError(f"{source} must be of version 1 to {version}, got version {found!r}")
    return document
