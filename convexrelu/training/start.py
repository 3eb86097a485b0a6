"""Starting points: scaled neurons that meet the condition of WP Theorem 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from convexrelu._clock import Clock
from convexrelu._typing import ArrayLike, RNGLike
from convexrelu._validation import as_data, as_generator, check_count, check_positive
from convexrelu.networks import TwoLayerReLU

__all__ = ["ScaledStart", "draw_start", "scaled_start"]


@dataclass(frozen=True, kw_only=True, eq=False)
class ScaledStart:
    """A network of scaled neurons, and whether it meets the condition of WP Theorem 1.

    Attributes
    ----------
    network : TwoLayerReLU
        Its neurons have ``||w1|| = |w2|``, with output signs +, -, +, ...
    satisfied : bool
        Whether each sign whose label is present has a neuron with ``sign(y^T (X w1)_+) = sign(w2)``.
    draws : int
        How many networks were drawn.
    """

    network: TwoLayerReLU
    satisfied: bool
    draws: int

    def __str__(self) -> str:
        verdict = "holds" if self.satisfied else "does not hold"
        width = len(self.network.w2)
        return f"scaled start of {width} neurons: WP Theorem 1's condition {verdict} (draws: {self.draws})"


def scaled_start(X: ArrayLike, y: ArrayLike, *, width: int, scale: float, rng: RNGLike = None) -> ScaledStart:
    """Random scaled neurons, redrawn until both classes have one that starts in their favour (WP eq. (9)).

    Directions are uniform on the sphere, ``||w1|| = |w2| = scale``, and output signs alternate +, -, +, ...
    Starts are drawn, at most 100 of them, until each sign whose label is present has a neuron with ``sign(y^T
    (X w1)_+) = sign(w2)``; if none does, the last one is returned and ``satisfied`` is False.

    Parameters
    ----------
    X : (n, d) array_like
        Data.
    y : (n,) array_like
        Binary labels.
    width : int
        The number of neurons.
    scale : float
        The norm of each neuron's two weights.
    rng : int, Generator, SeedSequence or None
        The source of randomness; the same seed gives the same start.

    Returns
    -------
    ScaledStart
        The network and whether the condition holds.

    Raises
    ------
    InvalidInputError
        If the data or `rng` is malformed, or `width` or `scale` is not positive.

    Examples
    --------
    >>> start = scaled_start([[1.65, -0.47], [-0.47, 1.35]], [1, -1], width=10, scale=1e-3, rng=0)
    >>> start.satisfied
    True
    """
    X, y = as_data(X, y)
    width = check_count(width, "width")
    scale = check_positive(scale, "scale")
    return draw_start(X, y, width=width, scale=scale, generator=as_generator(rng), clock=Clock())


def draw_start(
    X: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, " n"],
    *,
    width: int,
    scale: float,
    generator: np.random.Generator,
    clock: Clock,
) -> ScaledStart:
    """The same, of checked arguments; the first start drawn after the clock has expired is the last."""
    signs = np.where(np.arange(width) % 2 == 0, 1.0, -1.0)
    draw, satisfied = 0, False
    # beyond 100 draws the data is in the way, not chance
    while not draw or not (satisfied or draw == 100 or clock.expired()):
        draw += 1
        directions = generator.normal(size=(width, X.shape[1]))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        favour = y @ np.maximum(X @ directions.T, 0.0)
        satisfied = all(((signs == label) & (label * favour > 0)).any() for label in np.unique(y))
    return ScaledStart(
        network=TwoLayerReLU(scale * directions, scale * signs), satisfied=satisfied, draws=draw
    )
