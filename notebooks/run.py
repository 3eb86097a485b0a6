"""Run the notebooks, and compare what they print with what is stored in them, or store it.

``python notebooks/run.py`` exits with 1 where a cell fails or prints something else; ``--store`` writes the outputs;
names of notebooks, or their beginnings, choose some of them. Numbers may differ in their last digits, residuals that
are zero but for rounding in all of them, and seconds by any factor. A cell with the tag "varies" prints what depends on
the machine, and need only print. Pictures are not compared: that there is one is.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import re
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from PIL import Image

HERE = Path(__file__).parent

_NUMBER = re.compile(r"(?<![A-Za-z_\d.])[-+]?\d+(?:\.\d*)?(?:e[-+]?\d+)?|(?<![A-Za-z_\d])[-+]?\.\d+(?:e[-+]?\d+)?")
_SECONDS = re.compile(r"\d+(?:\.\d+)? (?:s|ms|seconds|minutes)\b")
_ZERO = 1e-6  # what is this small is a residual or a gap: zero, but for rounding or a tolerance
_DIGITS = 2e-3  # relative: numbers are printed with three digits or more
_WIDTH, _COLOURS = 900, 128  # of stored pictures, in pixels and in number


def main() -> int:
    """Run what is asked for, side by side, say what was found, and return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help="beginnings of names; all notebooks if there is none")
    parser.add_argument("--store", action="store_true", help="write the outputs instead of comparing them")
    parser.add_argument("--jobs", type=int, default=2, help="how many run side by side (2)")
    asked = parser.parse_args()
    paths = [p for p in sorted(HERE.glob("*.ipynb")) if p.name.startswith(tuple(asked.names) or "")]
    if not paths:
        parser.error(f"no notebook is called {' or '.join(asked.names)}")
    os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"  # long runs hang on the last digits
    with ProcessPoolExecutor(asked.jobs) as pool:
        found = list(pool.map(_judge, paths, [asked.store] * len(paths)))
    for path, faults in zip(paths, found, strict=True):
        print(f"{path.name}: {'as stored' if not faults else 'DIFFERS'}", *faults, sep="\n  ")  # noqa: T201
    failed = sum(bool(faults) for faults in found)
    print(f"{len(paths) - failed} passed, {failed} failed")  # noqa: T201
    return int(failed > 0)


def _judge(path: Path, store: bool) -> list[str]:
    """Return what is wrong with a notebook; with `store` its new outputs are written, if it runs."""
    stored = nbformat.read(path, as_version=4)
    fresh = nbformat.read(path, as_version=4)
    try:
        NotebookClient(fresh, timeout=600, kernel_name="python3", resources={"metadata": {"path": HERE}}).execute()
    except CellExecutionError as error:
        return [str(error)]
    if store:
        for cell in fresh.cells:
            _tidy(cell)
        fresh.metadata = stored.metadata
        nbformat.write(fresh, path)
        return []
    pairs = zip(stored.cells, fresh.cells, strict=True)
    return [line for number, (old, new) in enumerate(pairs) for line in _difference(number, old, new)]


def _difference(number: int, stored: Any, fresh: Any) -> list[str]:
    """Return how the outputs of a cell differ from the stored ones."""
    if stored.cell_type != "code":
        return []
    old, new = _text(stored), _text(fresh)
    if "varies" in stored.metadata.get("tags", []):
        same = bool(old) == bool(new)
    else:
        same = _alike(old, new)
    faults = [] if same else [f"cell {number} printed\n{new}\n  stored is\n{old}"]
    if _pictures(stored) != _pictures(fresh):
        faults.append(f"cell {number} draws {_pictures(fresh)} pictures, stored are {_pictures(stored)}")
    return faults


def _text(cell: Any) -> str:
    """What a cell prints, and the text of its value unless it is a picture."""
    parts = []
    for output in cell.outputs:
        if output.output_type == "stream":
            parts.append(output.text)
        elif "image/png" not in output.data:
            parts.append(output.data.get("text/plain", ""))
    return "".join(parts)


def _pictures(cell: Any) -> int:
    return sum("image/png" in output.get("data", {}) for output in cell.outputs)


def _alike(old: str, new: str) -> bool:
    """Whether two texts have the same words and, nearly, the same numbers."""
    old, new = (_SECONDS.sub("(time)", text) for text in (old, new))
    words = [" ".join(_NUMBER.sub("#", text).split()) for text in (old, new)]
    numbers = [[float(number) for number in _NUMBER.findall(text)] for text in (old, new)]
    return words[0] == words[1] and all(map(_close, *numbers))


def _close(a: float, b: float) -> bool:
    return abs(a - b) <= _DIGITS * max(abs(a), abs(b)) or max(abs(a), abs(b)) < _ZERO


def _tidy(cell: Any) -> None:
    """Leave out when a cell ran, and make its pictures small."""
    cell.metadata.pop("execution", None)
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        if "image/png" in data:
            data["image/png"] = _small(data["image/png"])


def _small(picture: str) -> str:
    """Return a PNG of few colours that is not wider than a page."""
    image = Image.open(io.BytesIO(base64.b64decode(picture))).convert("RGB")
    if image.width > _WIDTH:
        image = image.resize((_WIDTH, round(image.height * _WIDTH / image.width)), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.quantize(_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


if __name__ == "__main__":
    sys.exit(main())
