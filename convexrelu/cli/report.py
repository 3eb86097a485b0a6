"""Reports of `verify`, `solve` and `certify`: the data, the optimum, the certificate in words, figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from convexrelu.cli import page
from convexrelu.cli.data import Given
from convexrelu.cli.output import working

if TYPE_CHECKING:
    from convexrelu.certificates import Certificate
    from convexrelu.cli.models import AnyCertificate
    from convexrelu.cli.solve import AnySolution
    from convexrelu.plotting import NamedFigure
    from convexrelu.verify import LimitReport

__all__ = ["certify_report", "solve_report", "verify_report"]

_MOST_NEURONS, _MOST_CLASSES, _MOST_RUNS = 20, 12, 60  # shown; the files that are written have all

_CHECKER = (
    "The file holds the whole proof. This verifies it against the data without a solver; python -m "
    "convexrelu.check does so with NumPy alone, and with --exact in rational arithmetic."
)
_UNWRITTEN = "With --out FILE.json the certificate is written: then anybody can check it."


def verify_report(
    path: Path,
    given: Given,
    report: LimitReport,
    figures: Iterable[NamedFigure],
    *,
    answer: str,
    recheck: str,
) -> None:
    """Write what gradient descent found, run by run, beside the certified optimum."""
    solution = report.solution
    body = [
        *page.head("Does gradient descent find the global optimum?", answer, good=report.all_optimal),
        *_data(given),
        *_optimum(solution.certificate, given, f"{solution.status}: {solution.status.sentence}"),
        *page.section("The runs", _runs(report)),
        *page.section("Figures", page.figures(figures)),
        *_recheck(recheck, "The same command: the same seed gives the same runs."),
    ]
    page.write_page(path, "convexrelu verify", given.data.name, body)


def solve_report(path: Path, given: Given, solution: AnySolution, *, fit: str, recheck: str | None) -> None:
    """Write a solved problem: its optimum, its network, and what proves it."""
    from convexrelu.cli.solve import bounds_sentence
    from convexrelu.plotting import NamedFigure, gap_figure

    optimal = solution.status == "optimal"
    bounds = bounds_sentence(solution)
    answer = f"Certified optimal: {bounds}" if optimal else f"Not optimal for certain, but bounded: {bounds}"
    _write_of_network(
        path,
        "convexrelu solve",
        given,
        solution.certificate,
        title="The network of least norm, and its proof",
        answer=f"{answer}; {fit}.",
        good=optimal,
        status=f"{solution.status}: {solution.status.sentence}",
        recheck=recheck,
        figures=[NamedFigure(name="the bounds while it was solved", figure=gap_figure(solution))],
    )


def certify_report(path: Path, given: Given, certificate: AnyCertificate, *, recheck: str | None) -> None:
    """Write how far a network is from the optimum."""
    good, sentence = certificate.globally_optimal, _sentence(certificate)
    _write_of_network(
        path,
        "convexrelu certify",
        given,
        certificate,
        title="The network is globally optimal" if good else "How far the network is from the optimum",
        answer=f"{sentence[:1].upper()}{sentence[1:]}.",
        good=good,
        status="",
        recheck=recheck,
    )


def _write_of_network(
    path: Path,
    command: str,
    given: Given,
    certificate: AnyCertificate,
    *,
    title: str,
    answer: str,
    good: bool,
    status: str,
    recheck: str | None,
    figures: Sequence[NamedFigure] = (),
) -> None:
    with working("drawing the report"):
        body = [
            *page.head(title, answer, good=good),
            *_data(given),
            *_optimum(certificate, given, status),
            *_networks(certificate, given),
            *page.section("Figures", page.figures([*_of_network(certificate, given), *figures])),
            *_recheck(recheck, _UNWRITTEN if recheck is None else _CHECKER),
        ]
    page.write_page(path, command, given.data.name, body)


def _data(given: Given) -> Iterator[str]:
    n, d = given.X.shape
    if given.classes:
        counts = np.unique(given.y, return_counts=True)[1]
        listed = (f"{name}: {count}" for name, count in zip(given.classes, counts, strict=True))
        labels = ("classes", ", ".join(listed))
    else:
        labels = ("targets", f"from {given.y.min():.6g} to {given.y.max():.6g}")
    facts = [
        ("name", given.data.name),
        ("where from", given.data.description),
        ("samples", str(n)),
        labels,
        ("features", ", ".join(given.preprocessing.features)),
        ("preprocessing", str(given.preprocessing)),
        ("inputs of the network", str(d)),
    ]
    yield from page.section("The data", page.facts(facts))


def _optimum(certificate: AnyCertificate, given: Given, status: str) -> Iterator[str]:
    parts = _parts(certificate, given)
    fits = np.isfinite(certificate.objective)
    facts = [
        ("lower bound", f"{certificate.lower_bound:.9g}"),
        ("objective of the network", f"{certificate.objective:.9g}" if fits else "none: it does not fit"),
        ("relative gap", f"{max(certificate.gap, 0.0):.2e}" if fits else "none"),
        ("what is minimised", _minimised(certificate, given)),
    ]
    if status:
        facts.append(("status", status))
    if len(parts) == 1:
        facts.append(("structure of the data", parts[0][1].structure))
    yield from page.section("The optimum", page.facts(facts))
    how = "computed exactly" if getattr(certificate, "exact", True) else "bounded from above"
    words = [
        page.paragraph(f"{_sentence(certificate)}."),
        page.paragraph(
            "The upper bound is the network's own objective. The lower bound follows from one number a "
            "sample, lam: no network, whatever its width, has a lower objective, since no neuron of unit "
            f"norm correlates with these more than is allowed. (Their largest correlation h(lam) was {how}.)"
        ),
    ]
    if len(parts) > 1:
        rows = [
            [name, f"{p.lower_bound:.7g}", f"{p.objective:.7g}", f"{max(p.gap, 0):.1e}", p.verdict]
            for name, p in parts[:_MOST_CLASSES]
        ]
        words += page.table(["class", "lower bound", "objective", "gap", "verdict"], rows, numbers=(1, 2, 3))
    yield from page.section("The certificate", words)


def _minimised(certificate: AnyCertificate, given: Given) -> str:
    from convexrelu.certificates import RegularizedCertificate

    if isinstance(certificate, RegularizedCertificate):
        return f"the {certificate.loss.name} loss, plus {certificate.beta:g}/2 times the squared weights"
    prices = {part.C for _, part in _parts(certificate, given)}
    slack = "" if prices == {np.inf} else f", plus {', '.join(f'{C:g}' for C in prices)} times the slack"
    return f"half the squared weights at margin 1{slack or ' (hard margin)'}"


def _sentence(certificate: AnyCertificate) -> str:
    from convexrelu.certificates import MultiClassCertificate

    if isinstance(certificate, MultiClassCertificate):
        bounds = f"{certificate.lower_bound:.9g} <= P* <= {certificate.objective:.9g}"
        return f"{bounds}, summed over {len(certificate.certificates)} classes against the rest"
    return certificate.verdict


def _parts(certificate: AnyCertificate, given: Given) -> list[tuple[str, Certificate]]:
    """The binary certificates under their classes' names; none with a loss."""
    from convexrelu.certificates import Certificate, MultiClassCertificate

    if isinstance(certificate, MultiClassCertificate):
        return list(zip(given.classes, certificate.certificates, strict=True))
    return [("", certificate)] if isinstance(certificate, Certificate) else []


