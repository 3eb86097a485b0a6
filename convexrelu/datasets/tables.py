"""Tables in CSV, TSV, Parquet and NPZ files, with errors that name the file, the place, and what to do."""

from __future__ import annotations

import csv
import difflib
import math
import re
import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from convexrelu.datasets.archives import read_archive
from convexrelu.errors import InvalidInputError

__all__ = ["RawData", "read_raw"]

_SHOWN = 5  # places of rows in a line
ENDINGS = (".csv", ".tsv", ".npz", ".parquet")
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_PANDAS_INDEX = re.compile(r"__index_level_\d+__")  # what pandas calls an index that it writes to Parquet
_UNNAMED = ("", "Unnamed: 0")  # what programs call an index in the first column of a CSV file
_DECIMAL_COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
_EXCEL = re.compile(r"sep=(.)\s*")  # a first line in which Excel is told the separator
_ADVICE = {
    ".xlsx": ": save it as CSV",
    ".xls": ": save it as CSV",
    ".ods": ": save it as CSV",
    ".txt": ": call it .csv if columns are separated by commas, semicolons, tabs or bars",
    ".gz": ": unpack it first",
    ".zip": ": unpack it first",
}
_MISSING = {"", "na", "nan", "n/a", "#n/a", "null", "none", "nil", "?", "-", "."}


class RawData(NamedTuple):
    """A file's features and labels or targets, as they stand there.

    Attributes
    ----------
    X : (n, d) float array
        The features.
    features : tuple of str
        Their names.
    y : (n,) array or None
        Labels or targets: numbers if all of them are, else strings; None if there are none.
    label : str or None
        Their column.
    places : list of str
        Where each row stands in the file: "line 2".
    skipped : tuple of str
        Where the rows stand that were left out, since a value is missing.
    """

    X: Float[np.ndarray, "n d"]
    features: tuple[str, ...]
    y: np.ndarray | None
    label: str | None
    places: list[str]
    skipped: tuple[str, ...] = ()

    @property
    def labels(self) -> np.ndarray:
        """The labels or targets, of data that was read for them."""
        if self.y is None:
            raise InvalidInputError("there are no labels")
        return self.y

    def about(self, source: Path, kind: str) -> str:
        """Where the data is from, and what of it was left out."""
        text = f"file {source}, {kind} from {self.label!r}"
        if not self.skipped:
            return text
        n, shown = len(self.skipped), ", ".join(self.skipped[:_SHOWN])
        more = ", ..." if n > _SHOWN else ""
        return f"{text}; {n} row{'s' * (n > 1)} with a missing value left out ({shown}{more})"


class _Table(NamedTuple):
    """A file's columns, and the line of the file (or the row) where each entry stands."""

    columns: dict[str, Any]
    places: list[str]
    commas: bool = False  # whether "1,5" may be a number


def read_raw(
    source: Path,
    label: str | None = None,
    *,
    drop: str | Sequence[str] = (),
    sep: str | None = None,
    features: Sequence[str] | None = None,
    skip_missing: bool = False,
) -> RawData:
    """Return a file's features and labels.

    `features`: the columns that are wanted, in this order; others are not looked at, and there need be no
    labels. `skip_missing`: rows in which a value is missing are left out.
    """
    dropped = [drop] if isinstance(drop, str) else list(drop)
    if not source.is_file():
        raise InvalidInputError(f"{source}: there is no such file")
    suffix = source.suffix.lower()
    if suffix not in ENDINGS:
        named = f"{', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}"
        raise InvalidInputError(
            f"{source}: the name must end in {named}, got {suffix or 'no ending'}{_ADVICE.get(suffix, '')}"
        )
    if suffix == ".npz":
        table, label = _read_npz(source, label, needed=features is None)
    elif suffix == ".parquet":
        table = _read_parquet(source)
    else:
        table = _read_csv(source, sep if sep is not None else "\t" if suffix == ".tsv" else None)
    for name in dropped:
        if name not in table.columns:
            advice = _one_by_one(name, table.columns) or _instead(name, table.columns)
            raise InvalidInputError(f"{source}: there is no column {name!r} to drop{advice}")
    columns = {name: column for name, column in table.columns.items() if name not in dropped}
    return _split(source, table._replace(columns=columns), label, features, skip_missing=skip_missing)


def _one_by_one(name: str, columns: Iterable[str]) -> str:
    """Return how to drop several columns, if `name` is a list of them; else nothing."""
    parts = [part.strip() for part in name.split(",")]
    if len(parts) == 1 or not set(parts) <= set(columns):
        return ""
    return ": name them one by one, on the command line " + " ".join(
        f"--drop {shlex.quote(part)}" for part in parts
    )


