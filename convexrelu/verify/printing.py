"""Runs in words and as JSON values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from convexrelu.verify.cells import LimitCell
from convexrelu.verify.verdicts import NOT_CONVERGED, LimitRun

__all__ = ["cell_document", "cell_table", "finite", "listed", "run_document", "run_table", "vector"]

_RUN_COLUMNS = (4, 11, 8, 11, 8, 8, 9)
_CELL_COLUMNS = (7, 7, 24)


def run_table(runs: Sequence[LimitRun]) -> list[str]:
    """Return one line a run, and what is to be said about it, below a line of titles."""
    titles = ("run", "descent", "gap", "its limit", "gap", "KKT res.", "h(lam)", "verdict")
    lines = [_row(_RUN_COLUMNS, *titles)]
    for number, run in enumerate(runs, start=1):
        lines += _run_lines(number, run)
    return lines


def cell_table(cells: Sequence[LimitCell]) -> list[str]:
    """Return one line a cell below a line of titles."""
    titles = ("scale", "width", "global optimum", "limits (objective: runs)")
    return [_row(_CELL_COLUMNS, *titles), *(_cell_line(cell) for cell in cells)]


def _run_lines(number: int, run: LimitRun) -> list[str]:
    """A run's line in the table, and what is to be said about it."""
    lines = [
        _row(
            _RUN_COLUMNS,
            str(number),
            f"{run.objective:.7g}",
            f"{max(run.gap, 0):.1e}",
            f"{run.polished_objective:.7g}",
            f"{max(run.polished_gap, 0):.1e}",
            f"{run.stationarity:.1e}",
            f"{run.dual_feasibility:.6f}",
            run.verdict_by_class,
        )
    ]
    for name, part in zip(run.problems, run.parts, strict=True):
        if part.standstill:
            lines.append("        " + (f"{name}: " if name else "") + part.standstill)
    if run.verdict == NOT_CONVERGED:
        lines.append(
            f"        after {run.n_steps} steps descent is still {run.gap - run.polished_gap:.1e} "
            "(relatively) from the limit of its activities"
        )
    return [*lines, f"        proof: {run.proof}"] if run.proof else lines


def _cell_line(cell: LimitCell) -> str:
    limits = ", ".join(f"{limit.objective:.7g}: {limit.share.count}" for limit in cell.limits[:4])
    more = ", ..." if len(cell.limits) > 4 else ""
    return _row(_CELL_COLUMNS, f"{cell.init_scale:g}", str(cell.width), str(cell.success), limits + more)


def _row(widths: Sequence[int], *cells: str) -> str:
    """One line of a table; the last cell is flush left."""
    padded = (cell.rjust(width) for cell, width in zip(cells, widths, strict=False))
    return "  " + "  ".join([*padded, cells[-1]])


def cell_document(cell: LimitCell) -> dict[str, Any]:
    """Return a cell as JSON values."""
    return {
        "width": cell.width,
        "init_scale": cell.init_scale,
        "success": cell.success.to_document(),
        "inactive": cell.inactive,
        "limits": [
            {
                "objective": finite(limit.objective),
                "verdict": limit.verdict,
                "runs": limit.share.to_document(),
            }
            for limit in cell.limits
        ],
    }


def run_document(run: LimitRun) -> dict[str, Any]:
    """Return a run as JSON values, without its trajectories."""
    return {
        "width": run.width,
        "init_scale": run.init_scale,
        "verdict": run.verdict,
        "objective": finite(run.objective),
        "gap": finite(run.gap),
        "polished_objective": finite(run.polished_objective),
        "polished_gap": finite(run.polished_gap),
        "stationarity": finite(run.stationarity),
        "dual_feasibility": finite(run.dual_feasibility),
        "verdicts": [part.verdict for part in run.parts],
        "proof": run.proof,
        "better_objective": [finite(part.certificate.better_objective) for part in run.parts],
        "better_by": [part.better_by for part in run.parts],
        "correspondence": [part.correspondence for part in run.parts],
        "steps": [part.n_steps for part in run.parts],
        "standstill": [part.standstill for part in run.parts],
        "inactive": [part.inactive for part in run.parts],
    }


def finite(value: float) -> float | str:
    """Return a number as JSON can hold it: infinity is the string "inf"."""
    return float(value) if np.isfinite(value) else "inf"


def listed(values: Sequence[int] | Sequence[float]) -> str:
    """Return numbers with commas between them."""
    return ", ".join(f"{value:g}" for value in values)


def vector(u: Float[np.ndarray, " d"], most: int = 6) -> str:
    """Return a vector to four digits, its first entries if it is long."""
    return "(" + ", ".join(f"{entry:.4f}" for entry in u[:most] + 0.0) + (", ...)" if len(u) > most else ")")
