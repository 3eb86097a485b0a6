"""The data of a command: read, and what is done to it before a network sees it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from convexrelu.errors import InvalidInputError

if TYPE_CHECKING:
    from convexrelu.datasets import Dataset, Preprocessing, Task
    from convexrelu.datasets.tables import RawData

__all__ = ["Columns", "Given", "read", "read_features"]

_SHOWN = 12  # names of features in a line


@dataclass(frozen=True, kw_only=True)
class Columns:
    """What the options say about the columns of the data.

    Attributes
    ----------
    label : str or None
        Where the labels are.
    drop : tuple of str
        Columns to leave out.
    sep : str or None
        Separator.
    skip_missing : bool
        Leave out rows in which a value is missing.
    standardize, bias : bool or None
        None: as by default.
    """

    label: str | None = None
    drop: tuple[str, ...] = ()
    sep: str | None = None
    skip_missing: bool = False
    standardize: bool | None = None
    bias: bool | None = None

    @classmethod
    def of(
        cls,
        label: str | None,
        drop: list[str] | None,
        sep: str | None,
        skip_missing: bool,
        standardize: bool | None = None,
        bias: bool | None = None,
    ) -> Columns:
        """Return what a command was given: its options in the order in which all commands have them."""
        return cls(
            label=label,
            drop=tuple(drop or ()),
            sep=sep,
            skip_missing=skip_missing,
            standardize=standardize,
            bias=bias,
        )

    def words(self) -> list[str]:
        """The options as they are written on a command line, without those that a model remembers."""
        label = [] if self.label is None else ["--label", self.label]
        drop = [word for name in self.drop for word in ("--drop", name)]
        skip = ["--skip-missing"] if self.skip_missing else []
        return [*label, *drop, *([] if self.sep is None else ["--sep", self.sep]), *skip]

    def command(self, verb: str, *arguments: object) -> str:
        """Return a command on the same data."""
        return shlex.join(["convexrelu", verb, *map(str, arguments), *self.words()])


@dataclass(frozen=True, kw_only=True, eq=False)
class Given:
    """Data as a network sees it, and how it came to be so.

    Attributes
    ----------
    data : Dataset or Task
        With labels, or with real targets.
    preprocessing : Preprocessing
        What was done to the columns.
    label : str or None
        The column of the labels or targets; None for data with a name.
    lines : sequence of str
        Where each row stands in its file, "line 2"; none for data that does not come from a text.
    """

    data: Dataset | Task
    preprocessing: Preprocessing
    label: str | None
    lines: Sequence[str] = ()

    @property
    def X(self) -> Float[np.ndarray, "n d"]:  # noqa: N802
        """The rows that a network acts on."""
        return self.data.X

    @property
    def y(self) -> np.ndarray:
        """The labels, encoded, or the targets."""
        return self.data.y

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the labels; none of real targets."""
        from convexrelu.datasets import Dataset

        return self.data.classes if isinstance(self.data, Dataset) else ()

    @property
    def labels(self) -> np.ndarray:
        """The labels of several classes by their names, where these sort as the labels do; else encoded."""
        names = list(self.classes)
        if len(names) <= 2 or names != sorted(names):
            return self.y
        return np.asarray(np.array(names)[self.y.astype(int)])

    def __str__(self) -> str:
        names = self.preprocessing.inputs
        if self.label is None:  # data with a name: its columns have none
            return str(self.data)
        head, (n, d) = str(self.data), self.X.shape
        if not self.classes:
            low, high = self.y.min(), self.y.max()
            head = f"{self.data.name}: {n} samples, {d} features; targets from {low:.6g} to {high:.6g}"
            head += f"\n{self.data.description}"
        more = f", ... ({len(names)})" if len(names) > _SHOWN else ""
        return f"{head}\nfeatures: {', '.join(names[:_SHOWN])}{more}"


def read(
    source: str,
    columns: Columns,
    *,
    real: bool = False,
    preprocessing: Preprocessing | None = None,
    plain: bool = False,
) -> Given:
    """Return the data of a name or a file.

    `real`: with real targets. `preprocessing`: that of a model, which must find its columns. `plain`: a file
    is taken as it stands where the options do not say otherwise.
    """
    from convexrelu.datasets import names

    if source in names():
        return _named(source, columns, preprocessing)
    return _from_file(source, columns, real=real, preprocessing=preprocessing, plain=plain)