def _instead(name: str, columns: Iterable[str]) -> str:
    """Return the columns that there are, and which of them may be meant."""
    folded = {column.casefold(): column for column in columns}
    near = difflib.get_close_matches(name.casefold(), folded, n=1)
    meant = f": is {folded[near[0]]!r} meant?" if near else ""
    return f"{meant or ';'} {'T' if meant else 't'}he columns are {', '.join(columns)}"


def _read_csv(source: Path, sep: str | None) -> _Table:
    if sep is not None and len(sep) != 1:
        raise InvalidInputError(f"{source}: the separator must be one character, got {sep!r}")
    try:
        with source.open(encoding="utf-8-sig", newline="") as stream:
            first = stream.readline()
            told = _EXCEL.fullmatch(first)
            if told is None:
                stream.seek(0)
            separator = sep or (told[1] if told else _separator(first))
            reader, before = csv.reader(stream, strict=True, delimiter=separator), int(told is not None)
            lines = [(before + reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        hint = (
            ": save it as UTF-8 (Excel calls that CSV UTF-8)" if isinstance(error, UnicodeDecodeError) else ""
        )
        raise InvalidInputError(f"{source}: not a readable CSV file: {error}{hint}") from error
    lines = [(line, row) for line, row in lines if row and row != [""]]
    if not lines:
        raise InvalidInputError(f"{source}: the file is empty; it needs a header line and samples")
    header, body = lines[0][1], lines[1:]
    header[0] = header[0].removeprefix("# ")  # numpy.savetxt marks its header so
    if all(_is_number(name) for name in header):
        raise InvalidInputError(
            f"{source}: the first line must name the columns, got numbers: {', '.join(header)[:80]}"
        )
    for line, row in body:
        if len(row) != len(header):
            raise InvalidInputError(
                f"{source}: line {line} must have {len(header)} entries, got {len(row)} (separated by "
                f"{_SEPARATORS.get(separator, repr(separator))})"
            )
    if header[0] in _UNNAMED and len(header) > 1 and len({row[0] for _, row in body}) == len(body) > 1:
        header, body = header[1:], [(line, row[1:]) for line, row in body]  # the index that pandas writes
    _check_names(source, header)
    columns = zip(*(row for _, row in body), strict=True) if body else [()] * len(header)
    return _Table(
        {name: np.array(column, dtype=str) for name, column in zip(header, columns, strict=True)},
        [f"line {line}" for line, _ in body],
        commas=separator != ",",
    )


def _separator(header: str) -> str:
    """Return what separates the names in the header; a comma if nothing does."""
    counts = {sep: len(next(csv.reader([header], delimiter=sep), [])) for sep in _SEPARATORS}
    return max(counts, key=counts.__getitem__)


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


def _read_npz(source: Path, label: str | None, *, needed: bool) -> tuple[_Table, str | None]:
    """Return the columns of X, called x1, x2, ..., and the labels; also the name of these."""
    wanted = tuple(name for name in ("X", "y", "label", label) if name is not None)
    arrays, members = read_archive(source, wanted)
    chosen = label if label is not None else "label" if "label" in arrays and "y" not in arrays else "y"
    if "X" not in arrays or (needed and chosen not in arrays):
        raise InvalidInputError(
            f"{source}: the arrays 'X' and {chosen!r} are needed, got {', '.join(members) or 'none'}"
        )
    X = arrays["X"]
    if X.ndim != 2 or not X.size:
        raise InvalidInputError(
            f"{source}: X must be a matrix of at least one row and one column, got shape {X.shape}"
        )
    columns: dict[str, Any] = {f"x{k + 1}": X[:, k] for k in range(X.shape[1])}
    if chosen in arrays:
        if len(arrays[chosen]) != len(X):
            raise InvalidInputError(
                f"{source}: X and {chosen!r} must have as many rows, got {len(X)} and {len(arrays[chosen])}"
            )
        columns[chosen] = arrays[chosen]
    return _Table(columns, [f"row {i + 1}" for i in range(len(X))]), chosen


def _split(
    source: Path, table: _Table, label: str | None, features: Sequence[str] | None, *, skip_missing: bool
) -> RawData:
    header = list(table.columns)
    if not header:
        raise InvalidInputError(f"{source}: no column is left")
    chosen = label if label is not None else "label" if "label" in header else header[-1]
    if features is None and chosen not in header:
        raise InvalidInputError(f"{source}: there is no column {chosen!r}{_instead(chosen, header)}")
    if not table.places:
        raise InvalidInputError(f"{source}: the file holds no samples, only the header {', '.join(header)}")
    used = [name for name in header if name != chosen] if features is None else list(features)
    missing = [name for name in used if name not in header]
    if missing:
        raise InvalidInputError(
            f"{source}: the model needs the column {missing[0]!r}, which is not there; the columns are "
            f"{', '.join(header)}"
        )
    if not used:
        raise InvalidInputError(
            f"{source}: there must be a feature next to the label column {chosen!r}, got none"
        )
    labelled = chosen in header and (features is None or label is not None)
    skipped: tuple[str, ...] = ()
    if skip_missing:
        table, skipped = _complete(table, used, chosen if labelled else None)
        if not table.places:
            raise InvalidInputError(f"{source}: a value is missing in every row; drop the column it is in")
    X = np.column_stack([_numbers(source, name, table) for name in used])
    y = _labels(source, chosen, table) if labelled else None
    return RawData(X, tuple(used), y, chosen if labelled else None, table.places, skipped)


def _complete(table: _Table, features: Sequence[str], label: str | None) -> tuple[_Table, tuple[str, ...]]:
    """Return the rows in which no feature and no label is missing, and where the others stand."""
    missing = np.zeros(len(table.places), dtype=bool)
    for name in features:
        missing |= [_is_missing(entry) for entry in table.columns[name]]
    if label is not None:  # a class may be called "none"
        missing |= [entry is None or entry == "" or entry != entry for entry in table.columns[label]]
    kept = np.flatnonzero(~missing)
    columns = {name: np.asarray(column)[kept] for name, column in table.columns.items()}
    places = [table.places[i] for i in kept]
    skipped = tuple(table.places[i] for i in np.flatnonzero(missing))
    return table._replace(columns=columns, places=places), skipped


def _is_missing(entry: Any) -> bool:
    """Whether an entry of a column of numbers stands for none."""
    if entry is None or isinstance(entry, str):
        return entry is None or entry.lower() in _MISSING
    return bool(entry != entry)  # NaN


def _numbers(source: Path, name: str, table: _Table) -> Float[np.ndarray, " n"]:
    """Return the column as finite numbers, or raise an error that names the first entry that is none."""
    column = table.columns[name]
    try:
        values = np.asarray(column, dtype=np.float64)
        bad = ~np.isfinite(values)
    except (TypeError, ValueError, OverflowError):
        entries = [_point(entry) for entry in column] if table.commas else column
        bad = np.array([not _is_number(entry) for entry in entries])
        values = np.array([0.0 if b else float(entry) for b, entry in zip(bad, entries, strict=True)])
    if bad.any():
        i, others = int(np.argmax(bad)), int(bad.sum()) - 1
        more = f", and {others} more like it" if others else ""
        raise InvalidInputError(
            f"{source}: column {name!r} must hold finite numbers, got {_shown(column[i])} at "
            f"{table.places[i]}{more}: {_advice(name, str(column[i]))}"
        )
    return values


def _point(entry: Any) -> Any:
    """Return a number that is written with a decimal comma with a point."""
    return entry.replace(",", ".") if _DECIMAL_COMMA.fullmatch(entry) else entry


def _advice(name: str, entry: str) -> str:
    """Return what to do about an entry that is no number."""
    dropped = f"leave the column out (drop, on the command line --drop {shlex.quote(name)})"
    if entry.lower() in _MISSING or entry == "None":
        return (
            "a value is missing. Fill it in, leave such rows out (skip_missing=True, on the command line "
            f"--skip-missing), or {dropped}"
        )
    if re.fullmatch(r"[+-]?[\d.,' ]*\d", entry):
        return "write it as a plain number, without separators of thousands"
    return f"{dropped}, or put numbers in the place of its words"


def _labels(source: Path, name: str, table: _Table) -> np.ndarray:
    """Return the labels as numbers if all of them are, else as strings."""
    column = np.asarray(table.columns[name])
    empty = [column.dtype.kind in "OU" and (entry is None or entry == "") for entry in column]
    if any(empty):
        place = table.places[empty.index(True)]
        raise InvalidInputError(
            f"{source}: column {name!r} must hold labels, got none at {place}: fill it in, or leave such "
            "rows out (skip_missing=True, on the command line --skip-missing)"
        )
    try:
        return np.asarray(column, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        words = [str(entry) for entry in column]
    points = [_point(word) for word in words] if table.commas else words
    if all(_is_number(word) for word in points):
        return np.array([float(word) for word in points])
    return np.array(words)


def _is_number(entry: object) -> bool:
    try:
        return math.isfinite(float(entry))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False


def _shown(entry: object) -> str:
    return "an empty entry" if entry is None or str(entry) == "" else repr(str(entry))[:60]
