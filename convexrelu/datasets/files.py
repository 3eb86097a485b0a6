"""Data from CSV, TSV, NPZ and Parquet files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from convexrelu.datasets.dataset import Dataset
from convexrelu.datasets.named import load, names
from convexrelu.datasets.tables import read_raw
from convexrelu.datasets.tasks import Task
from convexrelu.errors import InvalidInputError

__all__ = ["from_file", "resolve", "task_from_file"]


def from_file(
    path: str | os.PathLike[str],
    *,
    label: str | None = None,
    drop: str | Sequence[str] = (),
    sep: str | None = None,
    skip_missing: bool = False,
) -> Dataset:
    """Return the data of a CSV, TSV, NPZ or Parquet file.

    CSV and TSV: UTF-8, a header line with a name for each column; quotes as usual; where something else than
    a comma separates the entries, numbers may have decimal commas; a first column without a name, the index
    that pandas writes, is left out. Parquet: needs pyarrow (``pip install 'convexrelu[parquet]'``); an index
    that pandas stored is left out. In all of them, one column holds the labels (numbers or strings) and the
    others, in their order, are the features. NPZ: the matrix ``X``, whose columns are called x1, x2, ..., and
    the vector of labels ``y``.

    Nothing is standardized and no bias column is added.

    Parameters
    ----------
    path : str or path
        The file; its ending tells the format.
    label : str or None
        The label column (in an NPZ file, the array). If None: the column ``label`` if there is one, else the
        last one (in an NPZ file ``y``, else ``label``).
    drop : str or sequence of str
        Columns to leave out.
    sep : str or None
        What separates the entries of a CSV file; by default what its header line shows: a comma, a semicolon,
        a tab or a bar.
    skip_missing : bool, default False
        Leave out rows in which a value is missing, rather than refuse them; the description counts them.

    Returns
    -------
    Dataset
        Named after the file. Two labels become +1 (the larger one; strings by alphabet) and -1, more become
        0..K-1.

    Raises
    ------
    InvalidInputError
        If the file is missing, empty or misshapen, an entry is not a finite number, or there is no such
        column. The message names the file and the place.
    """
    source = Path(path)
    raw = read_raw(source, label, drop=drop, sep=sep, skip_missing=skip_missing)
    try:
        return Dataset(raw.X, raw.labels, source.name, raw.about(source, "labels"))
    except InvalidInputError as error:
        raise InvalidInputError(f"{source}: {error}") from error


def task_from_file(
    path: str | os.PathLike[str],
    *,
    target: str,
    drop: str | Sequence[str] = (),
    sep: str | None = None,
    skip_missing: bool = False,
) -> Task:
    """Return the data of a file with real targets; for the formats see :func:`from_file`.

    Parameters
    ----------
    path : str or path
        The file; its ending tells the format.
    target : str
        The column of the targets (in an NPZ file, the array, which may have several columns).
    drop : str or sequence of str
        Columns to leave out.
    sep : str or None
        As in :func:`from_file`.
    skip_missing : bool, default False
        As in :func:`from_file`.

    Returns
    -------
    Task
        Named after the file.

    Raises
    ------
    InvalidInputError
        If the file is missing, empty or misshapen, an entry is not a finite number, or there is no such
        column. The message names the file and the place.
    """
    source = Path(path)
    raw = read_raw(source, target, drop=drop, sep=sep, skip_missing=skip_missing)
    try:
        return Task(raw.X, raw.labels, source.name, raw.about(source, "targets"))
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