def _named(name: str, columns: Columns, preprocessing: Preprocessing | None) -> Given:
    from convexrelu.datasets import Dataset, Preprocessing, load
    from convexrelu.datasets.named import is_printed

    for option, value in (
        ("label", columns.label),
        ("drop", columns.drop),
        ("sep", columns.sep),
        ("skip-missing", columns.skip_missing),
    ):
        if value:
            raise InvalidInputError(f"--{option} is for files; {name} is a data set's name, got {value!r}")
    if is_printed(name) and (columns.standardize or columns.bias):
        raise InvalidInputError(f"{name} is taken as printed: neither --standardize nor --bias go with it")
    raw = load(name, standardize=False, bias=False)
    features = tuple(f"x{k + 1}" for k in range(raw.X.shape[1]))
    if preprocessing is None:
        printed = is_printed(name)
        preprocessing = Preprocessing.of(
            raw.X,
            features,
            standardize=_wanted(columns.standardize, not printed),
            bias=_wanted(columns.bias, not printed),
        )
        data = load(name, standardize=preprocessing.standardized, bias=preprocessing.bias)
        return Given(data=data, preprocessing=preprocessing, label=None)
    if preprocessing.features != features:
        raise InvalidInputError(
            f"the model is about {len(preprocessing.features)} columns, "
            f"{', '.join(preprocessing.features[:_SHOWN])}, and {name} has {len(features)}"
        )
    X = preprocessing(raw.X)
    data = Dataset(X, raw.y, raw.name, f"{name}; {preprocessing}", classes=np.array(raw.classes))
    return Given(data=data, preprocessing=preprocessing, label=None)


def _from_file(
    source: str, columns: Columns, *, real: bool, preprocessing: Preprocessing | None, plain: bool
) -> Given:
    from convexrelu.datasets import Dataset, Preprocessing, Task

    path = Path(source)
    raw = _raw(path, columns, None if preprocessing is None else preprocessing.features)
    if raw.y is None:
        raise InvalidInputError(f"{path}: there is no column {columns.label!r} of labels")
    if preprocessing is None:
        preprocessing = Preprocessing.of(
            raw.X,
            raw.features,
            standardize=_wanted(columns.standardize, not plain),
            bias=_wanted(columns.bias, not plain),
        )
    X = preprocessing(raw.X)
    about = f"{raw.about(path, 'targets' if real else 'labels')}; {preprocessing}"
    try:
        data = Task(X, raw.y, path.name, about) if real else Dataset(X, raw.y, path.name, about)
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}: {error}") from error
    lines = raw.places if raw.places[0].startswith("line") else []  # an array's rows have their numbers
    return Given(data=data, preprocessing=preprocessing, label=raw.label, lines=lines)


def read_features(source: str, columns: Columns, preprocessing: Preprocessing) -> RawData:
    """Return the raw columns that a model needs, and labels if there are any."""
    from convexrelu.datasets import load, names
    from convexrelu.datasets.tables import RawData

    if source in names():
        given = _named(source, columns, preprocessing)
        raw = load(source, standardize=False, bias=False)
        named = np.array(raw.classes)[np.searchsorted(np.unique(raw.y), raw.y)]
        places = [f"row {k + 1}" for k in range(len(raw.X))]
        return RawData(raw.X, given.preprocessing.features, named, None, places)
    return _raw(Path(source), columns, preprocessing.features)


def _raw(path: Path, columns: Columns, features: Sequence[str] | None) -> RawData:
    from convexrelu.datasets import names
    from convexrelu.datasets.tables import read_raw

    if not path.exists():
        raise InvalidInputError(
            f"{path}: there is no such file, and no data set of this name ({', '.join(names())})"
        )
    return read_raw(
        path,
        columns.label,
        drop=columns.drop,
        sep=columns.sep,
        features=features,
        skip_missing=columns.skip_missing,
    )


def _wanted(option: bool | None, default: bool) -> bool:
    return default if option is None else option
