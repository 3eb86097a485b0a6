"""Arrays of an NPZ file: nothing in it is run, and no more memory is taken than it fills."""

from __future__ import annotations

import math
import os
import zipfile
from pathlib import Path

import numpy as np

from convexrelu.errors import InvalidInputError

__all__ = ["read_archive"]

_MOST_INFLATED = 1100  # deflate packs no more than 1032 bytes into one


def read_archive(source: Path, wanted: tuple[str, ...]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Return those of the wanted arrays that the file has, and the names of all that it has."""
    try:
        with zipfile.ZipFile(source) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            arrays = {name: _array(archive, members[name]) for name in wanted if name in members}
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise InvalidInputError(f"{source}: not a readable NPZ file: {reason}") from error
    return arrays, list(members)


def _array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    """Return an array of an NPZ file whose header, length and checksum agree, or ValueError.

    Memory is asked for once it is known that the file claims to fill it, and that there is so much.
    """
    with archive.open(info) as stream:
        version = np.lib.format.read_magic(stream)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        if version not in read:
            raise ValueError(f"version {version} of the NPY format is not known")
        shape, fortran, dtype = read[version](stream)
        if dtype.hasobject:
            raise ValueError("it holds pickled objects, which are not loaded: they can run any code")
        size = dtype.itemsize * math.prod(shape)
        if info.file_size != stream.tell() + size:
            raise ValueError(
                f"an array of shape {shape} and type {dtype} takes {size} bytes, "
                f"got {info.file_size - stream.tell()}"
            )
        if size > _MOST_INFLATED * max(info.compress_size, 1) or size > _memory():
            raise ValueError(
                f"{info.compress_size} bytes claim to hold {size}, more than they can or memory has room for"
            )
        content = bytearray(size)
        view, filled = memoryview(content), 0
        while filled < size:
            count = stream.readinto(view[filled:])  # type: ignore[attr-defined]
            if not count:
                raise ValueError(f"the array ends after {filled} bytes of {size}")
            filled += count
        if stream.read(1):
            raise ValueError(f"the array goes on after {size} bytes")
    return np.ndarray(shape, dtype, content, order="F" if fortran else "C")


def _memory() -> float:
    """Return the bytes of this machine's memory; inf where the system does not tell."""
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):  # not a POSIX system
        return math.inf
