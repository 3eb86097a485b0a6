"""Where the early phase takes each direction of the plane or of space, on a grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from convexrelu._typing import ArrayLike
from convexrelu._validation import as_data, check_count
from convexrelu.errors import InvalidInputError
from convexrelu.training.early_phase.alignment import AlignmentResult, alignment_flow

__all__ = ["BasinMap", "basin_map"]


@dataclass(frozen=True, kw_only=True, eq=False)
class BasinMap:
    """The limits of the early phase from a grid of directions, for each sign of output weight.

    Attributes
    ----------
    X : (n, d) float array
        The data, d = 2 or 3.
    resolution : int
        Points across a hemisphere; directions round the circle are six times as many.
    starts : (m, d) float array
        The directions: evenly round the circle, or a square grid on each hemisphere in Lambert's equal-area
        projection, first that of positive and then that of negative third coordinate.
    positive, negative : AlignmentResult
        Their limits for neurons of positive and of negative output weight.
    """

    X: Float[np.ndarray, "n d"]
    resolution: int
    starts: Float[np.ndarray, "m d"]
    positive: AlignmentResult
    negative: AlignmentResult

    def __repr__(self) -> str:
        counts = [len(flow.extreme_points) for flow in (self.positive, self.negative)]
        return (
            f"BasinMap({len(self.starts)} starts, {counts[0]} extreme points of positive and "
            f"{counts[1]} of negative neurons)"
        )


def basin_map(X: ArrayLike, y: ArrayLike, *, resolution: int = 240) -> BasinMap:
    """Return the limits of the early phase from a grid of directions.

    Parameters
    ----------
    X : (n, d) array_like
        Data with two or three columns.
    y : (n,) array_like
        Labels.
    resolution : int, default 240
        Points across a hemisphere; directions round the circle are six times as many.

    Returns
    -------
    BasinMap
        What :func:`convexrelu.plotting.basins_figure` draws.

    Raises
    ------
    InvalidInputError
        If X does not have two or three columns.

    Examples
    --------
    >>> basin_map([[1.0, 0.0], [0.0, 1.0]], [1.0, 1.0], resolution=10)
    BasinMap(60 starts, 3 extreme points of positive and 0 of negative neurons)
    """
    matrix, labels = as_data(X, y)
    size = check_count(resolution, "resolution")
    if matrix.shape[1] not in (2, 3):
        raise InvalidInputError(f"X must have two or three columns to be mapped, got {matrix.shape[1]}")
    starts = _circle(6 * size) if matrix.shape[1] == 2 else _hemispheres(size)
    positive, negative = (
        alignment_flow(matrix, labels, starts, signs=sign, record=False) for sign in (1.0, -1.0)
    )
    return BasinMap(X=matrix, resolution=size, starts=starts, positive=positive, negative=negative)


def _circle(count: int) -> Float[np.ndarray, "m 2"]:
    angles = 2 * np.pi * (np.arange(count) + 0.5) / count
    return np.column_stack([np.cos(angles), np.sin(angles)])


def _hemispheres(size: int) -> Float[np.ndarray, "m 3"]:
    """The points behind a grid on the disc of radius sqrt 2, on both sides."""
    ticks = (2 * (np.arange(size) + 0.5) / size - 1) * np.sqrt(2)
    plane = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    plane = plane[(plane**2).sum(axis=1) < 2]
    return np.concatenate([_lifted(plane, side) for side in (1.0, -1.0)])


def _lifted(plane: Float[np.ndarray, "k 2"], side: float) -> Float[np.ndarray, "k 3"]:
    """The points of a hemisphere behind points of its equal-area disc of radius sqrt 2."""
    square = (plane**2).sum(axis=1, keepdims=True)
    return np.hstack([plane * np.sqrt(1 - square / 4), side * (1 - square / 2)])
