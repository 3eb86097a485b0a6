"""Data from CSV, NPZ and Parquet files, with errors that name the file and the place."""

from __future__ import annotations

import csv
import math
import os
import re
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from convexrelu.datasets.dataset import Dataset
from convexrelu.datasets.named import load, names
from convexrelu.datasets.tasks import Task
from convexrelu.errors import InvalidInputError

__all__ = ["from_file", "resolve", "task_from_file"]

_PANDAS_INDEX = re.compile(r"__index_level_\d+__")  # what pandas calls an index that it writes to Parquet

_MOST_INFLATED = 1100  # deflate packs no more than 1032 bytes into one


class _Table(NamedTuple):
    """A file's columns, and the line of the file (or the row) where each entry stands."""

    columns: dict[str, Any]
    places: list[str]


def from_file(path: str | os.PathLike[str], *, label: str | None = None) -> Dataset:
    """Return the data of a CSV, NPZ or Parquet file.

    CSV: commas, UTF-8, a header line with a name for each column; quotes as usual. Parquet: needs pyarrow
    (``pip install 'convexrelu[parquet]'``); an index that pandas stored is left out. In both, one column
    holds the labels (numbers or strings) and the others, in their order, are the features. NPZ: the matrix
    ``X`` and the vector of labels ``y``.

    Nothing is standardized and no bias column is added.

    Parameters
    ----------
    path : str or path
        The file; its ending tells the format.
    label : str or None
        The label column (in an NPZ file, the array). If None: the column ``label`` if there is one, else the
        last one (in an NPZ file ``y``, else ``label``).

    Returns
    -------
    Dataset
        Named after the file. Two labels become +1 (the larger one; strings by alphabet) and -1, more become
        0..K-1.

    Raises
    ------
    InvalidInputError
        If the file is missing, empty or misshapen, an entry is not a finite number, or there is no such
        column. The message names the file.
    """
    source = Path(path)
    X, y, chosen = _read(source, label)
    try:
        return Dataset(X, y, source.name, f"file {source}, labels from {chosen!r}")
    except InvalidInputError as error:
        raise InvalidInputError(f"{source}: {error}") from error


def task_from_file(path: str | os.PathLike[str], *, target: str) -> Task:
    """Return the data of a file with real targets; for the formats see :func:`from_file`.

    Parameters
    ----------
    path : str or path
        The file; its ending tells the format.
    target : str
        The column of the targets (in an NPZ file, the array, which may have several columns).

    Returns
    -------
    Task
        Named after the file.

    Raises
    ------
    InvalidInputError
        If the file is missing, empty or misshapen, an entry is not a finite number, or there is no such
        column. The message names the file.
    """
    source = Path(path)
    X, y, chosen = _read(source, target)
    try:
        return Task(X, y, source.name, f"file {source}, targets from {chosen!r}")
    except InvalidInputError as error:
        raise InvalidInputError(f"{source}: {error}") from error


def resolve(source: str | os.PathLike[str], *, label: str | None = None) -> Dataset:
    """Return the data set of this name, or else the data of this file.

    Parameters
    ----------
    source : str or path
        One of :func:`names`, or a file that :func:`from_file` reads. A name wins.
    label : str or None
        The label column, for files only.

    Returns
    -------
    Dataset
        The data; a named data set with its default preprocessing.

    Raises
    ------
    InvalidInputError
        If it is neither a name nor a file, a label column is given for a named data set, or the file is bad.

    Examples
    --------
    >>> resolve("wang-pilanci-f2")
    Dataset('wang-pilanci-f2', n=2, d=2, n_classes=1)
    """
    if isinstance(source, str) and source in names():
        if label is not None:
            raise InvalidInputError(
                f"a label column is for files; {source} is a data set's name, got {label!r}"
            )
        return load(source)
    if not Path(source).exists():
        raise InvalidInputError(
            f"{source}: there is no such file, and no data set of this name ({', '.join(names())})"
        )
    return from_file(source, label=label)


def _read(source: Path, label: str | None) -> tuple[np.ndarray, np.ndarray, str]:
    """Return a file's features, its labels or targets, and their column's name."""
    if not source.is_file():
        raise InvalidInputError(f"{source}: there is no such file")
    suffix = source.suffix.lower()
    if suffix == ".npz":
        return _read_npz(source, label)
    if suffix not in (".csv", ".parquet"):
        got = suffix or "no ending"
        raise InvalidInputError(f"{source}: the name must end in .csv, .npz or .parquet, got {got}")
    return _split(source, _read_csv(source) if suffix == ".csv" else _read_parquet(source), label)


