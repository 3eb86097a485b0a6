"""Data sets by name: the paper's two, two counterexamples, real ones of scikit-learn, and two toy ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from convexrelu._validation import check_count
from convexrelu.datasets.dataset import Dataset, with_bias
from convexrelu.datasets.generators import circles, moons
from convexrelu.datasets.preprocessing import Preprocessing
from convexrelu.errors import InvalidInputError

__all__ = ["is_printed", "load", "names"]


class _Raw(NamedTuple):
    """A data set before preprocessing: `labels` index into `classes`."""

    X: Float[np.ndarray, "n d"]
    labels: np.ndarray
    classes: list[str]
    description: str


def names() -> tuple[str, ...]:
    """Return the names that :func:`load` knows.

    Returns
    -------
    tuple of str
        The names.

    Examples
    --------
    >>> len(names())
    15
    """
    return (*_PRINTED, *_LOADERS)


def is_printed(name: str) -> bool:
    """Return whether the data of this name is taken as a paper prints it: nothing is done to it.

    Parameters
    ----------
    name : str
        One of :func:`names`.

    Returns
    -------
    bool
        Whether it is.
    """
    return name in _PRINTED


def load(name: str, *, standardize: bool = True, bias: bool = True, pca: int | None = None) -> Dataset:
    """Return a data set by its name.

    The preprocessing, in this order, with the statistics of the samples that are returned (a pair of classes
    is picked first):

    1. `standardize`: columns that never vary are dropped (pixels at the rim of the digits: they carry
       nothing), the others shifted to mean 0 and divided by their standard deviation (that of the samples,
       ``ddof=0``).
    2. `pca`: the columns are centred and replaced by their products with the leading principal components,
       which are unit vectors with their largest entry positive; the products are not scaled.
    3. `bias`: a column of ones is appended.

    Parameters
    ----------
    name : str
        One of :func:`names`. "wang-pilanci-f1" and "wang-pilanci-f2" are the two samples of WP appendix F as
        printed, "multi-class-counterexample" and "multi-class-counterexample-obtuse" one class of three
        against the rest, on which WP Theorem 2 fails
        (:func:`convexrelu.verify.multi_class_counterexample`): no preprocessing applies to them. "moons" and
        "circles" are 100 samples of :func:`moons` and :func:`circles` with seed 0.
    standardize : bool
        Whether to standardize the columns.
    bias : bool
        Whether to append the ones column.
    pca : int or None
        The number of principal components to keep, None for no reduction.

    Returns
    -------
    Dataset
        Two classes are labelled +1 (the later class of the original) and -1, more are 0..K-1.

    Raises
    ------
    InvalidInputError
        If there is no such name, `pca` is more than the rank of the data, or it is asked for data that is
        taken as printed.

    Examples
    --------
    >>> X, y = load("wang-pilanci-f1")
    >>> X
    array([[ 1.65, -0.47],
           [-0.47,  1.35]])
    >>> load("iris-setosa-virginica")
    Dataset('iris-setosa-virginica', n=100, d=5, n_classes=2)
    """
    if name in _PRINTED:
        if pca is not None:
            raise InvalidInputError(f"pca must be None for {name}, which is taken as printed, got {pca}")
        return Dataset(*_PRINTED[name][:2], name, _PRINTED[name][2])
    if name not in _LOADERS:
        hint = ": datasets.from_file reads files" if "." in str(name) else ""
        raise InvalidInputError(f"name must be one of {', '.join(names())}; got {name!r}{hint}")
    raw = _LOADERS[name]()
    X, steps = raw.X, list[str]()
    if standardize:
        standard = Preprocessing.of(X, ("",) * X.shape[1], standardize=True, bias=False)
        X = standard(X)
        steps.append(str(standard))
    if pca is not None:
        X = _principal(X, check_count(pca, "pca"))
        steps.append(f"{pca} principal components")
    if bias:
        X = with_bias(X)
        steps.append("bias column")
    done = f"{raw.description}; {', '.join(steps) or 'no preprocessing'}"
    return Dataset(X, raw.labels.astype(np.float64), name, done, classes=raw.classes)


def _principal(X: Float[np.ndarray, "n d"], k: int) -> Float[np.ndarray, "n k"]:
    """Return the products of the centred rows with the k leading principal components."""
    centred = X - X.mean(axis=0)
    _, values, components = np.linalg.svd(centred, full_matrices=False)
    rank = int(np.sum(values > values[0] * max(X.shape) * np.finfo(float).eps))
    if k > rank:
        raise InvalidInputError(f"pca must be at most the rank of the centred data, {rank}, got {k}")
    largest = np.abs(components)
    first = np.argmax(largest >= (1.0 - 1e-9) * largest.max(axis=1, keepdims=True), axis=1)
    signs = np.sign(components[np.arange(len(components)), first])
    return np.asarray(centred @ (components[:k] * signs[:k, None]).T)


def _pick(X: np.ndarray, target: np.ndarray, classes: list[str], wanted: list[int], source: str) -> _Raw:
    """Return the samples of some classes."""
    rows = np.isin(target, wanted)
    labels = np.searchsorted(np.asarray(wanted), target[rows])
    named = [classes[k] for k in wanted]
    text = f"{source}: {', '.join(named[:-1])} and {named[-1]}"
    return _Raw(np.asarray(X, dtype=np.float64)[rows], labels, named, text)


def _iris(first: int, second: int) -> _Raw:
    from sklearn.datasets import load_iris

    data = load_iris()
    return _pick(
        data.data, data.target, [str(c) for c in data.target_names], [first, second], "Fisher's iris"
    )


def _wine(*wanted: int) -> _Raw:
    from sklearn.datasets import load_wine

    data = load_wine()
    return _pick(data.data, data.target, [str(c) for c in data.target_names], list(wanted), "UCI wine")


def _breast_cancer() -> _Raw:
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    return _pick(
        data.data, data.target, [str(c) for c in data.target_names], [0, 1], "Wisconsin breast cancer"
    )


def _digits(first: int, second: int) -> _Raw:
    from sklearn.datasets import load_digits

    data = load_digits()
    return _pick(data.data, data.target, [str(k) for k in range(10)], [first, second], "8x8 images of digits")


def _toy(data: Dataset, classes: list[str]) -> _Raw:
    """Return a toy data set without its bias column."""
    return _Raw(
        data.X[:, :-1], (data.y > 0).astype(int), classes, f"{data.name}, 100 samples, noise 0.08, seed 0"
    )


_PRINTED: dict[str, tuple[list[list[float]], list[int], str]] = {
    "wang-pilanci-f1": (
        [[1.65, -0.47], [-0.47, 1.35]],
        [1, -1],
        "WP appendix F.1: two samples, orthogonally separable, not spike-free",
    ),
    "wang-pilanci-f2": (
        [[1.65, 0.47], [0.47, 1.35]],
        [1, 1],
        "WP appendix F.2: two samples of one class, spike-free",
    ),
    "multi-class-counterexample": (
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        [1, -1, -1],
        "one of three orthogonal classes against the rest: the optimum has one neuron for the rest",
    ),
    "multi-class-counterexample-obtuse": (
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, -0.8, 0.6]],
        [1, -1, -1],
        "one of three classes against the rest, which are at an obtuse angle: each has a neuron of its own",
    ),
}

_LOADERS: dict[str, Callable[[], _Raw]] = {
    "iris-setosa-versicolor": lambda: _iris(0, 1),
    "iris-setosa-virginica": lambda: _iris(0, 2),
    "iris-versicolor-virginica": lambda: _iris(1, 2),
    "wine-0-1": lambda: _wine(0, 1),
    "wine-1-2": lambda: _wine(1, 2),
    "wine": lambda: _wine(0, 1, 2),
    "breast-cancer": _breast_cancer,
    "digits-0-1": lambda: _digits(0, 1),
    "digits-3-8": lambda: _digits(3, 8),
    "moons": lambda: _toy(moons(100), ["upper", "lower"]),
    "circles": lambda: _toy(circles(100), ["outer", "inner"]),
}
