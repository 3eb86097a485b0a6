"""WP Figures 1-4 and 6-10 and the zonotopes, put together from computed objects."""

from __future__ import annotations

from collections.abc import Sequence

from convexrelu.plotting.ellipsoid import ellipsoids_figure, extreme_points_figure
from convexrelu.plotting.polar import polar_figure
from convexrelu.plotting.style import NamedFigure
from convexrelu.plotting.trajectories import circle_figure, ellipsoid_trajectories_figure, seeds_figure
from convexrelu.plotting.zonotopes import ZonotopePanel, zonotopes_figure
from convexrelu.solvers import MaxMarginSolution
from convexrelu.training import Trajectory

__all__ = ["f1_figures", "f2_figures", "zonotopes"]


def f1_figures(solution: MaxMarginSolution, runs: Sequence[Trajectory]) -> tuple[NamedFigure, ...]:
    """Return WP Figures 1, 2, 3, 4, 6 and 7, all about the data of WP appendix F.1.

    Parameters
    ----------
    solution : MaxMarginSolution
        The certified optimum of that data.
    runs : sequence of Trajectory
        Gradient descent from several seeds; the first one is drawn in Figures 3 and 4.

    Returns
    -------
    tuple of NamedFigure
        In the order of the paper.
    """
    X, y, best, lam = runs[0].X, runs[0].y, solution.network, solution.lam
    last = int(runs[0].times[-1])
    steps = f"gradient descent, {runs[0].w2.shape[1]} neurons, {last} iterations"
    figures = {
        "wp-figure-1": extreme_points_figure(
            X, best, lam, title="WP Figure 1: rectified ellipsoid and extreme points (F.1)"
        ),
        "wp-figure-2": polar_figure(X, y, lam, title="WP Figure 2: absolute polar set (F.1)"),
        "wp-figure-3": ellipsoid_trajectories_figure(
            runs[0], best, title=r"WP Figure 3: paths of $(X\hat w_{1,i})_+$ (F.1)" + f"\n{steps}"
        ),
        "wp-figure-4": circle_figure(
            runs[0], best, title=rf"WP Figure 4: paths of $\hat w_{{1,i}}$ (F.1), {steps}"
        ),
        "wp-figure-6": ellipsoids_figure(
            X, title="WP Figure 6: ellipsoid and rectified ellipsoid (F.1, not spike-free)"
        ),
        "wp-figure-7": seeds_figure(runs, best, title=f"WP Figure 7: several initialisations (F.1), {steps}"),
    }
    return tuple(NamedFigure(name=name, figure=figure) for name, figure in figures.items())


def f2_figures(solution: MaxMarginSolution, runs: Sequence[Trajectory]) -> tuple[NamedFigure, ...]:
    """Return WP Figures 8, 9 and 10, about the data of WP appendix F.2 (spike-free, despite the captions).

    Parameters
    ----------
    solution : MaxMarginSolution
        The certified optimum of that data.
    runs : sequence of Trajectory
        Gradient descent from several seeds.

    Returns
    -------
    tuple of NamedFigure
        In the order of the paper.
    """
    X, best, lam = runs[0].X, solution.network, solution.lam
    steps = f"gradient descent, {runs[0].w2.shape[1]} neurons, {int(runs[0].times[-1])} iterations"
    figures = {
        "wp-figure-8": ellipsoids_figure(
            X, title="WP Figure 8: ellipsoid and rectified ellipsoid (F.2, spike-free)"
        ),
        "wp-figure-9": extreme_points_figure(
            X, best, lam, title="WP Figure 9: rectified ellipsoid and extreme points (F.2)"
        ),
        "wp-figure-10": seeds_figure(
            runs, best, title=f"WP Figure 10: several initialisations (F.2), {steps}"
        ),
    }
    return tuple(NamedFigure(name=name, figure=figure) for name, figure in figures.items())


def zonotopes(panels: Sequence[ZonotopePanel]) -> NamedFigure:
    """Return the picture of the dual problem as two zonotopes at Hausdorff distance 1.

    Parameters
    ----------
    panels : sequence of ZonotopePanel
        Data sets in the plane with their optima.

    Returns
    -------
    NamedFigure
        "zonotopes".
    """
    title = r"The dual as zonotopes: at the optimal $\lambda$ they are 1 apart, and the neurons realise it"
    return NamedFigure(name="zonotopes", figure=zonotopes_figure(panels, title=title))
