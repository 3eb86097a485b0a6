"""Random data with a structure that is known by construction, not by luck."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from convexrelu._typing import RNGLike
from convexrelu._validation import as_generator, check_count, check_nonnegative
from convexrelu.datasets.dataset import Dataset, with_bias
from convexrelu.errors import InvalidInputError

__all__ = ["circles", "moons", "orthogonally_separable", "spike_free", "teacher"]

_CLEARANCE = 0.1
"""Rays of c classes keep products of at least 0.1/c (same class) and at most -0.1/c (other classes) for unit
vectors, so that no rounding of a sum of d products can turn a sign."""

_PROBE = 1000  # samples that show whether a teacher leaves enough of them: one in a hundred is 10 +- 3
_LEAST_KEPT = 0.01  # a teacher that keeps less of the samples is given up: it would cost 100 draws a sample
_MAX_TEACHERS = 200  # with n = 2 half of all teachers give one label: all 200 do with probability 1e-60


def orthogonally_separable(n: int, d: int, *, n_classes: int = 2, rng: RNGLike = None) -> Dataset:
    """Return orthogonally separable data: products are positive within classes, not between them (WP 3.1).

    Each class fills a cone spanned by random rays, at random positions in space. As long as ``n_classes <= d
    + 1`` products between classes are strictly negative. More vectors than d + 1 cannot all have negative
    products, so for more classes the coordinates are divided among groups of classes, and products between
    groups are zero.

    Three to d classes stand nearly at right angles: products between classes are slightly negative. Both
    limits of gradient descent then occur (one neuron that serves several classes of the rest, which is
    optimal, and one neuron for each of them), and they are far apart. In a simplex of three classes, with
    cosines of -1/2, they would tie.

    Parameters
    ----------
    n : int
        Samples, at least one for each class.
    d : int
        Features.
    n_classes : int
        From 2 to 2 d.
    rng : int, Generator, SeedSequence or None
        Source of randomness.

    Returns
    -------
    Dataset
        Labels +1 and -1, or 0..K-1 for more than two classes; class sizes differ by at most one.

    Raises
    ------
    InvalidInputError
        If there are more classes than 2 d, fewer samples than classes, or fewer than two classes.

    Examples
    --------
    >>> X, y = orthogonally_separable(6, 3, rng=0)
    >>> bool((((X @ X.T) > 0) == np.equal.outer(y, y)).all())
    True
    """
    n, d, n_classes = check_count(n, "n"), check_count(d, "d"), check_count(n_classes, "n_classes")
    if n_classes < 2:
        raise InvalidInputError(f"n_classes must be at least 2, got {n_classes}")
    if n_classes > 2 * d:
        raise InvalidInputError(
            f"n_classes must be at most 2 d = {2 * d}, got {n_classes}: no more non-zero vectors in "
            f"{d} dimensions have pairwise products that are not positive"
        )
    if n < n_classes:
        raise InvalidInputError(f"n must be at least n_classes = {n_classes}, one sample each, got {n}")
    generator = as_generator(rng)
    classes = generator.permutation(np.arange(n) % n_classes)
    X = np.zeros((n, d))
    cones = _upright_cones if 3 <= n_classes <= d else _obtuse_cones
    for columns, members in _blocks(d, n_classes):
        for k, rays in zip(members, cones(len(columns), len(members), generator), strict=True):
            rows = np.flatnonzero(classes == k)
            X[np.ix_(rows, columns)] = _in_cone(rays, len(rows), generator)
    y = 2.0 * classes - 1.0 if n_classes == 2 else classes
    return Dataset(
        X,
        y,
        "orthogonally-separable",
        f"random cones of {n_classes} classes with non-positive products between them",
    )


def _blocks(d: int, n_classes: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return columns and classes of each block: m columns hold m + 1 classes at most."""
    n_blocks = max(1, n_classes - d)
    columns = np.array_split(np.arange(d), n_blocks)
    sizes = [min(len(block) + 1, n_classes) for block in columns]
    classes = np.split(np.arange(n_classes), np.cumsum(sizes)[:-1])
    return list(zip(columns, classes, strict=True))


