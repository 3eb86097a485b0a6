"""``convexrelu check``: a certificate against the data, without a solver."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convexrelu.cli.output import FAILS, Data, Json, Label, emit_json, working

__all__ = ["EXAMPLES", "check"]

EXAMPLES = (
    "Examples: `convexrelu check certificate.json data.csv --label y`; "
    "`python -m convexrelu.check certificate.json data.csv` does the same and imports no solver"
)


def check(
    certificate: Annotated[
        Path, typer.Argument(metavar="CERT", help="File written by `solve --out` or `certify --out`.")
    ],
    data: Data,
    label: Label = None,
    json: Json = False,
) -> None:
    """Recompute every number of a certificate from the data, trusting no solver.

    Exit code 0: it holds. 1: it does not. 2: the certificate or the data cannot be read.
    """
    from convexrelu.check import check_certificate

    with working("recomputing the certificate"):
        result = check_certificate(certificate, data, label=label)
    if json:
        claimed = result.certificate
        emit_json(
            {
                "holds": result.holds,
                "reason": result.reason,
                "objective": claimed.objective,
                "lower_bound": claimed.lower_bound,
                "gap": claimed.gap,
            }
        )
    else:
        typer.echo(str(result))
    if not result.holds:
        raise typer.Exit(FAILS)
