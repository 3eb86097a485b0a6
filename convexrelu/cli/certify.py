"""``convexrelu certify``: how far a trained network is from the optimum."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from convexrelu.cli.data import Columns, Given, read
from convexrelu.cli.models import (
    Model,
    fit_of_outputs,
    fit_sentence,
    load_model,
    save_infeasible,
    save_model,
)
from convexrelu.cli.output import (
    FAILS,
    Beta,
    Bias,
    Data,
    Drop,
    Json,
    Label,
    LossName,
    Report,
    Sep,
    SkipMissing,
    Standardize,
    emit_json,
    examples,
    say,
    working,
)
from convexrelu.cli.problems import Decay, check_loss
from convexrelu.errors import InfeasibleError, InvalidInputError

if TYPE_CHECKING:
    from convexrelu.cli.models import AnyCertificate

__all__ = ["EXAMPLES", "certify"]

EXAMPLES = examples(
    "certify data.csv model.json",
    "certify data.csv weights.npz --no-standardize",
    "certify data.csv network.pt --loss logistic --beta 0.1",
    "certify wine class0.json class1.json class2.json --out c.json",
)

_TIME_LIMIT = 20.0  # seconds, where nothing else is said


def certify(
    data: Data,
    networks: Annotated[
        list[Path],
        typer.Argument(
            metavar="NETWORK...",
            help="Model of `solve --out`, network of TwoLayerReLU.save, weights in an .npz file (W1, b1, w2, "
            "b2), or a torch state_dict in a .pt file; for K > 2 classes one a class, in order.",
        ),
    ],
    label: Label = None,
    drop: Drop = None,
    sep: Sep = None,
    skip_missing: SkipMissing = False,
    standardize: Standardize = None,
    bias: Bias = None,
    C: Annotated[
        float | None,
        typer.Option("--C", help="Price of slack; default: the model's, else inf, the hard margin."),
    ] = None,
    loss: LossName = None,
    beta: Beta = None,
    improve: Annotated[
        bool,
        typer.Option(
            "--improve/--no-improve",
            help="Let the solver look for better multipliers and a better network, where the network's own "
            "leave open whether it is optimal.",
        ),
    ] = True,
    time_limit: Annotated[
        float, typer.Option(metavar="SECONDS", help="For all; the best bounds by then are taken.")
    ] = _TIME_LIMIT,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the certificate, which `check` reads.")
    ] = None,
    report: Report = None,
    json: Json = False,
) -> None:
    """Bound how far a network is from the global optimum, from its own weights.

    Exit code 0: certified globally optimal (relative gap at most 1e-6). 1: not; the gap bounds how far. 2:
    bad input. Of data that no network fits, --out writes the proof of that (exit code 1).
    """
    from convexrelu._json_files import check_target
    from convexrelu._validation import one_vs_rest
    from convexrelu.solvers.feasibility import check_feasible_classes

    for target in (out, report):
        if target is not None:
            check_target(target)
    columns = Columns.of(label, drop, sep, skip_missing, standardize, bias)
    model, loaded = _loaded(networks)
    decay = check_loss(loss, beta, C) or (None if model is None else _decay_of(model))
    price = C if C is not None else _price_of(model)
    given = given_for(model, data, columns, real=decay is not None and not decay.labels)
    judged = _fitting(loaded, given, decay)
    outputs = np.column_stack([network(given.X) for network in judged])
    fit = fit_of_outputs(outputs, given, None if decay is None else decay.loss)
    if model is None and columns.standardize is None and given.preprocessing.standardized:
        say(
            "the network is given standardized columns: for one trained on the columns as they are, "
            "--no-standardize"
        )
    with working("bounding the optimum"):
        certificate = _certificate(
            given, judged, model, decay, C=price, time_limit=time_limit, improve=None if improve else False
        )
    recheck = None if out is None else columns.command("check", out, data)
    if out is not None and decay is None and np.isinf(certificate.objective) and np.isinf(price):
        try:
            check_feasible_classes(given.X, one_vs_rest(given.y))
        except InfeasibleError as error:
            save_infeasible(out, given, error, str(recheck))
            raise typer.Exit(FAILS) from error
    if out is not None:
        save_model(certificate, out, given, time_limit)
    if json:
        emit_json(
            {
                "globally_optimal": certificate.globally_optimal,
                "verdict": certificate.verdict,
                **fit,
                **certificate.to_document(),
            }
        )
    else:
        say(f"{given}\n\n{fit_sentence(fit, len(given.X))}\n{named(certificate, given.classes)}")
        verdict = "globally optimal" if certificate.globally_optimal else "not certified optimal"
        gap = max(certificate.gap, 0.0)
        say(f"{verdict}: relative gap {gap:.3g}" if np.isfinite(gap) else verdict)
        if out is not None:
            say(f"certificate written to {out}; check it with:\n    {recheck}")
    if report is not None:
        from convexrelu.cli.report import certify_report

        certify_report(report, given, certificate, recheck=recheck)
        if not json:
            say(f"report written to {report}")
    if not certificate.globally_optimal:
        raise typer.Exit(FAILS)


def named(certificate: AnyCertificate, classes: tuple[str, ...]) -> str:
    """Return the certificate in words, its classes under their own names."""
    from convexrelu.certificates import MultiClassCertificate

    if not isinstance(certificate, MultiClassCertificate):
        return str(certificate)
    head = f"{certificate.lower_bound:.9g} <= P* <= {certificate.objective:.9g} over {len(classes)} classes"
    parts = zip(classes, certificate.certificates, strict=True)
    return "\n".join([head, *(f"class {name}: {part}" for name, part in parts)])


def given_for(model: Model | None, data: str, columns: Columns, *, real: bool = False) -> Given:
    """Return the data, prepared as the model's was, if it tells."""
    if model is None or model.preprocessing is None:
        return read(data, columns, real=real, plain=model is not None)
    if columns.standardize is not None or columns.bias is not None:
        raise InvalidInputError(
            "the model has its own preprocessing: leave --standardize and --bias out, with or without no-"
        )
    label = columns.label if columns.label is not None else model.label
    known = Columns(label=label, drop=columns.drop, sep=columns.sep, skip_missing=columns.skip_missing)
    return read(data, known, real=real, preprocessing=model.preprocessing)


