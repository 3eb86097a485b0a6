"""What gradient descent found over all runs, next to the certified optimum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
from jaxtyping import Float

from convexrelu._shown import Shown, number
from convexrelu._status import Status
from convexrelu._validation import one_vs_rest
from convexrelu.errors import InvalidInputError
from convexrelu.solvers import MaxMarginSolution, MultiClassSolution
from convexrelu.training import AlignmentResult, alignment_flow
from convexrelu.verify.cells import AlignedShare, LimitCell, Share
from convexrelu.verify.verdicts import GLOBAL, NOT_CONVERGED, VERDICTS, LimitRun, problem_names

__all__ = ["LimitReport", "run_cells"]

_MOST_POINTS = 12  # extreme points printed
_RUN_COLUMNS = (3, 9, 7, 9, 7, 8, 6)  # with the commonest verdict, 80 columns
_CELL_COLUMNS = (7, 7, 24)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LimitReport(Shown):
    """What gradient descent found, run by run, next to the certified optimum.

    Attributes
    ----------
    X : (n, d) float array
        The data.
    y : (n,) float array
        The labels as given.
    solution : MaxMarginSolution or MultiClassSolution
        The certified optimum.
    runs : tuple of LimitRun
        Those finished: by scale, then width, then seed.
    widths : tuple of int
        Neurons of each network, as asked for.
    init_scales : tuple of float
        Sizes of the neurons at the start, as asked for.
    n_planned : int
        Runs asked for.
    status : str
        "finished", "time_limit" or "interrupted"; the last two leave runs out.

    Examples
    --------
    >>> from convexrelu import verify_gradient_descent
    >>> report = verify_gradient_descent([[1.0, 0.0], [0.0, 1.0]], [1, -1], n_runs=2, rng=0)
    >>> report.all_optimal, report.counts
    (True, {'global optimum': 2})
    >>> report.runs[0]
    <LimitRun: 10 neurons: global optimum, objective 2..., its limit 2>
    """

    X: Float[np.ndarray, "n d"]
    y: np.ndarray
    solution: MaxMarginSolution | MultiClassSolution
    runs: tuple[LimitRun, ...]
    widths: tuple[int, ...]
    init_scales: tuple[float, ...]
    n_planned: int
    status: str

    @cached_property
    def cells(self) -> tuple[LimitCell, ...]:
        """One cell for each initial scale and width, in the order of the runs."""
        return tuple(
            LimitCell(
                width=width,
                init_scale=scale,
                runs=tuple(r for r in self.runs if (r.width, r.init_scale) == (width, scale)),
            )
            for scale in self.init_scales
            for width in self.widths
        )

    def cell(self, *, width: int, init_scale: float) -> LimitCell:
        """Return the runs of one width and initial scale.

        Parameters
        ----------
        width : int
            One of `widths`.
        init_scale : float
            One of `init_scales`.

        Returns
        -------
        LimitCell
            Its finished runs.

        Raises
        ------
        InvalidInputError
            If there is no such cell.
        """
        for cell in self.cells:
            if (cell.width, cell.init_scale) == (width, init_scale):
                return cell
        raise InvalidInputError(
            f"width and init_scale must be among {self.widths} and {self.init_scales}, "
            f"got {width} and {init_scale}"
        )

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many runs got each verdict."""
        verdicts = [run.verdict for run in self.runs]
        return {verdict: verdicts.count(verdict) for verdict in VERDICTS if verdict in verdicts}

    @property
    def all_optimal(self) -> bool:
        """Whether every run asked for ended in a global optimum."""
        return set(self.counts) == {GLOBAL} and len(self.runs) == self.n_planned

    @cached_property
    def problems(self) -> tuple[str, ...]:
        """Names of the binary problems: "" for two labels, the classes for more."""
        if isinstance(self.solution, MultiClassSolution):
            return problem_names(self.solution.classes)
        return ("",)

    @cached_property
    def alignments(self) -> tuple[AlignmentResult, ...]:
        """The exact early phase of all runs' neurons together, one result a binary problem.

        Neurons without weights are left out; of neurons that are not scaled only the direction counts.

        Raises
        ------
        InvalidInputError
            If there is no run.
        """
        if not self.runs:
            raise InvalidInputError("no run has finished, so there are no neurons to follow")
        labels = one_vs_rest(self.y).Y
        return tuple(self._alignment(k, y) for k, y in enumerate(labels))

    def _alignment(self, k: int, y: Float[np.ndarray, " n"]) -> AlignmentResult:
        paths = [run.trajectories[k] for run in self.runs]
        W1, w2 = np.vstack([p.W1[0] for p in paths]), np.concatenate([p.w2[0] for p in paths])
        live = W1.any(axis=1) & (w2 != 0)
        return alignment_flow(self.X, y, W1[live], signs=np.sign(w2[live]), record=False)

    @cached_property
    def aligned(self) -> tuple[AlignedShare, ...]:
        """The extreme points that neurons align to early, and how many of each sign's neurons do."""
        found = []
        for name, flow in zip(self.problems, self.alignments, strict=True):
            counts = np.bincount(flow.index[flow.index >= 0], minlength=len(flow.extreme_points))
            for point, count in zip(flow.extreme_points, counts, strict=True):
                share = Share(count=int(count), total=int((flow.signs == point.sign).sum()))
                found.append(
                    AlignedShare(
                        problem=name,
                        direction=point.direction,
                        sign=point.sign,
                        value=point.value,
                        share=share,
                    )
                )
        return tuple(found)

    def __str__(self) -> str:
        n, d = self.X.shape
        solution = self.solution
        lines = [
            f"Gradient descent against the convex optimum: n = {n}, d = {d}, "
            f"{_listed(self.widths)} neurons, initial scale {_listed(self.init_scales)}",
            _optimum(solution.lower_bound, solution.objective, solution.gap),
            *self._table(),
        ]
        if self.status != Status.FINISHED:
            why = "the time limit" if self.status == Status.TIME_LIMIT else "Ctrl-C"
            lines.append(f"  stopped by {why}: {len(self.runs)} of {self.n_planned} runs have finished")
        if self.runs:
            lines += [f"  {text}" for text in [self._verdicts(), *self._correspondences()]]
            lines += self._alignment_lines()
        unfavourable = sum(not part.favourable for run in self.runs for part in run.parts)
        if unfavourable:
            lines.append(
                f"  {unfavourable} start(s) had no neuron in favour of each class (WP eq. (9)), "
                "even after 100 draws"
            )
        return "\n".join(lines)

    def _table(self) -> list[str]:
        """One line a run, or one a cell if there are several, below a line of titles."""
        if len(self.cells) > 1 or len(self.runs) > 30:
            titles = _row(_CELL_COLUMNS, "scale", "width", "global optimum", "limits (objective: runs)")
            return [titles, *(_cell_line(cell) for cell in self.cells)]
        columns = ("run", "descent", "gap", "its limit", "gap", "KKT res.", "h(lam)", "verdict")
        lines = [_run_lines(place, run) for place, run in enumerate(self.runs, start=1)]
        return [_row(_RUN_COLUMNS, *columns), *chain.from_iterable(lines)]

    def _verdicts(self) -> str:
        """How many runs got each verdict, and how sure the share of global optima is."""
        total = len(self.runs)
        low, high = Share(count=self.counts.get(GLOBAL, 0), total=total).interval
        counts = ", ".join(
            f"{count} of {total}: {verdict}{self._where(verdict)}" for verdict, count in self.counts.items()
        )
        return f"{counts} (95 % interval of the share of global optima: {low:.0%} to {high:.0%})"

    def _where(self, verdict: str) -> str:
        """For more than two classes, those that a verdict other than the best is about."""
        runs = [run for run in self.runs if run.verdict == verdict != GLOBAL]
        names = [name for name in self.problems if any(name in run.problems_of(verdict) for run in runs)]
        return f" ({', '.join(names)})" if names else ""

    def _correspondences(self) -> list[str]:
        """What Theorem 3 says about the limits, with the number of them it says it about."""
        texts = [part.correspondence for run in self.runs for part in run.parts if part.correspondence]
        total = sum(len(run.parts) for run in self.runs)
        return [f"{texts.count(text)} of {total} limits: {text}" for text in dict.fromkeys(texts)]

    def _alignment_lines(self) -> list[str]:
        inactive = float(np.mean([run.inactive for run in self.runs]))
        lines = [f"  early phase: {inactive:.0%} of the neurons never move; the others align to"]
        for item in self.aligned[:_MOST_POINTS]:
            where = f"{item.problem}: " if item.problem else ""
            lines.append(
                f"    {where}{item.share} of sign {item.sign:+d}: y^T (X u)_+ = {item.value:.6g} "
                f"at {_vector(item.direction)}"
            )
        left = len(self.aligned) - _MOST_POINTS
        return [*lines, f"    and {left} more extreme points"] if left > 0 else lines

    def to_document(self) -> dict[str, Any]:
        """The report as JSON values; infinities are the string "inf"."""
        return {
            "n": len(self.X),
            "d": int(self.X.shape[1]),
            "width": list(self.widths),
            "init_scale": list(self.init_scales),
            "status": self.status,
            "n_planned": self.n_planned,
            "objective": _finite(self.solution.objective),
            "lower_bound": self.solution.lower_bound,
            "gap": _finite(self.solution.gap),
            "counts": self.counts,
            "cells": [_cell_document(cell) for cell in self.cells],
            "extreme_points": [
                {
                    "problem": item.problem,
                    "direction": item.direction.tolist(),
                    "sign": item.sign,
                    "value": item.value,
                    "neurons": item.share.to_document(),
                }
                for item in (self.aligned if self.runs else ())
            ],
            "runs": [_run_document(run) for run in self.runs],
        }