def _obtuse_cones(
    d: int, n_classes: int, generator: np.random.Generator
) -> list[Float[np.ndarray, "rays d"]]:
    """Return unit rays for each class, with products as _CLEARANCE says.

    Each ray sets out from the vertex of a simplex that stands for its class and goes a random direction,
    half the way at least to where the first product with an earlier ray would come too close to zero.
    """
    simplex = np.eye(n_classes) - 1.0 / n_classes
    basis = np.linalg.svd(simplex)[2][: n_classes - 1]
    turn = np.linalg.qr(generator.normal(size=(d, d)))[0]
    centres = simplex @ basis.T @ turn[: n_classes - 1]
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    gap = _CLEARANCE / n_classes
    rays, owner = centres.copy(), np.arange(n_classes)
    for k in generator.permutation(np.repeat(np.arange(n_classes), 2 * (d - 1))):
        side = np.where(owner == k, 1.0, -1.0)
        step = generator.normal(size=d)
        step /= np.linalg.norm(step)
        # side * (centre + t step) @ ray >= gap (1 + t), which is at least gap times the norm of the new ray.
        slack, loss = side * (rays @ centres[k]) - gap, gap - side * (rays @ step)
        reach = np.min(slack[loss > 0] / loss[loss > 0], initial=10.0)
        ray = centres[k] + generator.uniform(0.5, 1.0) * reach * step
        rays, owner = np.vstack([rays, ray / np.linalg.norm(ray)]), np.append(owner, k)
    return [rays[owner == k] for k in range(n_classes)]


def _upright_cones(
    d: int, n_classes: int, generator: np.random.Generator
) -> list[Float[np.ndarray, "rays d"]]:
    """Return unit rays for each of at most d classes, nearly at right angles to the other classes' rays.

    Each class has coordinates of its own. Its cone is drawn in halfway towards its centre, so that every ray
    r has ``r @ centre >= 0.7``, and is tilted away from the other classes by the step t = _CLEARANCE / c
    against their centres: products of rays of different classes are then at most ``-1.4 t + c t^2``.
    """
    tilt = _CLEARANCE / n_classes
    turn = np.linalg.qr(generator.normal(size=(d, d)))[0]
    blocks = np.array_split(turn, n_classes)
    cones = [_obtuse_cones(len(block), 2, generator)[0] @ block for block in blocks]
    centres = np.array([cone[0] for cone in cones])
    tilted = []
    for cone, centre in zip(cones, centres, strict=True):
        drawn_in = cone + centre
        drawn_in /= np.linalg.norm(drawn_in, axis=1, keepdims=True)
        rays = drawn_in - tilt * (centres.sum(axis=0) - centre)
        tilted.append(rays / np.linalg.norm(rays, axis=1, keepdims=True))
    return tilted


def _in_cone(
    rays: Float[np.ndarray, "rays d"], n: int, generator: np.random.Generator
) -> Float[np.ndarray, "n d"]:
    """Return random samples of the cone: mixtures of few of its rays, at distances of order one."""
    weights = generator.gamma(1.0 / len(rays), size=(n, len(rays)))
    weights /= weights.sum(axis=1, keepdims=True)
    distance = generator.lognormal(0.0, 0.3, size=(n, 1))
    return np.asarray(distance * (weights @ rays))