def _read_csv(source: Path) -> _Table:
    try:
        with source.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidInputError(f"{source}: not a readable CSV file: {error}") from error
    lines = [(line, row) for line, row in lines if row and row != [""]]
    if not lines:
        raise InvalidInputError(f"{source}: the file is empty; it needs a header line and samples")
    header = lines[0][1]
    header[0] = header[0].removeprefix("# ")  # numpy.savetxt marks its header so
    if all(_is_number(name) for name in header):
        raise InvalidInputError(
            f"{source}: the first line must name the columns, got numbers: {', '.join(header)[:80]}"
        )
    _check_names(source, header)
    for line, row in lines[1:]:
        if len(row) != len(header):
            raise InvalidInputError(f"{source}: line {line} must have {len(header)} entries, got {len(row)}")
    columns = zip(*(row for _, row in lines[1:]), strict=True) if len(lines) > 1 else [()] * len(header)
    return _Table(
        {name: np.array(column, dtype=str) for name, column in zip(header, columns, strict=True)},
        [f"line {line}" for line, _ in lines[1:]],
    )


def _read_parquet(source: Path) -> _Table:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise InvalidInputError(
            f"{source}: reading Parquet needs pyarrow, which is missing: pip install 'convexrelu[parquet]'"
        ) from error
    try:
        table = parquet.ParquetFile(source).read()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InvalidInputError(f"{source}: not a readable Parquet file: {error}") from error
    keep = [name for name in table.column_names if not _PANDAS_INDEX.fullmatch(name)]
    if not keep:
        raise InvalidInputError(f"{source}: the file is empty; it needs columns and samples")
    _check_names(source, keep)
    columns = {}
    for name in keep:
        column = table.column(name)
        kind = column.type
        plain = (pa.types.is_integer(kind) or pa.types.is_floating(kind)) and not column.null_count
        entries = column.to_numpy() if plain else np.fromiter(column.to_pylist(), dtype=object)
        columns[name] = entries
    return _Table(columns, [f"row {i + 1}" for i in range(table.num_rows)])


def _check_names(source: Path, header: list[str]) -> None:
    repeated = [repr(name) for name, count in Counter(header).items() if count > 1 and name]
    if repeated:
        raise InvalidInputError(
            f"{source}: each column must have its own name, got {', '.join(repeated)} repeatedly"
        )
    if "" in header:
        raise InvalidInputError(
            f"{source}: each column must have a name, column {header.index('') + 1} has none"
        )


def _split(source: Path, table: _Table, label: str | None) -> tuple[np.ndarray, np.ndarray, str]:
    """Return the features, the labels, and the label column's name."""
    header = list(table.columns)
    chosen = label if label is not None else "label" if "label" in header else header[-1]
    if chosen not in header:
        raise InvalidInputError(
            f"{source}: there is no column {chosen!r}; the columns are {', '.join(header)}"
        )
    if not table.places:
        raise InvalidInputError(f"{source}: the file holds no samples, only the header {', '.join(header)}")
    features = [name for name in header if name != chosen]
    if not features:
        raise InvalidInputError(
            f"{source}: there must be a feature next to the label column {chosen!r}, got none"
        )
    X = np.column_stack([_numbers(source, name, table.columns[name], table.places) for name in features])
    return X, _labels(source, chosen, table.columns[chosen], table.places), chosen


def _numbers(source: Path, name: str, column: np.ndarray, places: list[str]) -> np.ndarray:
    """Return the column as finite numbers, or raise an error that names the first entry that is none."""
    try:
        values = np.asarray(column, dtype=np.float64)
        bad = ~np.isfinite(values)
    except (TypeError, ValueError, OverflowError):
        bad = np.array([not _is_number(entry) for entry in column])
        values = np.array([0.0 if b else float(entry) for b, entry in zip(bad, column, strict=True)])
    if bad.any():
        i = int(np.argmax(bad))
        raise InvalidInputError(
            f"{source}: column {name!r} must hold finite numbers, got {_shown(column[i])} at {places[i]}"
        )
    return values


def _labels(source: Path, name: str, column: np.ndarray, places: list[str]) -> np.ndarray:
    """Return the labels as numbers if all of them are, else as strings."""
    empty = [column.dtype.kind in "OU" and (entry is None or entry == "") for entry in column]
    if any(empty):
        raise InvalidInputError(
            f"{source}: column {name!r} must hold labels, got none at {places[empty.index(True)]}"
        )
    try:
        return np.asarray(column, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return np.array([str(entry) for entry in column])


def _read_npz(source: Path, label: str | None) -> tuple[np.ndarray, np.ndarray, str]:
    try:
        with zipfile.ZipFile(source) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            wanted = [name for name in ("X", "y", "label", label) if name is not None and name in members]
            arrays = {name: _array(archive, members[name]) for name in wanted}
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise InvalidInputError(f"{source}: not a readable NPZ file: {reason}") from error
    chosen = label if label is not None else "label" if "label" in arrays and "y" not in arrays else "y"
    if "X" not in arrays or chosen not in arrays:
        raise InvalidInputError(
            f"{source}: the arrays 'X' and {chosen!r} are needed, got {', '.join(members) or 'none'}"
        )
    return arrays["X"], arrays[chosen], chosen


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


def _is_number(entry: object) -> bool:
    try:
        return math.isfinite(float(entry))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False


def _shown(entry: object) -> str:
    return "an empty entry" if entry is None or str(entry) == "" else repr(str(entry))[:60]
