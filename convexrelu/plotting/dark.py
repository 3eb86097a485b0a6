"""A finished figure, recoloured for dark slides and pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import Collection
from matplotlib.colors import Colormap, ListedColormap, to_rgba
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.text import Annotation, Text

__all__ = ["PAPER", "darkened"]

PAPER = "#16181C"  # the dark of the HTML reports
_LIGHT = "#ECECEC"  # what black becomes: pure white glares
_GREY = 0.12  # of chroma: colours with less are greys, which are turned over
_CONTRAST = 4.5  # of a colour on the paper, as WCAG 2 asks of text
_MIXES = np.linspace(0.0, 1.0, 21)  # shares of white that a colour may get


def darkened(figure: Figure) -> Figure:
    """Return the figure itself, recoloured for a dark background.

    Greys are turned over, white becomes the paper, and colours that would be too dark on it are mixed with
    white until they are told from it. Draw under matplotlib's default style; call it once, at the end.

    Parameters
    ----------
    figure : Figure
        Of any function of this package; it is changed.

    Returns
    -------
    Figure
        The same. ``savefig(..., transparent=True)`` leaves the paper out.

    Examples
    --------
    >>> import convexrelu as cr
    >>> from convexrelu.plotting import decision_figure
    >>> X, y = cr.datasets.load("moons")
    >>> figure = darkened(decision_figure(X, y, cr.solve_max_margin(X, y).network))
    >>> figure.savefig("slide.svg")  # doctest: +SKIP
    """
    figure.patch.set_alpha(1.0)
    # each once: a grey that is turned twice is what it was
    for artist in {id(found): found for found in figure.findobj()}.values():
        _recolor(artist)
    return figure


def _recolor(artist: Artist) -> None:
    if isinstance(artist, Text):
        _each(artist, "color")
        box = artist.get_bbox_patch()
        arrow = artist.arrow_patch if isinstance(artist, Annotation) else None
        for patch in (box, arrow):  # neither is among the children
            if patch is not None:
                _each(patch, "facecolor", "edgecolor")
        if artist.get_path_effects():
            artist.set_path_effects([withStroke(linewidth=2.5, foreground=PAPER)])
    elif isinstance(artist, Line2D):
        _each(artist, "color", "markerfacecolor", "markeredgecolor")
    elif isinstance(artist, Patch):
        _each(artist, "facecolor", "edgecolor")
    elif isinstance(artist, AxesImage):
        _remap(artist)
    elif isinstance(artist, Collection):
        if artist.get_array() is not None:
            _remap(artist)
        if not isinstance(artist, ContourSet):
            _each(artist, "edgecolor", *(["facecolor"] if artist.get_array() is None else []))
    elif isinstance(artist, Axes):
        artist.tick_params(which="both", color=_on_dark("#8A8A8A"), labelcolor=_on_dark("black"))


def _each(artist: Artist, *kinds: str) -> None:
    """Recolour what an artist draws; "none" and "auto" stay, and so does opacity."""
    # read before any is set: the edge of a marker may follow the colour of its line
    found = {kind: getattr(artist, f"get_{kind}")() for kind in kinds}
    for kind, color in found.items():
        set_color: Callable[[Any], None] = getattr(artist, f"set_{kind}")
        if isinstance(color, str):
            if color not in ("none", "auto", "face"):
                set_color(_on_dark(color))
        elif len(color):
            rows = np.atleast_2d(np.asarray(color, dtype=float))
            turned = [_on_dark(tuple(row)) if row[-1] > 0 else tuple(row) for row in rows]
            set_color(turned if np.ndim(color) > 1 else turned[0])


def _remap(artist: AxesImage | Collection) -> None:
    """Recolour a colour map: ramps that begin or end in white begin or end in the paper."""
    given: Colormap = artist.get_cmap()
    table = [_on_dark(tuple(row)) for row in given(np.arange(given.N))]
    artist.set_cmap(ListedColormap(table, name=given.name))
    if isinstance(artist, ContourSet):
        artist.changed()


def _on_dark(color: Any) -> tuple[float, float, float, float]:
    """Return the colour that does on dark paper what this one does on white."""
    red, green, blue, alpha = to_rgba(color)
    rgb = np.array([red, green, blue])
    if np.ptp(rgb) < _GREY:
        share = float(rgb.mean())
        found = share * np.array(to_rgba(PAPER)[:3]) + (1 - share) * np.array(to_rgba(_LIGHT)[:3])
    else:
        mixes = rgb + _MIXES[:, None] * (1 - rgb)
        found = mixes[int(np.argmax(_contrasts(mixes) >= _CONTRAST))]
    return (float(found[0]), float(found[1]), float(found[2]), float(alpha))


def _contrasts(colors: Float[np.ndarray, "k 3"]) -> Float[np.ndarray, " k"]:
    """Return the contrast of each colour with the paper (WCAG 2)."""
    return np.asarray((_luminance(colors) + 0.05) / (_luminance(np.array(to_rgba(PAPER)[:3])) + 0.05))


def _luminance(colors: Float[np.ndarray, "*_ 3"]) -> Float[np.ndarray, "*_"]:
    linear = np.where(colors <= 0.04045, colors / 12.92, ((colors + 0.055) / 1.055) ** 2.4)
    return np.asarray(linear @ np.array([0.2126, 0.7152, 0.0722]))
