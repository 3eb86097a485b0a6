"""``convexrelu predict``: what a model says of new data."""

from __future__ import annotations

import csv
import io
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from convexrelu.cli.data import Columns, read_features
from convexrelu.cli.models import Model, load_model
from convexrelu.cli.output import Data, Drop, Json, Label, Sep, SkipMissing, emit_json, examples, say
from convexrelu.errors import InvalidInputError

__all__ = ["EXAMPLES", "predict"]

EXAMPLES = examples(
    "predict model.json new.csv --out predictions.csv",
    "predict model.json german.csv --sep ';'",
    "predict model.json data.csv --label outcome",
)

_SHOWN = 10


def predict(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help="File written by `solve --out`.")],
    data: Data,
    label: Label = None,
    drop: Drop = None,
    sep: Sep = None,
    skip_missing: SkipMissing = False,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE.csv", help="Write the place, the outputs and the prediction of each row."),
    ] = None,
    json: Json = False,
) -> None:
    """Predict by a model, in the names of its classes.

    The file needs the columns of the data that the model was trained on, in any order; others are not looked
    at. Where it has the column of the labels too, the accuracy is printed.

    Exit code 0: predicted. 2: bad input.
    """
    from convexrelu._json_files import check_target, write_bytes
    from convexrelu.datasets import names

    if out is not None:
        check_target(out)
    loaded = load_model(model)
    if loaded.preprocessing is None:
        raise InvalidInputError(
            f"{model} does not tell what was done to the columns of its data: `solve --out` writes a model"
        )
    wanted = label if label is not None or data in names() else loaded.label
    columns = Columns.of(wanted, drop, sep, skip_missing)
    raw = read_features(data, columns, loaded.preprocessing)
    outputs = loaded.outputs(loaded.preprocessing(raw.X))
    found = loaded.predict(outputs)
    fit = {} if raw.y is None else _fit(found, raw.y, loaded)
    if out is not None:
        write_bytes(out, _table(raw.places, outputs, found, loaded).encode())
    if json:
        emit_json({"predictions": found, "outputs": outputs, **fit})
        return
    left_out = f"; {len(raw.skipped)} with a missing value left out" if raw.skipped else ""
    say(f"{data}: {len(found)} samples{left_out}; {loaded.preprocessing}")
    if loaded.classes:
        say(", ".join(f"{count} {name}" for name, count in sorted(Counter(found.tolist()).items())))
    if fit:
        (name, value), *_ = fit.items()
        say(f"accuracy {value:.1%}" if name == "accuracy" else f"R^2 {value:.4g}")
    if out is not None:
        say(f"predictions written to {out}")
        return
    for place, value in list(zip(raw.places, found, strict=True))[:_SHOWN]:
        say(f"  {place}: {value if loaded.classes else format(value, '.6g')}")
    if len(found) > _SHOWN:
        say(f"  and {len(found) - _SHOWN} more; --out FILE.csv writes all")


def _fit(found: np.ndarray, labels: np.ndarray, model: Model) -> dict[str, Any]:
    """How well the labels are predicted."""
    if model.classes:
        return {"accuracy": float(np.mean([a == b for a, b in zip(found, _names(labels), strict=True)]))}
    spread = float(np.sum(np.square(labels - labels.mean())))
    rest = float(np.sum(np.square(labels - found)))
    return {"r2": 1.0 - rest / spread} if spread > 0 else {}


def _names(labels: np.ndarray) -> list[str]:
    """Labels as a data set names them: 1 rather than 1.0."""
    return [f"{value:g}" if isinstance(value, float) else str(value) for value in labels.tolist()]


def _table(places: list[str], outputs: np.ndarray, found: np.ndarray, model: Model) -> str:
    """A CSV table: where each row stands, what the network gives, and what that means."""
    K = outputs.shape[1]
    names = model.classes or tuple(map(str, range(1, K + 1)))
    heads = [f"output {name}" for name in names] if K > 1 else ["output"]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([places[0].split()[0], *heads, "prediction"])
    for place, row, value in zip(places, outputs.tolist(), found.tolist(), strict=True):
        writer.writerow([place.split()[-1], *row, value])
    return text.getvalue()
