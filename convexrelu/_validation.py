"""Input checks at the door: everything behind it works on clean float64 arrays."""

from __future__ import annotations

import math
import numbers
import operator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from convexrelu._typing import ArrayLike
from convexrelu.errors import InvalidInputError

__all__ = [
    "SOLVABLE",
    "OneVsRest",
    "as_class_labels",
    "as_columns",
    "as_data",
    "as_generator",
    "as_labels",
    "as_matrix",
    "as_penalty",
    "as_vector",
    "check_classes",
    "check_count",
    "check_nonnegative",
    "check_positive",
    "check_range",
    "check_seconds",
    "encode_binary",
    "one_vs_rest",
]


# Up to so many classes anything goes (fractions up to fewer); no data of classes has more than the last.
_FEW_FRACTIONS, _FEW_CLASSES, _MOST_CLASSES = 10, 20, 100
_EACH_NUMBER, _EACH_NAME = 10, 2  # samples of a class, on average, where there are more than a few classes
_RANGE = 1e100  # squares, and products of three, stay within float64
SOLVABLE = 1e150  # where rows are scaled to length one before anything is squared: inverses, and squares


def _as_float(value: ArrayLike, name: str) -> np.ndarray:
    """Float64 copy-free view of `value`, refused if it is not numeric or not finite."""
    try:
        _refuse_mask(value, name)
        array = np.asarray(value)
        if np.iscomplexobj(array):
            raise TypeError("complex numbers")  # noqa: TRY301
        array = np.asarray(array, dtype=np.float64)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:  # the last one is torch's
        raise InvalidInputError(
            f"{name} must be an array of real numbers, got {type(value).__name__}: {error}"
        ) from error
    bad = ~np.isfinite(array)
    if bad.any():
        where = np.unique(np.argwhere(bad)[:, 0]) if array.ndim else np.zeros(0)
        raise InvalidInputError(
            f"{name} must be finite, got {int(bad.sum())} NaN or infinite entries (rows {_listed(where)})"
        )
    return array


def _refuse_mask(value: ArrayLike, name: str) -> None:
    """Refuse masked entries (InvalidInputError): as plain numbers they would count."""
    masked = np.ma.getmaskarray(value) if isinstance(value, np.ma.MaskedArray) else np.zeros(0, dtype=bool)
    if masked.any():
        where = np.unique(np.argwhere(masked)[:, 0]) if masked.ndim else np.zeros(0)
        raise InvalidInputError(
            f"{name} must have a value everywhere, got {int(masked.sum())} masked entries "
            f"(rows {_listed(where)}): fill them in or drop these rows"
        )


def _listed(indices: ArrayLike, most: int = 8) -> str:
    values = [str(int(i)) for i in np.atleast_1d(np.asarray(indices, dtype=int))]
    return ", ".join(values[:most]) + (", ..." if len(values) > most else "")


def as_matrix(
    value: ArrayLike, name: str = "X", *, columns: int | None = None, min_rows: int = 1
) -> Float[np.ndarray, "n d"]:
    """Return a finite (n, d) float64 matrix, n, d >= 1 (0 rows if `min_rows` is 0), or InvalidInputError."""
    array = _as_float(value, name)
    if array.ndim != 2:
        hint = ": reshape(-1, 1) makes a vector one column, reshape(1, -1) one row" if array.ndim == 1 else ""
        raise InvalidInputError(f"{name} must be a matrix of shape (n, d), got shape {array.shape}{hint}")
    if len(array) < min_rows or array.shape[1] == 0:
        raise InvalidInputError(f"{name} must hold at least one row and one column, got shape {array.shape}")
    if columns is not None and array.shape[1] != columns:
        raise InvalidInputError(f"{name} must have {columns} columns, got shape {array.shape}")
    return array


def as_vector(value: ArrayLike, name: str, *, length: int | None = None) -> Float[np.ndarray, " n"]:
    """Return a finite float64 vector, of the given length if one is given, or InvalidInputError."""
    array = _as_float(value, name)
    if array.ndim != 1:
        raise InvalidInputError(f"{name} must be a vector, got shape {array.shape}")
    if length is not None and len(array) != length:
        raise InvalidInputError(f"{name} must have {length} entries, got {len(array)}")
    return array


