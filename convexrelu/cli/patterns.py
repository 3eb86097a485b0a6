"""``convexrelu patterns``: the activation patterns of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convexrelu.cli.data import Columns, read
from convexrelu.cli.output import (
    Bias,
    Data,
    Drop,
    Json,
    Label,
    Sep,
    SkipMissing,
    Standardize,
    emit_json,
    examples,
    say,
    working,
)
from convexrelu.errors import InvalidInputError

if TYPE_CHECKING:
    from convexrelu.arrangements import Arrangement

__all__ = ["EXAMPLES", "patterns"]

EXAMPLES = examples(
    "patterns wang-pilanci-f1",
    "patterns data.csv --count",
    "patterns iris-setosa-virginica --sample 1000 --out patterns.npz",
)

_SHOWN = 16  # patterns, of at most this many columns more than a line holds
_MOST_COLUMNS = 74  # of 80, with what is before and after


def patterns(
    data: Data,
    label: Label = None,
    drop: Drop = None,
    sep: Sep = None,
    skip_missing: SkipMissing = False,
    standardize: Standardize = None,
    bias: Bias = None,
    count: Annotated[
        bool, typer.Option("--count", help="Only count them, exactly, without listing.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE.npz", help="Write the arrays patterns, witnesses and margins."),
    ] = None,
    sample: Annotated[
        int | None, typer.Option(metavar="N", help="Those that N random directions meet: an incomplete list.")
    ] = None,
    method: Annotated[
        str, typer.Option(help="Of the sample: gaussian, or rays (which reaches small cells too).")
    ] = "gaussian",
    seed: Annotated[int, typer.Option(help="Seed of the sample.", min=0)] = 0,
    json: Json = False,
) -> None:
    """List or count the patterns that hidden neurons can have on the data: which samples they see."""
    import numpy as np

    from convexrelu.arrangements import count_patterns, enumerate_patterns, pattern_bound, sample_patterns

    _check_options(count, out, sample)
    columns = Columns.of(label, drop, sep, skip_missing, standardize, bias)
    dataset = read(data, columns)
    n, rank = len(dataset.X), int(np.linalg.matrix_rank(dataset.X))
    bound = pattern_bound(n, rank)
    arrangement = None
    with working("going through the cells"):
        if count:
            found = count_patterns(dataset.X)
        else:
            try:
                arrangement = (
                    enumerate_patterns(dataset.X)
                    if sample is None
                    else sample_patterns(dataset.X, sample, method=method, rng=seed)
                )
            except InvalidInputError as error:
                here = " On the command line: --count, or --sample 1000." if sample is None else ""
                raise InvalidInputError(f"{error}{here}") from error
            found = len(arrangement)
    if out is not None and arrangement is not None:
        _write(out, arrangement)
    if json:
        document = {"n": n, "rank": rank, "bound": bound, "count": found, "complete": sample is None}
        emit_json(document | _numbers(arrangement))
        return
    what = (
        "patterns"
        if sample is None
        else f"distinct patterns met by {sample} random directions (not all there are)"
    )
    say(f"{dataset}\n\n{found} {what}; n = {n}, rank {rank}: at most {bound} (Cover's count)")
    if arrangement is not None:
        typer.echo(_listing(arrangement))
        say(_quality(arrangement))
    if out is not None:
        typer.echo(f"written to {out}: patterns, witnesses, margins")


def _check_options(count: bool, out: Path | None, sample: int | None) -> None:
    if count and (out is not None or sample is not None):
        raise InvalidInputError("--count lists nothing: it goes with neither --out nor --sample")
    if out is not None and out.suffix != ".npz":
        raise InvalidInputError(f"--out must end in .npz, got {out}")


def _listing(arrangement: Arrangement) -> str:
    """The first patterns as rows of 0 and 1."""
    lines = []
    for pattern in arrangement.patterns[:_SHOWN]:
        bits = "".join("1" if bit else "0" for bit in pattern[:_MOST_COLUMNS])
        lines.append(f"  {bits}{'...' if len(pattern) > _MOST_COLUMNS else ''}")
    more = len(arrangement) - _SHOWN
    return "\n".join([*lines, f"  and {more} more"] if more > 0 else lines)


def _numbers(arrangement: Arrangement | None) -> dict[str, object]:
    """What the list is worth, for programs."""
    if arrangement is None:
        return {}
    return {
        "coverage_at_least": arrangement.coverage,
        "least_margin": arrangement.margins.min(initial=float("inf")),
        "decided_exactly": arrangement.exact,
    }


def _quality(arrangement: Arrangement) -> str:
    """Say what the list is worth."""
    margin = arrangement.margins.min(initial=float("inf"))
    if not arrangement.complete:
        return (
            f"at least {arrangement.coverage:.2%} of all; witnesses at least {margin:.1e} inside their cells"
        )
    ties = "exactly" if arrangement.exact else "within 1e-12"
    return f"ties decided {ties}; witnesses {margin:.1e} or more inside their cells (on unit rows)"


def _write(path: Path, arrangement: Arrangement) -> None:
    """Write the arrays whole or not at all."""
    import io

    import numpy as np

    from convexrelu._json_files import write_bytes

    content = io.BytesIO()
    np.savez_compressed(
        content,
        patterns=arrangement.patterns,
        witnesses=arrangement.witnesses,
        margins=arrangement.margins,
        complete=arrangement.complete,
    )
    write_bytes(path, content.getvalue())
