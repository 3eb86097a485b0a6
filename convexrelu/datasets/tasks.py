"""Regression tasks on which feature learning shows: sparse functions and two algorithms (NP section 5.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from convexrelu._typing import ArrayLike, RNGLike
from convexrelu._validation import as_columns, as_generator, as_matrix, check_count
from convexrelu.errors import InvalidInputError

__all__ = [
    "Task",
    "matching_pursuit_example",
    "modular_addition",
    "pointer_value_retrieval",
    "sparse_function",
    "sparse_function_names",
]


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Task:
    """Samples and real targets under a name; unpacks as ``X, y``.

    Parameters
    ----------
    X : (n, d) array_like
        Samples, one a row; stored as a read-only float64 copy.
    y : (n,) or (n, k) array_like
        Targets, one or several a sample; stored as a read-only float64 copy.
    name : str
        What it is called.
    description : str
        The function and the law of the samples.

    Raises
    ------
    InvalidInputError
        If X or y is not finite, or they differ in their number of rows.

    Examples
    --------
    >>> task = Task([[1.0], [2.0]], [3.0, 4.0], "line")
    >>> task.relative_error([3.0, 1.0])
    0.6
    """

    X: Float[np.ndarray, "n d"]
    y: Float[np.ndarray, ...]
    name: str
    description: str

    def __init__(self, X: ArrayLike, y: ArrayLike, name: str, description: str = "") -> None:
        matrix = np.array(as_matrix(X))
        targets = np.array(as_columns(y, "y", rows=len(matrix)))
        targets = targets[:, 0] if np.ndim(y) == 1 else targets
        matrix.setflags(write=False)
        targets.setflags(write=False)
        for field, value in [("X", matrix), ("y", targets), ("name", name), ("description", description)]:
            object.__setattr__(self, field, value)

    def relative_error(self, outputs: ArrayLike) -> float:
        """Return ``||y - outputs|| / ||y||``, the error that NP section 5.2.1 reports.

        Parameters
        ----------
        outputs : array_like
            A network's values on X, of the shape of y.

        Returns
        -------
        float
            0 for a perfect fit, 1 for the zero function.

        Raises
        ------
        InvalidInputError
            If the shapes differ.
        """
        return float(np.linalg.norm(self.y - self._outputs(outputs)) / np.linalg.norm(self.y))

    def classification_error(self, outputs: ArrayLike) -> float:
        """Return the share of samples whose largest output is not where the target is largest.

        Parameters
        ----------
        outputs : array_like
            A network's values on X, of the shape of y.

        Returns
        -------
        float
            Between 0 and 1.

        Raises
        ------
        InvalidInputError
            If the shapes differ, or there is a single output.
        """
        values = self._outputs(outputs)
        if values.ndim == 1 or values.shape[1] == 1:
            raise InvalidInputError("classes need several outputs a sample, got one")
        return float(np.mean(values.argmax(axis=1) != self.y.argmax(axis=1)))

    def split(self, n_first: int, *, rng: RNGLike = None) -> tuple[Task, Task]:
        """Return two tasks of a random part of the samples and of the rest.

        Parameters
        ----------
        n_first : int
            The size of the first part, at least 1 and below n.
        rng : int, Generator, SeedSequence or None
            Source of randomness.

        Returns
        -------
        Task, Task
            For training and for testing, say.

        Raises
        ------
        InvalidInputError
            If a part would be empty.
        """
        size = check_count(n_first, "n_first")
        if size >= len(self.X):
            raise InvalidInputError(f"n_first must be below the {len(self.X)} samples there are, got {size}")
        order = as_generator(rng).permutation(len(self.X))
        first, rest = order[:size], order[size:]
        return (
            Task(self.X[first], self.y[first], self.name, self.description),
            Task(self.X[rest], self.y[rest], self.name, self.description),
        )

    def _outputs(self, outputs: ArrayLike) -> np.ndarray:
        values = np.asarray(outputs, dtype=np.float64)
        if values.shape != self.y.shape:
            raise InvalidInputError(f"outputs must have the shape of y, {self.y.shape}, got {values.shape}")
        return values

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter((self.X, self.y))

    def __repr__(self) -> str:
        n, d = self.X.shape
        k = 1 if self.y.ndim == 1 else self.y.shape[1]
        return f"Task({self.name!r}, n={n}, d={d}, n_outputs={k})"

    def __str__(self) -> str:
        return f"{self!r}\n{self.description}" if self.description else repr(self)


def _relu(t: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(t, 0.0))


def _ridge(x: np.ndarray, i: int) -> np.ndarray:
    """Return the paper's building block on coordinates i, ..., i + 3, counted from one."""
    return _relu(_relu(2 * x[i] + x[i + 1]) - _relu(x[i + 2] - x[i + 3]))