def as_columns(
    value: ArrayLike, name: str, *, rows: int, columns: int | None = None
) -> Float[np.ndarray, "n k"]:
    """Return real outputs as a matrix, a column each, or InvalidInputError; a vector is one column."""
    matrix = as_matrix(np.reshape(value, (-1, 1)) if np.ndim(value) == 1 else value, name)
    if columns is not None and matrix.shape != (rows, columns):
        raise InvalidInputError(
            f"{name} must have shape {(rows, columns)}, a row for each of {rows} samples and one entry an "
            f"output, got {np.shape(value)}"
        )
    if len(matrix) != rows:
        raise InvalidInputError(
            f"{name} must have as many rows as X, a row for each of {rows} samples, got {len(matrix)}"
        )
    return matrix


def as_class_labels(y: ArrayLike, *, length: int) -> np.ndarray:
    """Return the labels as a vector of `length` entries of any sortable kind, or InvalidInputError."""
    _refuse_mask(y, "y")
    try:
        labels = np.asarray(y)
    except RuntimeError as error:  # torch's, of a tensor with a gradient
        raise InvalidInputError(f"y must be a vector of labels, got {type(y).__name__}: {error}") from error
    if labels.ndim != 1:
        raise InvalidInputError(f"y must be a vector of labels, got shape {labels.shape}")
    if len(labels) != length:
        raise InvalidInputError(
            f"X and y must have as many rows, got {length} rows of X and {len(labels)} labels"
        )
    if labels.dtype.kind in "iu":
        return labels
    if labels.dtype.kind == "f":
        return _as_float(labels, "y")
    if labels.dtype.kind == "b":
        return labels.astype(np.float64)
    if labels.dtype.kind in "US" or all(isinstance(v, str) for v in labels):
        return labels.astype(str)
    if labels.dtype.kind == "O" and all(isinstance(v, numbers.Real | np.bool_) for v in labels):
        return _as_float(labels, "y")
    raise InvalidInputError(f"y must hold numbers or strings, got an array of {labels.dtype}")


def check_classes(labels: np.ndarray) -> np.ndarray:
    """Return the different labels, sorted; InvalidInputError if they look like a continuous target or names.

    That is: more than 100, more than 10 that are not all whole numbers, or more than 20 of which each has
    fewer than two samples on average, of whole numbers fewer than ten. Every class is a problem of its own,
    and these would be hundreds.
    """
    values = np.unique(labels)
    K, n = len(values), len(labels)
    numbers_given = values.dtype.kind in "fiu"
    continuous = numbers_given and bool((values != np.round(values)).any())
    few = _FEW_FRACTIONS if continuous else _FEW_CLASSES
    each = _EACH_NUMBER if numbers_given else _EACH_NAME
    if few >= K or (K <= _MOST_CLASSES and not continuous and n >= each * K):
        return values
    if numbers_given:
        raise InvalidInputError(
            f"y must hold class labels, got {K} different numbers among {n}: a continuous target is for "
            "convexrelu.solve(X, y, loss='squared', beta=0.1), on the command line --loss squared --beta .1, "
            "or cut it into classes, such as y > its median"
        )
    some = ", ".join(map(str, values[:3]))
    raise InvalidInputError(
        f"y must hold class labels, got {K} different ones among {n} samples ({some}, ...): is it "
        "a column of names? Choose another one (on the command line --label COLUMN)"
    )


def encode_binary(labels: np.ndarray) -> Float[np.ndarray, " n"]:
    """+1 for the larger of two labels, -1 for the smaller; one label alone must be +1 or -1.

    Raises
    ------
    InvalidInputError
        If there are more than two labels, or one that is neither +1 nor -1.
    """
    values = np.unique(labels)
    if len(values) == 2:
        return np.where(labels == values[1], 1.0, -1.0)
    if len(values) == 1 and values[0] in (1.0, -1.0):
        return np.asarray(labels, dtype=np.float64)
    if len(values) == 1:
        raise InvalidInputError(f"y holds one label only; it must be +1 or -1, got {values[0]}")
    raise InvalidInputError(
        f"y must hold two labels, got {len(values)}: {', '.join(str(v) for v in values[:6])}"
        + (", ..." if len(values) > 6 else "")
    )


