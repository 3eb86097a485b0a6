"""Files that are written whole or not at all, and JSON that is read with errors that name the file."""

from __future__ import annotations

import json
import os
import secrets
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from convexrelu.errors import InvalidInputError

__all__ = ["check_target", "read_json", "write_bytes", "write_json"]


def check_target(path: str | os.PathLike[str]) -> Path:
    """Return the path of a file that can be written, as far as can be told before the work is done.

    Parameters
    ----------
    path : str or path
        The file; its folder must exist.

    Returns
    -------
    Path
        The same.

    Raises
    ------
    InvalidInputError
        If the folder does not exist or is not writable, or the path is a folder or no path.
    """
    try:
        target = Path(path)
        reason = ""
        if not target.parent.is_dir():
            reason = f"there is no folder {target.parent}"
        elif target.is_dir():
            reason = "it is a folder"
        elif not os.access(target.parent, os.W_OK):
            reason = f"the folder {target.parent} is not writable"
        else:
            target.exists()  # refuses names that are too long
    except (OSError, TypeError, ValueError) as error:
        said = getattr(error, "strerror", None) or error
        raise InvalidInputError(f"cannot write {path!r}: {said}") from error
    if reason:
        raise InvalidInputError(f"cannot write {target}: {reason}")
    return target


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write the file, replacing an older one in one step.

    The content goes to a new file in the same folder that is then renamed: a reader sees the old file or the
    new one, and a crash leaves no half-written file under this name.

    Parameters
    ----------
    path : str or path
        The file; its folder must exist.
    content : bytes
        All of it.

    Raises
    ------
    InvalidInputError
        As :func:`check_target`, or if writing fails.
    """
    target = check_target(path)
    draft = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        if target.exists() and not target.is_file():  # a device or a pipe is written to, never replaced
            target.write_bytes(content)
            return
        draft.write_bytes(content)
        draft.replace(target)
    except OSError as error:
        raise InvalidInputError(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def write_json(path: str | os.PathLike[str], document: dict[str, Any]) -> None:
    """Write the document to the file, floats to their last bit, as :func:`write_bytes` does.

    Parameters
    ----------
    path : str or path
        The file; its folder must exist.
    document : dict
        What to write: dicts, lists, strings and finite numbers.

    Raises
    ------
    InvalidInputError
        As :func:`write_bytes`.
    """
    check_target(path)
    text = json.dumps(document, indent=1, allow_nan=False)
    write_bytes(path, (text + "\n").encode())


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
        document = json.loads(source.read_text(encoding="utf-8"), object_pairs_hook=_without_repeats)
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


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object as a dict; a field that stands twice would let a reader see another value."""
    document = dict(pairs)
    if len(document) < len(pairs):
        name = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the field {name!r} stands twice")
    return document
