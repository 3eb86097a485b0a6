"""A solution, drawn: its network in the plane, and how its gap was closed."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from convexrelu._typing import ArrayLike
from convexrelu._validation import as_labels, as_matrix, as_vector
from convexrelu.errors import InvalidInputError
from convexrelu.networks import ReLUNetwork, TwoLayerReLU
from convexrelu.networks.convert import how_to_convert
from convexrelu.networks.layers import bias_hint
from convexrelu.networks.neurons import largest, row_norms
from convexrelu.plotting.arguments import check_kind
from convexrelu.plotting.style import (
    BOUND,
    GRID,
    INK,
    arrow,
    direction_marker,
    entitle,
    legend_below,
    new_figure,
    sign_color,
)
from convexrelu.solvers import MaxMarginSolution, MultiClassSolution, Solution
from convexrelu.solvers.history import PROVEN

__all__ = ["decision_figure", "gap_figure"]

_SIDE = 240  # points of the grid along each axis
_ROOM = 0.12  # of the data's extent, around it
_MOST_LINES = 30  # neurons that get one: more of them hide what they show
_PANELS = 4  # beside each other
_ARROW = 0.045  # of the frame's diagonal
_RINGED = 1e-6  # of the largest multiplier: smaller ones are a solver's idea of zero


def decision_figure(
    X: ArrayLike,
    y: ArrayLike,
    network: TwoLayerReLU | ReLUNetwork,
    lam: ArrayLike | None = None,
    *,
    names: tuple[str, str] = ("-1", "+1"),
    title: str = "",
) -> Figure:
    """Return the plane as a network divides it, with its neurons and the samples.

    The thick line is where the network is zero, the thin ones where it is one and minus one. Each neuron has
    a line where it switches on, in the colour of its output weight, the wider the larger the neuron; an arrow
    points to the side where it is active.

    Parameters
    ----------
    X : (n, 2) or (n, 3) array_like
        The samples; a third column is that of the biases, and constant.
    y : (n,) array_like
        Two labels, the larger is +1.
    network : TwoLayerReLU or ReLUNetwork
        Of one output; for K classes one of ``solution.solutions`` has it, with the labels of its class.
    lam : (n,) array_like or None
        Multipliers, ``solution.lam``: samples that carry one are ringed, the larger the more.
    names : tuple of str
        What the labels -1 and +1 are called.
    title : str
        The title.

    Returns
    -------
    Figure
        One panel.

    Raises
    ------
    InvalidInputError
        If the data is not in the plane, or the network has several outputs or other inputs.

    Examples
    --------
    >>> import convexrelu as cr
    >>> X, y = cr.datasets.load("moons")
    >>> solution = cr.solve_max_margin(X, y)
    >>> figure = decision_figure(X, y, solution.network, solution.lam, names=("upper", "lower"))
    >>> figure.axes[0].get_xlabel()
    'first input'
    """
    matrix = as_matrix(X)
    _check_plane(matrix, network)
    labels = as_labels(y, length=len(matrix))
    points = matrix[:, :2]
    figure, [[ax]] = new_figure(size=(6.4, 5.0), title=title)
    low, high = points.min(axis=0), points.max(axis=0)
    room = _ROOM * (float((high - low).max()) or 1.0)
    ax.set(xlim=(low[0] - room, high[0] + room), ylim=(low[1] - room, high[1] + room))
    _regions(ax, network, matrix[0, 2:])
    _neurons(ax, network, matrix[0, 2:])
    for sign, name in zip((-1.0, 1.0), names, strict=True):
        ax.plot(
            *points[labels == sign].T,
            direction_marker(sign),
            color=sign_color(sign),
            markeredgecolor="white",
            markeredgewidth=0.4,
            markersize=5.5,
            linestyle="none",
            zorder=4,
            label=str(name),
        )
    if lam is not None:
        _rings(ax, points, np.abs(as_vector(lam, "lam", length=len(matrix))))
    ax.set(xlabel="first input", ylabel="second input")
    legend_below(figure, ax, columns=5)
    return figure


def gap_figure(solution: MaxMarginSolution | MultiClassSolution | Solution, *, title: str = "") -> Figure:
    """Return the objective and the lower bound over the seconds of a solve: between the two lies P*.

    A solver estimates the bound in most rounds, and proves it in few: proven ones have a marker, and the last
    of them is the certificate's.

    Parameters
    ----------
    solution : MaxMarginSolution, MultiClassSolution or Solution
        Of :func:`convexrelu.solve_max_margin` or :func:`convexrelu.solve`.
    title : str
        The title.

    Returns
    -------
    Figure
        One panel, or one a class.

    Raises
    ------
    InvalidInputError
        If it is something else, such as a certificate, which does not know how it came about.

    Examples
    --------
    >>> import convexrelu as cr
    >>> figure = gap_figure(cr.solve_max_margin(*cr.datasets.load("moons")))
    >>> [text.get_text() for text in figure.legends[0].get_texts()]
    ['best objective so far', 'lower bound, estimated', 'lower bound, proven']
    """
    check_kind(solution, "solution", MaxMarginSolution, MultiClassSolution, Solution)
    parts = solution.solutions if isinstance(solution, MultiClassSolution) else (solution,)
    columns = min(len(parts), _PANELS)
    rows = -(-len(parts) // columns)
    size = (max(6.4, 3.4 * columns), 3.6 if rows == 1 else 2.8 * rows)
    figure, axes = new_figure(rows, columns, size=size, title=title)
    panels = [ax for row in axes for ax in row]
    for ax in panels[len(parts) :]:
        ax.remove()
    for k, (ax, part) in enumerate(zip(panels, parts, strict=False)):
        _bounds(ax, part)
        if isinstance(solution, MultiClassSolution):
            entitle(ax, f"{solution.classes[k]} against the rest")
    legend_below(figure, panels[0], columns=3)
    return figure


def _bounds(ax: Axes, solution: MaxMarginSolution | Solution) -> None:
    """Draw both bounds over the seconds of one solve."""
    rounds = solution.history
    seconds = np.array([part.seconds for part in rounds])
    objectives = np.minimum.accumulate([part.objective for part in rounds])
    bounds = np.array([part.bound for part in rounds])
    proven = np.array([part.phase in PROVEN for part in rounds])
    end = float(seconds[-1])
    reached = np.r_[objectives, solution.objective]
    ax.step(np.r_[seconds, end], reached, where="post", color=INK, label="best objective so far")
    if (~proven).any():
        style: dict[str, Any] = {"color": BOUND, "linewidth": 1.0, "linestyle": ":"}
        ax.plot(seconds[~proven], bounds[~proven], **style, label="lower bound, estimated")
    best = np.maximum.accumulate(np.r_[bounds[proven], solution.lower_bound])
    ax.plot(np.r_[seconds[proven], end], best, "o-", color=BOUND, markersize=4, label="lower bound, proven")
    # the first rounds are far off on both sides, and would flatten all others
    height = max(float(objectives[len(objectives) // 4 :].max()), solution.objective)
    ax.set_ylim(min(0.0, solution.lower_bound), 1.15 * height if height > 0 else 1.0)
    ax.set(xlim=(0.0, None), xlabel="seconds", ylabel="objective")
    ax.grid(color=GRID, linewidth=0.6)


def _check_plane(X: Float[np.ndarray, "n d"], network: TwoLayerReLU | ReLUNetwork) -> None:
    d = X.shape[1]
    if not (d == 2 or (d == 3 and (X[:, 2] == X[0, 2]).all())):
        raise InvalidInputError(
            f"X must have two columns, or two and a constant one (datasets.with_bias), got {d} columns"
        )
    if not isinstance(network, (TwoLayerReLU, ReLUNetwork)):
        raise InvalidInputError(
            f"network must be a TwoLayerReLU or a ReLUNetwork, got {type(network).__name__}"
            f"{how_to_convert(network)}"
        )
    if network.n_features != d:
        raise InvalidInputError(
            f"network must have {d} inputs, as X has columns, got {network.n_features}"
            f"{bias_hint(d, network.n_features)}"
        )
    if isinstance(network, ReLUNetwork) and network.n_outputs != 1:
        raise InvalidInputError(
            f"network must have one output, got {network.n_outputs}: take one of solution.solutions"
        )


def _regions(ax: Axes, network: TwoLayerReLU | ReLUNetwork, constant: Float[np.ndarray, " k"]) -> None:
    """Shade both sides, and draw where the network is -1, 0 and 1."""
    xs, ys = np.linspace(*ax.get_xlim(), _SIDE), np.linspace(*ax.get_ylim(), _SIDE)
    grid = np.stack(np.meshgrid(xs, ys), axis=-1).reshape(-1, 2)
    inputs = np.hstack([grid, np.broadcast_to(constant, (len(grid), len(constant)))])
    heights = np.asarray(network(inputs)).reshape(_SIDE, _SIDE)
    colors = [sign_color(-1.0), sign_color(1.0)]
    ax.contourf(xs, ys, heights, levels=[-np.inf, 0.0, np.inf], colors=colors, alpha=0.12)
    drawn = [level for level in (-1.0, 0.0, 1.0) if heights.min() < level < heights.max()]
    if drawn:  # a constant network decides nothing
        widths = [1.8 if level == 0 else 0.8 for level in drawn]
        ax.contour(xs, ys, heights, levels=drawn, colors=INK, linewidths=widths, linestyles="solid")


def _neurons(ax: Axes, network: TwoLayerReLU | ReLUNetwork, constant: Float[np.ndarray, " k"]) -> None:
    """Draw where the largest neurons switch on, and an arrow to the side where each is active."""
    weights = np.ravel(network.w2)
    sizes = np.abs(weights) * row_norms(network.W1)
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    middle = np.array([left + right, low + high]) / 2
    diagonal = float(np.hypot(right - left, high - low))
    for i in largest(sizes, _MOST_LINES):
        slope, offset = network.W1[i, :2], float(network.W1[i, 2:] @ constant)
        length = float(np.hypot(*slope))
        if length == 0:  # a constant: it switches on nowhere
            continue
        normal = slope / length
        foot = middle - (middle @ normal + offset / length) * normal
        share = float(sizes[i] / sizes.max())
        color = sign_color(float(weights[i]))
        label = f"{'positive' if weights[i] > 0 else 'negative'} neuron"
        along = np.array([-normal[1], normal[0]])
        ends = np.array([foot - diagonal * along, foot + diagonal * along])
        ax.plot(
            *ends.T, color=color, linewidth=0.5 + 1.7 * share, linestyle=(0, (4, 2)), zorder=2, label=label
        )
        if left < foot[0] < right and low < foot[1] < high:
            tip = foot + _ARROW * diagonal * normal
            arrow(ax, foot, tip, color=color, width=0.5 + 1.2 * share, zorder=3)


def _rings(ax: Axes, points: Float[np.ndarray, "n 2"], sizes: Float[np.ndarray, " n"]) -> None:
    """Ring the samples that carry a multiplier."""
    ringed = sizes > _RINGED * sizes.max()
    ax.scatter(
        points[ringed, 0],
        points[ringed, 1],
        s=35 + 130 * sizes[ringed] / sizes.max(initial=1e-300),
        facecolors="none",
        edgecolors=INK,
        linewidths=0.9,
        zorder=5,
        label="carries a multiplier",
    )
