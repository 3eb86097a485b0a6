"""Which runs are wanted: the data, the settings, and where each run starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from convexrelu._clock import Clock
from convexrelu._finished import digest
from convexrelu._typing import ArrayLike, RNGLike
from convexrelu._validation import (
    OneVsRest,
    as_class_labels,
    as_generator,
    as_matrix,
    check_count,
    check_positive,
    check_range,
    one_vs_rest,
)
from convexrelu.errors import InvalidInputError
from convexrelu.networks import TwoLayerReLU
from convexrelu.training.problem import check_start
from convexrelu.training.start import ScaledStart, draw_start

__all__ = ["Plan", "Start", "plan_of"]

LARGEST_ROW = 1e99
"""Relative to the shortest row that is not zero: in units of the longest, descent must still take it."""

LARGEST_SCALE = 1e99
"""Of weights, in units in which the longest row has length 1, and one over the smallest: then squares of
weights and products of three of them stay within float64. It is a tenth of what descent takes, so that no
stage may find the weights of the one before it too large."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Start:
    """Where a run starts: at a given network, or at random scaled neurons for each binary problem.

    Attributes
    ----------
    given : tuple of TwoLayerReLU
        The network, or nothing.
    width : int
        Neurons of each network.
    scale : float
        Size of each neuron.
    seed : Generator
        Source of the neurons.
    """

    given: tuple[TwoLayerReLU, ...]
    width: int
    scale: float
    seed: np.random.Generator

    def draw(self, X: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"], clock: Clock) -> ScaledStart:
        """Return the start for one binary problem, drawn anew; once the clock expires, any start."""
        if self.given:
            return ScaledStart(network=self.given[0], satisfied=True, draws=0)
        return draw_start(X, y, width=self.width, scale=self.scale, generator=self.seed, clock=clock)


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """All runs to be done.

    Attributes
    ----------
    X : (n, d) float array
        The data.
    labels : (n,) array
        The labels as given.
    encoded : OneVsRest
        The labels of each binary problem.
    widths : tuple of int
        Neurons of each network.
    scales : tuple of float
        Sizes of the neurons at the start.
    starts : tuple of Start
        One a run: by scale, then width, then seed.
    settings : dict
        What the runs depend on, as JSON values.
    """

    X: Float[np.ndarray, "n d"]
    labels: np.ndarray
    encoded: OneVsRest
    widths: tuple[int, ...]
    scales: tuple[float, ...]
    starts: tuple[Start, ...]
    settings: dict[str, Any]


def plan_of(
    X: ArrayLike,
    y: ArrayLike,
    width: int | Sequence[int],
    init_scale: float | Sequence[float],
    n_runs: int,
    starts: Sequence[TwoLayerReLU] | None,
    rng: RNGLike,
) -> Plan:
    """Check the data and the arguments that say which runs are wanted."""
    matrix = as_matrix(X)
    check_range(matrix)
    labels = as_class_labels(y, length=len(matrix))
    encoded = one_vs_rest(labels)
    generator = as_generator(0 if rng is None else rng)
    source = repr(generator.bit_generator.state) + repr(generator.bit_generator.seed_seq)
    _check_rows(matrix)
    widths = tuple(check_count(value, "width") for value in _several(width, "width"))
    scales = tuple(_check_scale(value, matrix) for value in _several(init_scale, "init_scale"))
    each = check_count(n_runs, "n_runs")
    given = _check_starts(starts, len(encoded.Y), matrix)
    if given:
        scales = (max(float(np.abs(start.w2).max(initial=0.0)) for start in given),)
        widths, each = (max(start.n_neurons for start in given),), len(given)
    cells = [(scale, width) for scale in scales for width in widths for _ in range(each)]
    seeds = generator.spawn(len(cells))
    return Plan(
        X=matrix,
        labels=labels,
        encoded=encoded,
        widths=widths,
        scales=scales,
        starts=tuple(
            Start(given=given[number : number + 1], width=width, scale=scale, seed=seeds[number])
            for number, (scale, width) in enumerate(cells)
        ),
        settings={
            "data": digest(matrix, labels),
            "width": list(widths),
            "init_scale": list(scales),
            "n_runs": each,
            "starts": digest(*(part for start in given for part in (start.W1, start.w2))),
            "rng": source,
        },
    )


def _several(value: Any, name: str) -> tuple[Any, ...]:
    """One value or several of them, all different."""
    try:
        values = (value,) if np.ndim(value) == 0 else tuple(value)
        different = len(set(values)) == len(values) > 0
    except (TypeError, ValueError):  # sets and nested lists
        different = False
    if not different:
        raise InvalidInputError(f"{name} must be one value or a list of different ones, got {value!r}")
    return values


def _check_rows(X: Float[np.ndarray, "n d"]) -> None:
    """Refuse rows out of range in units in which the longest has length 1."""
    sizes = np.abs(X).max(axis=1)
    if (sizes[sizes > 0] < _longest(X) / LARGEST_ROW).any():
        raise InvalidInputError(
            f"X must have rows that are at most {LARGEST_ROW:.0e} times as long as another (or zero), got "
            f"sizes from {sizes[sizes > 0].min():.3g} to {sizes.max():.3g}"
        )


def _longest(X: Float[np.ndarray, "n d"]) -> float:
    return float(np.linalg.norm(X, axis=1).max()) or 1.0


def _check_scale(value: Any, X: Float[np.ndarray, "n d"], name: str = "init_scale") -> float:
    """Return a size of weights at which float64 can hold their squares and the outputs."""
    scale, unit = check_positive(value, name), np.sqrt(_longest(X))
    if not 1 / LARGEST_SCALE <= scale * unit <= LARGEST_SCALE:
        raise InvalidInputError(
            f"{name} must be from {1 / LARGEST_SCALE / unit:.3g} to {LARGEST_SCALE / unit:.3g} on this data "
            f"({1 / LARGEST_SCALE:.0e} to {LARGEST_SCALE:.0e} over the root of the longest row), got "
            f"{value!r}"
        )
    return scale


def _check_starts(
    starts: Sequence[TwoLayerReLU] | None, n_problems: int, X: Float[np.ndarray, "n d"]
) -> tuple[TwoLayerReLU, ...]:
    if isinstance(starts, TwoLayerReLU):
        raise InvalidInputError("starts must be a sequence of networks, got a single one: put it into a list")
    try:
        given = () if starts is None else tuple(starts)
    except TypeError as error:
        raise InvalidInputError(f"starts must be a sequence of networks, got {starts!r}") from error
    if given and n_problems > 1:
        raise InvalidInputError("starts are for two labels only: for K classes every class needs its own")
    for start in given:
        check_start(start, X)
        largest = max(float(np.abs(start.W1).max()), float(np.abs(start.w2).max()))
        if largest:
            _check_scale(largest, X, "the largest weight of a start")
    return given