@dataclass(frozen=True, kw_only=True)
class _Sparse:
    """A function of a few coordinates (rows of x, counted from one) and the law of the samples."""

    law: str
    d: int
    text: str
    function: Callable[[np.ndarray], np.ndarray]


_FUNCTIONS = {
    "f1": _Sparse(
        law="sphere", d=50, text="s(s(2x1 + x2) - s(x3 - x4)), s = ReLU", function=lambda x: _ridge(x, 1)
    ),
    "f2": _Sparse(
        law="sphere",
        d=50,
        text="f1(x1..x4) + 5 f1(x5..x8) + 10 f1(x9..x12)",
        function=lambda x: _ridge(x, 1) + 5 * (_ridge(x, 5) + 2 * _ridge(x, 9)),
    ),
    "g1": _Sparse(
        law="hypercube",
        d=50,
        text="x1 x2 - x1 x2 x3 x4",
        function=lambda x: x[1] * x[2] - x[1] * x[2] * x[3] * x[4],
    ),
    "g2": _Sparse(law="hypercube", d=50, text="x1 x2 x3 x4", function=lambda x: x[1] * x[2] * x[3] * x[4]),
    "h1": _Sparse(law="Gaussian", d=50, text="max(2x1, x2)", function=lambda x: np.maximum(2 * x[1], x[2])),
    "h2": _Sparse(
        law="Gaussian",
        d=50,
        text="max(x1, 2x2) + max(x3, 2x4) - max(x1 + x3, -x2, -x4)",
        function=lambda x: (
            np.maximum(x[1], 2 * x[2])
            + np.maximum(x[3], 2 * x[4])
            - np.maximum(np.maximum(x[1] + x[3], -x[2]), -x[4])
        ),
    ),
    "fig5": _Sparse(
        law="hypercube",
        d=20,
        text="s(s(2x1 + x3) - s(x3 - x2)), s = ReLU",
        function=lambda x: _relu(_relu(2 * x[1] + x[3]) - _relu(x[3] - x[2])),
    ),
}


def sparse_function_names() -> tuple[str, ...]:
    """Return the names that :func:`sparse_function` knows."""
    return tuple(_FUNCTIONS)


def sparse_function(name: str, n: int, *, rng: RNGLike = None) -> Task:
    """Return samples of a function of a few coordinates out of many (NP section 5.2.1 and Figure 5).

    ========== ===================== ==================================================== ===========
    name       samples               function                                             activation
    ========== ===================== ==================================================== ===========
    f1, f2     sphere, radius √50    ridges of ridges of 4 and of 12 coordinates of 50     max(x, 0)
    g1, g2     {-1, 1}^50            x1 x2 - x1 x2 x3 x4, and x1 x2 x3 x4                  max(x, x/2)
    h1, h2     standard normal, 50   piecewise linear, of 2 and of 4 coordinates           max(x, x/2)
    fig5       {-1, 1}^20            s(s(2x1 + x3) - s(x3 - x2))                           max(x, 0)
    ========== ===================== ==================================================== ===========

    Parameters
    ----------
    name : str
        "f1", "f2", "g1", "g2", "h1", "h2" or "fig5".
    n : int
        Number of samples.
    rng : int, Generator, SeedSequence or None
        Source of randomness.

    Returns
    -------
    Task
        With real targets, without noise.

    Raises
    ------
    InvalidInputError
        If there is no function of that name, or n < 1.

    Examples
    --------
    >>> sparse_function("g2", 100, rng=0)
    Task('g2', n=100, d=50, n_outputs=1)
    """
    if name not in _FUNCTIONS:
        raise InvalidInputError(f"name must be one of {', '.join(map(repr, _FUNCTIONS))}, got {name!r}")
    target, generator, size = _FUNCTIONS[name], as_generator(rng), check_count(n, "n")
    if target.law == "hypercube":
        X = generator.choice([-1.0, 1.0], size=(size, target.d))
    else:
        X = generator.normal(size=(size, target.d))
    if target.law == "sphere":
        X *= np.sqrt(target.d) / np.linalg.norm(X, axis=1)[:, None]
    counted_from_one = np.vstack([np.zeros(size), X.T])
    description = f"{target.text} of samples in {target.d} dimensions ({target.law})"
    return Task(X, target.function(counted_from_one), name, description)


