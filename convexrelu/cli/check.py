"""``convexrelu check``: a certificate against the data, without a solver."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convexrelu.cli.output import FAILS, Data, Json, Label, emit_json, working

__all__ = ["EXAMPLES", "check"]

EXAMPLES = (
    "Examples: `convexrelu check certificate.json data.csv --label y`; "
    "`python -m convexrelu.check certificate.json data.csv` verifies the bounds with NumPy alone"
)


def check(
    certificate: Annotated[
        Path, typer.Argument(metavar="CERT", help="File written by `solve --out` or `certify --out`.")
    ],
    data: Data,
    label: Label = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Verify in rational arithmetic instead of rounded floats.")
    ] = False,
    json: Json = False,
) -> None:
    """Verify a certificate's bounds, and recompute every other number of it from the data.

    Exit code 0: it holds. 1: it does not. 2: the certificate or the data cannot be read.
    """
    from convexrelu.certificates import Certificate, load_certificate
    from convexrelu.datasets import resolve
    from convexrelu.errors import CertificateError

    claimed = load_certificate(certificate)
    dataset = resolve(data, label=label)
    parts = [claimed] if isinstance(claimed, Certificate) else claimed.certificates
    price = ", ".join(sorted({f"{part.C:g}" for part in parts}))
    holds, reason = True, f"{claimed.lower_bound!r} <= P* <= {claimed.objective!r}; {claimed.verdict}"
    try:
        with working("verifying the certificate"):
            claimed.enclosure(dataset.X, dataset.y, arithmetic="exact" if exact else "float")
    except CertificateError as error:
        holds, reason = False, str(error)
    if json:
        emit_json(
            {
                "holds": holds,
                "reason": reason,
                "objective": claimed.objective,
                "lower_bound": claimed.lower_bound,
                "gap": claimed.gap,
                "C": price,
                "arithmetic": "exact" if exact else "float",
            }
        )
    else:
        typer.echo(f"{'holds' if holds else 'does not hold'}: {reason} (C = {price})")
    if not holds:
        raise typer.Exit(FAILS)