def spike_free(n: int, d: int, *, rng: RNGLike = None) -> Dataset:
    """Return spike-free data (WP Definition 2): rows whose inverse Gram matrix is negative off its diagonal.

    That matrix is drawn (diagonally dominant) and the rows are made from it; scaling rows keeps the property.

    Parameters
    ----------
    n : int
        Samples, at most d.
    d : int
        Features.
    rng : int, Generator, SeedSequence or None
        Source of randomness.

    Returns
    -------
    Dataset
        Labels +1 and -1 at random, both of them if n >= 2.

    Raises
    ------
    InvalidInputError
        If n > d: rows of spike-free data are linearly independent unless they are multiples of each other.

    Examples
    --------
    >>> X, y = spike_free(3, 4, rng=0)
    >>> inverse = np.linalg.inv(X @ X.T)
    >>> bool((inverse[~np.eye(3, dtype=bool)] < 0).all())
    True
    """
    n, d = check_count(n, "n"), check_count(d, "d")
    if n > d:
        raise InvalidInputError(
            f"n must be at most d = {d}, got {n}: rows of spike-free data are linearly "
            "independent unless they are multiples of each other"
        )
    generator = as_generator(rng)
    upper = np.triu(generator.uniform(0.1, 1.0, size=(n, n)), 1)
    coupling = upper + upper.T
    inverse = np.diag(coupling.sum(axis=1) + generator.uniform(0.2, 1.0, size=n)) - coupling
    gram = np.linalg.inv(inverse)
    rows = np.linalg.cholesky((gram + gram.T) / 2) @ np.linalg.qr(generator.normal(size=(d, n)))[0].T
    lengths = generator.lognormal(0.0, 0.3, size=n)
    X = rows * (lengths / np.linalg.norm(rows, axis=1))[:, None]
    return Dataset(
        X, _both_signs(n, generator), "spike-free", "random rows with an inverse M-matrix for Gram matrix"
    )


def _both_signs(n: int, generator: np.random.Generator) -> Float[np.ndarray, " n"]:
    """Return random signs, not all alike if there are two or more."""
    signs = np.where(generator.random(n) < 0.5, 1.0, -1.0)
    signs[:2] = (1.0, -1.0)[: len(signs)]
    return np.asarray(generator.permutation(signs))


def teacher(n: int, d: int, *, width: int = 3, margin: float = 0.1, rng: RNGLike = None) -> Dataset:
    """Return Gaussian samples labelled by the sign of a random two-layer ReLU network, those with a margin.

    The teacher is ``f(x) = sum_i s_i (x^T v_i)_+`` with random unit vectors v_i and signs s_i, both signs
    among them; samples with ``|f(x)| <= margin`` are left out. Its objective for margin 1 is therefore below
    ``width / margin``, a bound on P* that can be stated without solving anything.

    Parameters
    ----------
    n : int
        Samples.
    d : int
        Features.
    width : int
        Neurons of the teacher, at least 2 if n >= 2.
    margin : float
        Samples closer than this to the teacher's decision boundary are not taken.
    rng : int, Generator, SeedSequence or None
        Source of randomness.

    Returns
    -------
    Dataset
        Labels +1 and -1, both of them if n >= 2.

    Raises
    ------
    InvalidInputError
        If no teacher of this width keeps one sample in a hundred, or width is 1 and n >= 2.

    Examples
    --------
    >>> X, y = teacher(50, 3, rng=0)
    >>> X.shape, np.unique(y)
    ((50, 3), array([-1.,  1.]))
    """
    n, d, width = check_count(n, "n"), check_count(d, "d"), check_count(width, "width")
    margin, generator = check_nonnegative(margin, "margin"), as_generator(rng)
    if width < 2 <= n:
        raise InvalidInputError(
            f"width must be at least 2, got {width}: one neuron gives one label, n = {n} need two"
        )
    for _ in range(_MAX_TEACHERS):
        directions = generator.normal(size=(width, d))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        X, y = _labelled(n, directions, _both_signs(width, generator), margin, generator)
        if len(y) == n and (n == 1 or np.ptp(y) > 0):
            return Dataset(
                X, y, "teacher", f"labels of a random network of {width} neurons, margin above {margin:g}"
            )
    raise InvalidInputError(
        f"margin must be within reach of a random network of {width} neurons, got {margin:g}: none of "
        f"{_MAX_TEACHERS} gave both labels and kept {_LEAST_KEPT:.0%} of the samples; lower the margin"
    )