def _optimum(lower: float, objective: float, gap: float) -> str:
    """The line about P*: no network has been found where its objective is infinite."""
    if np.isinf(objective):
        return f"  optimum: no network that fits was found in time; P* >= {lower:.7g}"
    return f"  certified optimum  {lower:.7g} <= P* <= {objective:.7g}  (gap {max(gap, 0):.1e})"


def run_cells(place: int, run: LimitRun, *, objective: str, norm: str) -> list[str]:
    """Return a run's row of a table, its objectives and h(lam) in these formats."""
    return [
        str(place),
        number(run.objective, objective),
        number(max(run.gap, 0), ".1e"),
        number(run.polished_objective, objective),
        number(max(run.polished_gap, 0), ".1e"),
        number(run.stationarity, ".1e"),
        number(run.dual_feasibility, norm),
        run.verdict_by_class,
    ]


def _run_lines(place: int, run: LimitRun) -> list[str]:
    """A run's line in the table, and what is to be said about it."""
    lines = [_row(_RUN_COLUMNS, *run_cells(place, run, objective=".6g", norm=".4f"))]
    for name, part in zip(run.problems, run.parts, strict=True):
        if part.standstill:
            lines.append("        " + (f"{name}: " if name else "") + part.standstill)
    if run.verdict == NOT_CONVERGED and np.isfinite(run.polished_gap):
        lines.append(
            f"        after {run.n_steps} steps descent is still {run.gap - run.polished_gap:.1e} "
            "(relatively) from the limit of its activities"
        )
    return [*lines, f"        proof: {run.proof}"] if run.proof else lines


