"""What the benchmarks share: data, processes of their own, and the record of a measurement."""

import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results"
REPEATS = 3
ENOUGH = 10.0  # seconds of measuring after which nothing is repeated

Row = dict[str, Any]


def random_labels(n: int, d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return Gaussian rows with labels tossed by a coin: many support rows, the hard case."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), np.where(rng.random(n) < 0.5, 1.0, -1.0)


def measure(call: Callable[[], Any]) -> tuple[float, float, int, Any]:
    """Return wall and CPU seconds of the fastest of up to three calls, their number, and its answer."""
    best: tuple[float, float, Any] | None = None
    total, runs = 0.0, 0
    while runs < REPEATS and (runs == 0 or total < ENOUGH):
        wall, cpu = time.perf_counter(), time.process_time()
        answer = call()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        total, runs = total + wall, runs + 1
        if best is None or wall < best[0]:
            best = wall, cpu, answer
    return best[0], best[1], runs, best[2]


def on_processor_time() -> None:
    """Let the package's clocks count processor seconds, of all threads; before it is imported."""
    wall, time.monotonic = time.monotonic, time.process_time
    import convexrelu._clock as clock

    time.monotonic = wall
    clock.time = SimpleNamespace(monotonic=time.process_time)


def peak_megabytes() -> float:
    """Return the most memory this process has held so far."""
    unit = 1.0 if sys.platform == "darwin" else 1024.0  # bytes there, kibibytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def answer_of(command: Sequence[str], limit: float) -> Row:
    """Run a Python script in a process of its own; what it prints last is its answer, one line of JSON.

    A process that takes longer than `limit` seconds is stopped, and a failed one is reported with the last
    line of its complaint: both as ``{"error": ...}``.
    """
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"> {limit:g} s"}
    if run.returncode:
        complaint = run.stderr.strip().splitlines() or [f"ended with code {run.returncode}"]
        return {"error": complaint[-1]}
    answer: Row = json.loads(run.stdout.splitlines()[-1])
    return answer


def worker(script: str, *arguments: object, limit: float) -> Row:
    """Run a script of this directory as a worker: ``python script --worker ARGUMENTS``."""
    command = [sys.executable, str(Path(__file__).parent / script), "--worker", *map(str, arguments)]
    return answer_of(command, limit)


def circumstances(*packages: str) -> Row:
    """Return the machine and the versions a measurement belongs to."""
    return {
        "machine": {
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
        },
        "versions": {name: version(name) for name in ("convexrelu", *packages)},
    }


def write(path: Path, document: Row) -> None:
    """Write JSON under a name of its own first: what stands under `path` is always whole."""
    path.parent.mkdir(exist_ok=True)
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps(document, indent=1) + "\n")
    draft.replace(path)


def pursuit_steps(result: Any, fresh: Any) -> list[Row]:
    """Return what a pursuit reached after each iteration, with test errors on `fresh` samples."""
    return [
        {
            "iteration": step.iteration,
            "neurons": list(step.n_neurons),
            "training_error": step.relative_error,
            "test_error": fresh.relative_error(step.network(fresh.X)),
            "cpu_seconds": step.seconds,
        }
        for step in result.history
    ]


PURSUIT_COLUMNS = ["iteration", "hidden neurons", "training error", "test error", "CPU s"]


def pursuit_lines(name: str, steps: Sequence[Row], shown: Sequence[int], digits: str) -> list[list[str]]:
    """Return the lines of a table for some of the iterations, and for the last."""
    return [
        [
            name,
            str(step["iteration"]),
            " + ".join(map(str, step["neurons"])),
            *(format(step[error], digits) for error in ("training_error", "test_error")),
            f"{step['cpu_seconds']:.0f}",
        ]
        for step in steps
        if step["iteration"] in shown or step is steps[-1]
    ]


def print_table(title: str, columns: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    """Print a table in Markdown, to be pasted."""
    print(f"\n{title}\n")
    for line in (columns, ["---"] * len(columns), *lines):
        print("| " + " | ".join(line) + " |")


def in_words(document: Row) -> str:
    """Return the circumstances as one line of prose."""
    machine = document["machine"]
    packages = ", ".join(f"{name} {number}" for name, number in document["versions"].items())
    place = f"{machine['cores']} cores of an {machine['processor']} machine, Python {machine['python']}"
    return f"{place}, {packages}"
