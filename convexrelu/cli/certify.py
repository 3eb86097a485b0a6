"""``convexrelu certify``: how far a trained network is from the optimum."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from convexrelu.cli.output import (
    FAILS,
    Data,
    Json,
    Label,
    check_command,
    emit_json,
    save_with_proof,
    working,
    write_infeasible,
)

__all__ = ["EXAMPLES", "certify"]

EXAMPLES = (
    "Examples: `convexrelu certify data.csv network.json`; "
    "`convexrelu certify wine class0.json class1.json class2.json --out certificate.json`"
)


def certify(
    data: Data,
    networks: Annotated[
        list[Path],
        typer.Argument(
            metavar="NETWORK...",
            help="File written by TwoLayerReLU.save; for K > 2 classes one a class, in order.",
        ),
    ],
    label: Label = None,
    C: Annotated[float, typer.Option("--C", help="Penalty of slack; inf is the hard margin.")] = float("inf"),
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the certificate, which `check` reads.")
    ] = None,
    json: Json = False,
) -> None:
    """Bound how far a network is from the global optimum, from its own weights.

    Exit code 0: certified globally optimal (relative gap at most 1e-6). 1: not; the gap bounds how far.
    2: bad input. Of data that no network fits, --out writes the proof of that (exit code 1).
    """
    from convexrelu._json_files import check_target
    from convexrelu._validation import one_vs_rest
    from convexrelu.certificates import certify as certify_network
    from convexrelu.datasets import resolve
    from convexrelu.errors import InfeasibleError
    from convexrelu.networks import TwoLayerReLU
    from convexrelu.solvers.feasibility import check_feasible_classes

    if out is not None:
        check_target(out)
    dataset = resolve(data, label=label)
    loaded = [TwoLayerReLU.load(path) for path in networks]
    with working("bounding the optimum"):
        if len(loaded) == 1 and dataset.n_classes <= 2:
            certificate = certify_network(dataset.X, dataset.y, loaded[0], C=C)
        else:
            certificate = certify_network(dataset.X, dataset.y, loaded, C=C)  # type: ignore[assignment]
    if out is not None and np.isinf(certificate.objective) and np.isinf(C):
        try:
            check_feasible_classes(dataset.X, one_vs_rest(dataset.y))
        except InfeasibleError as error:
            write_infeasible(out, dataset, error, check_command(out, data, label))
            raise typer.Exit(FAILS) from error
    if out is not None:
        save_with_proof(certificate, out)
    if json:
        emit_json(
            {
                "globally_optimal": certificate.globally_optimal,
                "verdict": certificate.verdict,
                **certificate.to_document(),
            }
        )
    else:
        typer.echo(f"{dataset}\n\n{certificate}")
        verdict = "globally optimal" if certificate.globally_optimal else "not certified optimal"
        typer.echo(f"{verdict}: relative gap {max(certificate.gap, 0.0):.3g}")
        if out is not None:
            typer.echo(f"certificate written to {out}; check it with: {check_command(out, data, label)}")
    if not certificate.globally_optimal:
        raise typer.Exit(FAILS)