def as_labels(y: ArrayLike, *, length: int) -> Float[np.ndarray, " n"]:
    """Binary labels as +1 and -1: any two values, the larger becomes +1 (see :func:`encode_binary`)."""
    return encode_binary(as_class_labels(y, length=length))


def as_data(X: ArrayLike, y: ArrayLike) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " n"]]:
    """Return data matrix and +-1 labels, checked together."""
    matrix = as_matrix(X)
    return matrix, as_labels(y, length=len(matrix))


def as_penalty(C: Any) -> float:
    """Return the soft-margin penalty: positive, possibly infinite."""
    return check_positive(C, "C", finite=False)


def check_range(X: Float[np.ndarray, "n d"], most: float = _RANGE) -> None:
    """Refuse rows longer than `most`, or shorter than its inverse (InvalidInputError).

    By default those whose squares overflow or vanish.
    """
    largest = np.abs(X).max(axis=1)
    bad = np.flatnonzero((largest > 0) & ((largest < 1 / most) | (largest > most)))
    if len(bad):
        raise InvalidInputError(
            f"X must have rows of size between {1 / most:.0e} and {most:.0e} (or zero): rescale the data "
            f"(rows {_listed(bad)})"
        )


def check_positive(value: Any, name: str, *, finite: bool = True) -> float:
    """`value` as a positive float (finite unless said otherwise), or InvalidInputError."""
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"{name} must be a positive number, got {value!r}") from error
    if not number > 0 or (finite and not math.isfinite(number)):
        raise InvalidInputError(
            f"{name} must be a positive{' finite' if finite else ''} number, got {value!r}"
        )
    return number


def check_seconds(limit: Any, name: str = "time_limit") -> float:
    """Return a limit in seconds, of time or of work, inf if there is none (None), or InvalidInputError."""
    return np.inf if limit is None else check_positive(limit, name, finite=False)


def check_nonnegative(value: Any, name: str) -> float:
    """`value` as a finite float that is zero or more, or InvalidInputError."""
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"{name} must be a number of at least 0, got {value!r}") from error
    if not (number >= 0 and math.isfinite(number)):
        raise InvalidInputError(f"{name} must be a finite number of at least 0, got {value!r}")
    return number


def check_count(value: Any, name: str) -> int:
    """`value` as a whole number of at least 1, or InvalidInputError."""
    try:
        number = operator.index(value)
    except TypeError as error:
        raise InvalidInputError(f"{name} must be a whole number, got {value!r}") from error
    if number < 1 or isinstance(value, (bool, np.bool_)):
        raise InvalidInputError(f"{name} must be a whole number of at least 1, got {value!r}")
    return number


def as_generator(rng: Any) -> np.random.Generator:
    """`rng` as a generator: a seed, a generator, or None for fresh entropy; or InvalidInputError."""
    try:
        return np.random.default_rng(rng)
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"rng must be what numpy.random.default_rng takes, got {rng!r}") from error


@dataclass(frozen=True, kw_only=True, eq=False)
class OneVsRest:
    """Labels of K classes as binary problems.

    Attributes
    ----------
    classes : (K,) array
        The labels; for two of them, the larger one alone (its problem is the binary one).
    Y : (K, n) float array
        ``Y[k, n] = +1`` if sample n is of class k, else -1 (WP section 2).
    """

    classes: np.ndarray
    Y: Float[np.ndarray, "K n"]


def one_vs_rest(labels: np.ndarray) -> OneVsRest:
    """Encode labels: one binary problem for at most two of them, one against the rest for each of K > 2."""
    values = check_classes(labels)
    if len(values) <= 2:
        return OneVsRest(classes=values[-1:], Y=encode_binary(labels)[None, :])
    return OneVsRest(classes=values, Y=np.where(labels == values[:, None], 1.0, -1.0))