def _loaded(paths: list[Path]) -> tuple[Model | None, list[Any]]:
    """Return the model, if the file holds one, and the networks."""
    from convexrelu.check import FORMAT
    from convexrelu.networks import TwoLayerReLU
    from convexrelu.networks.storage import kind_of

    kinds = [kind_of(path) if path.suffix.lower() == ".json" else "" for path in paths]
    if len(paths) == 1 and kinds[0] == FORMAT:
        model = load_model(paths[0])
        return model, list(model.networks)
    return None, [TwoLayerReLU.from_file(path) for path in paths]


def _decay_of(model: Model) -> Decay | None:
    from convexrelu.certificates import RegularizedCertificate

    if isinstance(model.certificate, RegularizedCertificate):
        return Decay(loss=model.certificate.loss, beta=model.certificate.beta)
    return None


def _price_of(model: Model | None) -> float:
    """The price of slack that the model was trained at."""
    from convexrelu.certificates import Certificate, MultiClassCertificate

    certificate = None if model is None else model.certificate
    if isinstance(certificate, MultiClassCertificate):
        return certificate.certificates[0].C
    return certificate.C if isinstance(certificate, Certificate) else float("inf")


def _fitting(networks: list[Any], given: Given, decay: Decay | None) -> list[Any]:
    """Return networks that act on the data, of a softmax head of two classes the difference."""
    from convexrelu.networks import ReLUNetwork, TwoLayerReLU

    d = given.X.shape[1]
    for network in networks:
        if network.n_features != d:
            raise InvalidInputError(
                f"the network must have {d} inputs, as the data has columns ({given.preprocessing}), got "
                f"{network.n_features}{_columns_hint(network.n_features, d, given)}"
            )
    several = isinstance(networks[0], ReLUNetwork) and networks[0].W2.ndim == 2
    if decay is not None or not several:
        return networks
    K = len(networks[0].W2)
    if len(networks) > 1 or K != 2 or len(given.classes) != 2:
        raise InvalidInputError(
            f"a network of {K} outputs has no margin of its own: give --loss softmax --beta, or one network "
            "for each class"
        )
    say(f"two outputs: certified is their difference, the log-odds of {given.classes[1]}")
    return [TwoLayerReLU.from_difference(networks[0])]


def _columns_hint(inputs: int, d: int, given: Given) -> str:
    if given.preprocessing.bias and inputs == d - 1:
        return ": for a network without biases, --no-bias"
    if not given.preprocessing.bias and inputs == d + 1:
        return ": for a network with biases, --bias"
    return ": leave columns out with --drop"


def _certificate(
    given: Given,
    networks: list[Any],
    model: Model | None,
    decay: Decay | None,
    *,
    C: float,
    time_limit: float,
    improve: bool | None,
) -> AnyCertificate:
    from convexrelu.judge import certify as certify_network

    if decay is not None:
        if len(networks) > 1:
            raise InvalidInputError(f"a loss needs one network, got {len(networks)}")
        decayed: AnyCertificate = certify_network(
            given.X, given.y, networks[0], time_limit=time_limit, improve=improve, **decay.keywords
        )
        return decayed
    judged = networks[0] if len(networks) == 1 and len(given.classes) <= 2 else networks
    lam = None if model is None else _multipliers(model, given)
    found: AnyCertificate = certify_network(
        given.X, given.y, judged, lam, C=C, time_limit=time_limit, improve=improve
    )
    return found


def _multipliers(model: Model, given: Given) -> np.ndarray | None:
    """The model's own multipliers, if it is about this very data."""
    from convexrelu._validation import one_vs_rest
    from convexrelu.certificates import Certificate, MultiClassCertificate
    from convexrelu.check import fingerprint

    parts = (
        model.certificate.certificates
        if isinstance(model.certificate, MultiClassCertificate)
        else (model.certificate,)
    )
    targets = one_vs_rest(given.y).Y
    if len(parts) != len(targets) or not all(isinstance(part, Certificate) for part in parts):
        return None
    same = all(fingerprint(given.X, y) == part.data for y, part in zip(targets, parts, strict=True))
    if not same:
        return None
    return parts[0].lam if len(parts) == 1 else np.array([part.lam for part in parts])
