"""The type every loader and generator returns, and the ones column that stands for a bias."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from convexrelu._typing import ArrayLike
from convexrelu._validation import as_class_labels, as_matrix, check_classes, encode_binary
from convexrelu.errors import InvalidInputError

__all__ = ["Dataset", "with_bias"]

_SHOWN = 12  # classes in a line


def with_bias(X: ArrayLike) -> Float[np.ndarray, "n d_plus_1"]:
    """Return the data with a last column of ones.

    A network without biases on ``with_bias(X)`` is a network with hidden biases on ``X``: the weights of the
    ones column are the biases.

    Parameters
    ----------
    X : (n, d) array_like
        Data, one sample a row.

    Returns
    -------
    (n, d + 1) float array
        A new array.

    Raises
    ------
    InvalidInputError
        If X is not a finite matrix.

    Examples
    --------
    >>> with_bias([[2.0, 3.0], [4.0, 5.0]])
    array([[2., 3., 1.],
           [4., 5., 1.]])
    """
    matrix = as_matrix(X)
    return np.column_stack([matrix, np.ones(len(matrix))])


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Dataset:
    """Samples and labels under a name; unpacks as ``X, y``.

    Parameters
    ----------
    X : (n, d) array_like
        Samples, one a row; stored as a read-only float64 copy.
    y : (n,) array_like
        Labels. Two different ones (numbers or strings) become +1 (the larger) and -1; a single one must be +1
        or -1; three or more become 0..K-1 in sorted order. Stored read-only.
    name : str
        What ``load`` or the file calls it.
    description : str
        Where it comes from and what was done to it.
    classes : array_like or None
        The names of the labels, smallest first; taken from ``y`` if not given. Stored as a tuple of strings.

    Raises
    ------
    InvalidInputError
        If X is not a finite matrix, or y is not a vector of as many labels.

    Examples
    --------
    >>> X, y = Dataset([[1.0, 2.0], [3.0, 4.0]], ["no", "yes"], "tiny")
    >>> y
    array([-1.,  1.])
    """

    X: Float[np.ndarray, "n d"]
    y: Float[np.ndarray, " n"]
    name: str
    description: str
    classes: tuple[str, ...]

    def __init__(
        self, X: ArrayLike, y: ArrayLike, name: str, description: str = "", *, classes: ArrayLike = ()
    ) -> None:
        matrix = np.array(as_matrix(X))
        labels = as_class_labels(y, length=len(matrix))
        values = check_classes(labels)
        codes = np.searchsorted(values, labels)
        encoded = encode_binary(labels) if len(values) <= 2 else codes.astype(np.float64)
        names = np.asarray(classes).astype(str).ravel().tolist() or [_label_name(v) for v in values]
        if len(names) != len(values):
            raise InvalidInputError(f"classes must name the {len(values)} labels of y, got {len(names)}")
        encoded = np.array(encoded)
        matrix.setflags(write=False)
        encoded.setflags(write=False)
        for field, value in [
            ("X", matrix),
            ("y", encoded),
            ("name", name),
            ("description", description),
            ("classes", tuple(names)),
        ]:
            object.__setattr__(self, field, value)

    @property
    def n_classes(self) -> int:
        """The number of different labels."""
        return len(self.classes)

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter((self.X, self.y))

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> np.ndarray:
        return (self.X, self.y)[index]

    def __repr__(self) -> str:
        n, d = self.X.shape
        return f"Dataset({self.name!r}, n={n}, d={d}, n_classes={self.n_classes})"

    def __str__(self) -> str:
        n, d = self.X.shape
        counts = ", ".join(
            f"{int((self.y == value).sum())} {_tag(value, name, binary=self.n_classes <= 2)}"
            for value, name in list(zip(np.unique(self.y), self.classes, strict=True))[:_SHOWN]
        )
        counts += f", ... ({self.n_classes} classes)" if self.n_classes > _SHOWN else ""
        text = f"{self.name}: {n} samples, {d} features; {counts}"
        return f"{text}\n{self.description}" if self.description else text


def _label_name(value: object) -> str:
    """Write the label as a person does: 1 rather than 1.0."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def _tag(value: float, name: str, *, binary: bool) -> str:
    """Return how a label and its class are printed after their count.

    "labelled +1", "virginica (labelled +1)", or "of class 0 (labelled -1)", since "212 0" reads like one
    number.
    """
    label = f"{value:+.0f}" if binary else f"{value:.0f}"
    if name == f"{value:.0f}":
        return f"labelled {label}"
    return f"{'' if name[:1].isalpha() else 'of class '}{name} (labelled {label})"