def _cell_line(cell: LimitCell) -> str:
    limits = ", ".join(f"{number(limit.objective, '.7g')}: {limit.share.count}" for limit in cell.limits[:4])
    more = ", ..." if len(cell.limits) > 4 else ""
    return _row(_CELL_COLUMNS, f"{cell.init_scale:g}", str(cell.width), str(cell.success), limits + more)


def _row(widths: Sequence[int], *cells: str) -> str:
    """One line of a table; the last cell is flush left."""
    padded = (cell.rjust(width) for cell, width in zip(cells, widths, strict=False))
    return "  " + "  ".join([*padded, cells[-1]])


def _cell_document(cell: LimitCell) -> dict[str, Any]:
    """Return a cell as JSON values."""
    return {
        "width": cell.width,
        "init_scale": cell.init_scale,
        "success": cell.success.to_document(),
        "inactive": cell.inactive,
        "limits": [
            {
                "objective": _finite(limit.objective),
                "verdict": limit.verdict,
                "runs": limit.share.to_document(),
            }
            for limit in cell.limits
        ],
    }


def _run_document(run: LimitRun) -> dict[str, Any]:
    """Return a run as JSON values, without its trajectories."""
    return {
        "width": run.width,
        "init_scale": run.init_scale,
        "verdict": run.verdict,
        "objective": _finite(run.objective),
        "gap": _finite(run.gap),
        "polished_objective": _finite(run.polished_objective),
        "polished_gap": _finite(run.polished_gap),
        "stationarity": _finite(run.stationarity),
        "dual_feasibility": _finite(run.dual_feasibility),
        "verdicts": [part.verdict for part in run.parts],
        "proof": run.proof,
        "better_objective": [_finite(part.certificate.better_objective) for part in run.parts],
        "better_by": [part.better_by for part in run.parts],
        "correspondence": [part.correspondence for part in run.parts],
        "steps": [part.n_steps for part in run.parts],
        "standstill": [part.standstill for part in run.parts],
        "inactive": [part.inactive for part in run.parts],
    }


def _finite(value: float) -> float | str:
    """Return a number as JSON can hold it: infinity is the string "inf"."""
    return float(value) if np.isfinite(value) else "inf"


def _listed(values: Sequence[int] | Sequence[float]) -> str:
    """Return numbers with commas between them."""
    return ", ".join(f"{value:g}" for value in values)


def _vector(u: Float[np.ndarray, " d"], most: int = 6) -> str:
    """Return a vector to four digits, its first entries if it is long."""
    return "(" + ", ".join(f"{entry:.4f}" for entry in u[:most] + 0.0) + (", ...)" if len(u) > most else ")")