def _labelled(
    n: int,
    directions: Float[np.ndarray, "width d"],
    signs: Float[np.ndarray, " width"],
    margin: float,
    generator: np.random.Generator,
) -> tuple[Float[np.ndarray, "k d"], Float[np.ndarray, " k"]]:
    """Return n samples with |f| > margin and their labels, or fewer if the network keeps too few."""
    kept, values, total = [], [], 0
    # batches of 2 n samples, of which 2 n / 100 are kept: ten times what the worst teacher needs
    for batch in range(500):
        X = generator.normal(size=(_PROBE if batch == 0 else max(_PROBE, 2 * n), directions.shape[1]))
        f = np.maximum(X @ directions.T, 0.0) @ signs
        far = np.abs(f) > margin
        kept.append(X[far])
        values.append(np.sign(f[far]))
        total += int(far.sum())
        if total >= n or (batch == 0 and total < _LEAST_KEPT * _PROBE):
            break
    return np.concatenate(kept)[:n], np.concatenate(values)[:n]


def moons(n: int, *, noise: float = 0.08, rng: RNGLike = 0) -> Dataset:
    """Return two interleaving half circles in the plane, with a bias column.

    Parameters
    ----------
    n : int
        Samples.
    noise : float
        Standard deviation of the Gaussian noise on the points; the half circles have radius 1.
    rng : int, Generator, SeedSequence or None
        Source of randomness; the same points at each call unless another one is given.

    Returns
    -------
    Dataset
        Three features, the last one 1; labels +1 (the lower half circle) and -1.

    Raises
    ------
    InvalidInputError
        If n < 1 or noise < 0.

    Examples
    --------
    >>> moons(100)
    Dataset('moons', n=100, d=3, n_classes=2)
    """
    n, noise = check_count(n, "n"), check_nonnegative(noise, "noise")
    from sklearn.datasets import make_moons

    X, y = make_moons(n, noise=noise, random_state=_sklearn_seed(rng))
    return Dataset(with_bias(X), 2.0 * y - 1.0, "moons", f"two half circles, noise {noise:g}, bias column")


def circles(n: int, *, noise: float = 0.08, factor: float = 0.5, rng: RNGLike = 0) -> Dataset:
    """Return two circles in the plane, one inside the other, with a bias column.

    Parameters
    ----------
    n : int
        Samples.
    noise : float
        Standard deviation of the Gaussian noise on the points.
    factor : float
        Radius of the inner circle, below 1; the outer one has radius 1.
    rng : int, Generator, SeedSequence or None
        Source of randomness; the same points at each call unless another one is given.

    Returns
    -------
    Dataset
        Three features, the last one 1; labels +1 (the inner circle) and -1.

    Raises
    ------
    InvalidInputError
        If n < 1, noise < 0, or factor is not in [0, 1).

    Examples
    --------
    >>> circles(100)
    Dataset('circles', n=100, d=3, n_classes=2)
    """
    n, noise, factor = (
        check_count(n, "n"),
        check_nonnegative(noise, "noise"),
        check_nonnegative(factor, "factor"),
    )
    if factor >= 1:
        raise InvalidInputError(f"factor must be below 1, the outer circle's radius, got {factor:g}")
    from sklearn.datasets import make_circles

    X, y = make_circles(n, noise=noise, factor=factor, random_state=_sklearn_seed(rng))
    return Dataset(with_bias(X), 2.0 * y - 1.0, "circles", f"two circles, noise {noise:g}, bias column")


def _sklearn_seed(rng: RNGLike) -> int:
    """Return a seed for scikit-learn, which does not take a Generator."""
    return int(as_generator(rng).integers(2**32))
