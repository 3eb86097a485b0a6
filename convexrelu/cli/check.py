"""``convexrelu check``: a certificate against the data, without a solver."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convexrelu.cli.certify import given_for
from convexrelu.cli.data import Columns
from convexrelu.cli.models import load_model
from convexrelu.cli.output import (
    FAILS,
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

if TYPE_CHECKING:
    from convexrelu.cli.models import AnyCertificate

__all__ = ["EXAMPLES", "check"]

EXAMPLES = (
    examples("check model.json data.csv", "check certificate.json data.csv --label y --exact")
    + "\n\n`python -m convexrelu.check model.json data.csv` verifies the bounds with NumPy alone."
)


def check(
    certificate: Annotated[
        Path, typer.Argument(metavar="CERT", help="File written by `solve --out` or `certify --out`.")
    ],
    data: Data,
    label: Label = None,
    drop: Drop = None,
    sep: Sep = None,
    skip_missing: SkipMissing = False,
    standardize: Standardize = None,
    bias: Bias = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Verify in rational arithmetic instead of rounded floats.")
    ] = False,
    json: Json = False,
) -> None:
    """Verify a certificate's bounds, and recompute every other number of it from the data.

    The data is prepared as the file says. A certificate that was saved from Python does not say: a file is
    then taken as it stands, unless the options say otherwise.

    Exit code 0: it holds. 1: it does not. 2: the certificate or the data cannot be read.
    """
    from convexrelu.errors import CertificateError

    model = load_model(certificate)
    claimed = model.certificate
    columns = Columns.of(label, drop, sep, skip_missing, standardize, bias)
    given = given_for(model, data, columns, real=_real(claimed))
    holds = True
    reason = f"{claimed.lower_bound!r} <= P* <= {claimed.objective!r}; {_verdict(claimed, given.classes)}"
    try:
        with working("verifying the certificate"):
            claimed.enclosure(given.X, given.y, arithmetic="exact" if exact else "float")
    except CertificateError as error:
        holds, reason = False, str(error)
    price = _price(claimed)
    if json:
        emit_json(
            {
                "holds": holds,
                "reason": reason,
                "objective": claimed.objective,
                "lower_bound": claimed.lower_bound,
                "gap": claimed.gap,
                **price,
                "arithmetic": "exact" if exact else "float",
            }
        )
    else:
        stated = ", ".join(f"{name} = {value}" for name, value in price.items())
        say(f"{'holds' if holds else 'does not hold'}: {reason} ({stated}; {given.preprocessing})")
    if not holds:
        raise typer.Exit(FAILS)


def _real(certificate: AnyCertificate) -> bool:
    """Whether it is about real targets."""
    loss = getattr(certificate, "loss", None)
    return loss is not None and not (loss.takes_labels or loss.name == "softmax")


def _verdict(certificate: AnyCertificate, classes: tuple[str, ...]) -> str:
    from convexrelu.certificates import MultiClassCertificate

    if not isinstance(certificate, MultiClassCertificate):
        return certificate.verdict
    parts = zip(classes, certificate.certificates, strict=True)
    return "; ".join(f"class {name}: {part.verdict}" for name, part in parts)


def _price(certificate: AnyCertificate) -> dict[str, object]:
    """What is minimised: the price of slack, or the loss and the price of the weights."""
    from convexrelu.certificates import MultiClassCertificate, RegularizedCertificate

    if isinstance(certificate, RegularizedCertificate):
        return {"loss": certificate.loss.name, "beta": certificate.beta}
    parts = certificate.certificates if isinstance(certificate, MultiClassCertificate) else (certificate,)
    return {"C": ", ".join(sorted({f"{part.C:g}" for part in parts}))}