def _named_networks(certificate: AnyCertificate, given: Given) -> list[tuple[str, Any]]:
    parts = [(name, part.network) for name, part in _parts(certificate, given)]
    return parts[:_MOST_CLASSES] or [("", getattr(certificate, "network", None))]


def _runs(report: LimitReport) -> Iterator[str]:
    """The table of runs, and what its columns mean."""
    from convexrelu.verify.report import run_cells

    heads = ["run", "objective", "gap", "its limit", "gap of it", "KKT residual", "h(lam)", "verdict"]
    rows = [
        run_cells(place, run, objective=".7g", norm=".6f")
        for place, run in enumerate(report.runs[:_MOST_RUNS], start=1)
    ]
    yield page.paragraph(
        "Each run of gradient descent starts from small random weights. Its objective is that of its last "
        "network at margin 1; its limit is where its activities lead; gaps are relative to the optimum."
    )
    yield from page.table(heads, rows, numbers=range(7))
    if len(report.runs) > _MOST_RUNS:
        yield page.paragraph(f"and {len(report.runs) - _MOST_RUNS} more, in report.json")


def _networks(certificate: AnyCertificate, given: Given) -> Iterator[str]:
    """The largest neurons, as weights of the features."""
    from convexrelu.networks.neurons import largest

    heads = ["size", "output", *given.preprocessing.inputs]
    for name, network in _named_networks(certificate, given):
        W2 = np.atleast_2d(network.W2 if hasattr(network, "W2") else network.w2)
        lengths = np.linalg.norm(network.W1, axis=1)
        sizes = lengths * np.linalg.norm(W2, axis=0)
        rows = [
            [
                f"{sizes[i]:.4g}",
                " ".join("+" if w > 0 else "-" if w < 0 else "0" for w in W2[:, i]),
                *(f"{w:.3f}" for w in network.W1[i] / max(lengths[i], np.finfo(float).tiny)),
            ]
            for i in largest(sizes, _MOST_NEURONS)
        ]
        about = (
            f"{network.n_neurons} neurons: of each its size ||w1|| ||w2||, the signs of its output weights, "
            "and its direction, of unit length."
        )
        more = network.n_neurons - len(rows)
        yield from page.section(
            f"The network of class {name}" if name else "The network",
            [
                page.paragraph(about),
                *page.table(heads, rows, numbers=range(len(heads))),
                *(
                    [page.paragraph(f"and {more} smaller {'one' if more == 1 else 'ones'}")]
                    if more > 0
                    else []
                ),
            ],
        )


def _of_network(certificate: AnyCertificate, given: Given) -> Iterator[NamedFigure]:
    """How the samples stand to the margin in each binary problem, or numbers to their targets."""
    from convexrelu._validation import one_vs_rest
    from convexrelu.plotting import NamedFigure, decision_figure, fit_figure, margins_figure

    networks = _named_networks(certificate, given)
    if not given.classes:
        outputs = networks[0][1](given.X)
        yield NamedFigure(name="outputs against targets", figure=fit_figure(outputs, given.y))
        return
    for (name, network), labels in zip(networks, one_vs_rest(given.y).Y, strict=False):
        outputs = network(given.X)
        if outputs.ndim > 1:  # a softmax head: no output has a margin
            return
        names = ("the rest", name) if name else (given.classes[0], given.classes[-1])
        title = f"{name} against the rest" if name else f"{names[0]} and {names[1]}"
        yield NamedFigure(name=f"outputs: {title}", figure=margins_figure(outputs, labels, names=names))
        if len(given.preprocessing.inputs) - given.preprocessing.bias == 2:
            figure = decision_figure(given.X, labels, network, names=names)
            figure.axes[0].set(xlabel=given.preprocessing.inputs[0], ylabel=given.preprocessing.inputs[1])
            yield NamedFigure(name=f"the plane: {title}", figure=figure)


def _recheck(command: str | None, text: str) -> Iterator[str]:
    lines = [] if command is None else [command]
    yield from page.section("How to check it again", [*page.commands(lines), page.paragraph(text)])