def modular_addition(p: int) -> Task:
    """Return all pairs (a, b) with ``(a + b) mod p`` as one of p classes (NP section 5.2.2).

    The inputs are ``[1_a, 1_b, 1]`` in 2p + 1 dimensions, the targets ``1_c``. :meth:`Task.split` leaves a
    part of the pairs for testing.

    Parameters
    ----------
    p : int
        The modulus, at least 2.

    Returns
    -------
    Task
        With p^2 samples and p outputs.

    Raises
    ------
    InvalidInputError
        If p < 2.

    Examples
    --------
    >>> X, y = modular_addition(3)
    >>> X[5], y[5]
    (array([0., 1., 0., 0., 0., 1., 1.]), array([1., 0., 0.]))
    """
    size = check_count(p, "p")
    if size < 2:
        raise InvalidInputError(f"p must be at least 2, got {size}")
    a, b = np.divmod(np.arange(size**2), size)
    one = np.eye(size)
    X = np.hstack([one[a], one[b], np.ones((size**2, 1))])
    return Task(X, one[(a + b) % size], f"modular-addition-{size}", f"all pairs (a, b), a + b mod {size}")


def pointer_value_retrieval(n: int, *, rng: RNGLike = None) -> Task:
    """Return samples of ``x_q x_{q+1}``, the pointer q being part of the input (NP section 5.2.2).

    The inputs are ``[bits of q - 1, 1, x]`` in 21 dimensions: four bits as -1 and 1, the highest first, a
    constant, and x in {-1, 1}^16. The pointer is uniform on 1..15, those for which x_{q+1} exists.

    Parameters
    ----------
    n : int
        Number of samples.
    rng : int, Generator, SeedSequence or None
        Source of randomness.

    Returns
    -------
    Task
        With targets -1 and 1.

    Raises
    ------
    InvalidInputError
        If n < 1.

    Examples
    --------
    >>> task = pointer_value_retrieval(8, rng=0)
    >>> task, bool((abs(task.y) == 1).all())
    (Task('pointer-value-retrieval', n=8, d=21, n_outputs=1), True)
    """
    size, generator = check_count(n, "n"), as_generator(rng)
    place = generator.integers(15, size=size)
    x = generator.choice([-1.0, 1.0], size=(size, 16))
    bits = 2.0 * ((place[:, None] >> np.array([3, 2, 1, 0])) & 1) - 1.0
    rows = np.arange(size)
    return Task(
        np.hstack([bits, np.ones((size, 1)), x]),
        x[rows, place] * x[rows, place + 1],
        "pointer-value-retrieval",
        "the product of two neighbouring signs of 16, to which four bits point",
    )


def matching_pursuit_example() -> Task:
    """Return the example of NP appendix D.5, on which greedy and least-l1 solutions differ.

    Orthogonal matching pursuit takes the third column, then the first: (0, 0, 1.7715), then (1.1875, 0,
    1.875). The solution of least l1 norm is (1, 2, 0).

    Returns
    -------
    Task
        With two samples in three dimensions.

    Examples
    --------
    >>> X, y = matching_pursuit_example()
    >>> X @ [1.0, 2.0, 0.0] - y
    array([0., 0.])
    """
    X = np.array([[1.0, 0.0, -0.1], [0.0, 1.0, 1.0 + 0.2 / 3.0]])
    return Task(X, np.array([1.0, 2.0]), "matching-pursuit", "NP appendix D.5")
