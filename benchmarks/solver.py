"""The certified solver on a table of instances: seconds, bounds, memory, and how time grows with n and d.

`python benchmarks/solver.py` prints a Markdown table, writes `benchmarks/results/solver.json` row by row and
draws `benchmarks/results/scaling.png`. `--quick` takes a part, `--only NAME ...` what is named, `--scaling`
the growth with n and d; their rows take the places of older ones, or are printed only if these are from
another machine or other versions. Names: FAMILY-NxD, with family teacher, random, moons (with a bias column)
or orthogonal, and the data sets listed in NAMED.

Each instance has a process of its own, so that memory is its own. Kernels are compiled before, by solving
twelve of its rows; what takes less than ten seconds runs up to three times and the fastest counts. Seconds of
a phase are those since the round before was noted; what the last certificate takes is "rest".
"""

import argparse
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import record

Data = tuple[np.ndarray, np.ndarray]

NAMED = {
    "iris-setosa-versicolor": {},
    "iris-setosa-virginica": {},
    "iris-versicolor-virginica": {},
    "wine-pca-4": {"name": "wine", "pca": 4},
    "breast-cancer-pca-4": {"name": "breast-cancer", "pca": 4},
    "digits-0-1-pca-8": {"name": "digits-0-1", "pca": 8},
    "digits-0-1": {},
    "digits-3-8": {},
    "breast-cancer": {},
}
SIZES = {
    "teacher": [
        (2000, 3),
        (2000, 5),
        (1000, 6),
        (1000, 8),
        (200, 10),
        (100000, 5),
        (1000000, 3),
        (1000000, 5),
    ],
    "moons": [(10000, 3)],
    "orthogonal": [(100000, 100)],
    "random": [(100, d) for d in (3, 4, 5, 6, 8)] + [(60, 10), (200, 3), (200, 4), (150, 2), (500, 2)],
}
INSTANCES = [f"{family}-{n}x{d}" for family, sizes in SIZES.items() for n, d in sizes] + list(NAMED)
QUICK = [
    "teacher-2000x3",
    "teacher-1000x6",
    "moons-10000x3",
    "orthogonal-100000x100",
    "random-100x3",
    "random-150x2",
    "iris-setosa-versicolor",
    "iris-setosa-virginica",
    "iris-versicolor-virginica",
    "wine-pca-4",
]
TIME_LIMITS = dict.fromkeys(("digits-0-1", "digits-3-8", "breast-cancer", "random-100x8"), 60.0)
SCALING_N = [f"teacher-{n}x4" for n in (200, 500, 1000, 2000, 5000, 10000, 20000)]
SCALING_D = [f"teacher-200x{d}" for d in range(2, 9)]

LIMIT = 600.0  # seconds for one process: without an answer till then it is stopped
TOL = 1e-6
WARM_UP_ROWS, WARM_UP_SECONDS = 12, 10.0
RESULTS = record.RESULTS / "solver.json"
FIGURE = record.RESULTS / "scaling.png"


def teacher(n: int, d: int, *, width: int = 3, margin: float = 0.1) -> Data:
    """Gaussian rows labelled by a random network, those with a margin; drawn in lots to save memory."""
    rng = np.random.default_rng(0)
    W, v = rng.normal(size=(width, d)), np.array([1.0, -1.0] * width)[:width]
    rows, values, kept = [], [], 0
    while kept < n:
        X = rng.normal(size=(2**14, d))
        f = np.maximum(X @ W.T, 0) @ v
        far = np.abs(f) > margin
        rows.append(X[far])
        values.append(np.sign(f[far]))
        kept += int(far.sum())
    return np.concatenate(rows)[:n], np.concatenate(values)[:n]


def moons(n: int, d: int) -> Data:
    """Two half circles with a bias column."""
    from sklearn.datasets import make_moons

    if d != 3:
        raise ValueError(f"moons have 3 columns with the bias, got {d}")
    X, y = make_moons(n, noise=0.08, random_state=0)
    return np.c_[X, np.ones(n)], 2.0 * y - 1


def orthogonal(n: int, d: int) -> Data:
    """Two classes of positive rows, each with columns of its own: orthogonally separable."""
    rng = np.random.default_rng(0)
    X, half = np.zeros((n, d)), n // 2
    X[:half, : d // 2] = rng.random((half, d // 2)) + 0.01
    X[half:, d // 2 :] = rng.random((n - half, d - d // 2)) + 0.01
    return X, np.where(np.arange(n) < half, 1.0, -1.0)


FAMILIES = {"teacher": teacher, "random": record.random_labels, "moons": moons, "orthogonal": orthogonal}


def instance(name: str) -> str:
    """Return the name if it is one."""
    drawn = re.fullmatch(r"([a-z]+)-(\d+)x(\d+)", name)
    if name in NAMED or (drawn and drawn[1] in FAMILIES):
        return name
    raise argparse.ArgumentTypeError(
        f"{name!r} is neither FAMILY-NxD ({', '.join(FAMILIES)}) nor in {', '.join(NAMED)}"
    )


def data(name: str) -> Data:
    if name in NAMED:
        import convexrelu as cr

        named = cr.datasets.load(**({"name": name} | NAMED[name]))
        return named.X, named.y
    family, size = name.split("-")
    n, d = map(int, size.split("x"))
    return FAMILIES[family](n, d)


def seconds_by_phase(solutions: Iterable[Any]) -> dict[str, float]:
    phases: dict[str, float] = defaultdict(float)
    for solution in solutions:
        clock = [0.0, *(noted.seconds for noted in solution.history)]
        for noted, (before, after) in zip(solution.history, pairwise(clock), strict=True):
            phases[noted.phase] += after - before
    return dict(phases)


def solve(name: str) -> record.Row:
    import convexrelu as cr

    X, y = data(name)
    some = np.linspace(0, len(X) - 1, min(len(X), WARM_UP_ROWS)).astype(int)
    for warm_up in (record.random_labels(12, 3), (X[some], y[some])):
        cr.solve_max_margin(*warm_up, time_limit=WARM_UP_SECONDS)
    before = record.peak_megabytes()
    limit = TIME_LIMITS.get(name)
    wall, cpu, runs, solution = record.measure(lambda: cr.solve_max_margin(X, y, tol=TOL, time_limit=limit))
    parts = getattr(solution, "solutions", (solution,))
    phases = seconds_by_phase(parts)
    if len(parts) == 1:  # several classes are solved side by side: their seconds do not add up to the wall's
        phases["rest"] = wall - sum(phases.values())
    return {
        "n": len(X),
        "d": X.shape[1],
        "classes": len(np.unique(y)),
        "wall_seconds": wall,
        "cpu_seconds": cpu,
        "runs": runs,
        "time_limit": limit,
        "gap": solution.gap,
        "objective": solution.objective,
        "lower_bound": solution.lower_bound,
        "neurons": sum(part.network.n_neurons for part in parts),
        "support_rows": sum(int(np.count_nonzero(part.lam)) for part in parts),
        "status": solution.status,
        "methods": sorted({part.method for part in parts}),
        "megabytes_before": before,
        "peak_megabytes": record.peak_megabytes(),
        "phase_seconds": phases,
    }


COLUMNS = [
    "instance",
    "wall s",
    "CPU s",
    "certified gap",
    "objective",
    "lower bound",
    "neurons",
    "support rows",
    "status",
    "peak MB (before)",
    "seconds by phase",
]


def line(row: record.Row) -> list[str]:
    if "error" in row:
        return [row["name"], row["error"], *[""] * (len(COLUMNS) - 2)]
    phases = sorted(row["phase_seconds"].items(), key=lambda item: -item[1])
    return [
        row["name"],
        f"{row['wall_seconds']:.2f}",
        f"{row['cpu_seconds']:.2f}",
        f"{row['gap']:.1e}",
        f"{row['objective']:.8g}",
        f"{row['lower_bound']:.8g}",
        str(row["neurons"]),
        str(row["support_rows"]),
        row["status"].replace("_", " ") + (f" ({row['time_limit']:g} s)" if row["time_limit"] else ""),
        f"{row['peak_megabytes']:.0f} ({row['megabytes_before']:.0f})",
        ", ".join(f"{phase} {seconds:.2f}" for phase, seconds in phases if seconds >= 0.005),
    ]


def draw(rows: list[record.Row]) -> None:
    """Draw wall and CPU seconds against n and against d; a row that is not optimal is hollow."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
    known = {row["name"]: row for row in rows if "error" not in row}
    for ax, names, size, text in (
        (axes[0], SCALING_N, "n", "rows n (d = 4)"),
        (axes[1], SCALING_D, "d", "features d (n = 200)"),
    ):
        points = [known[name] for name in names if name in known]
        for key, label, marker, colour in (
            ("wall_seconds", "wall", "o", "tab:blue"),
            ("cpu_seconds", "processor, all threads", "s", "tab:orange"),
        ):
            style = {"marker": marker, "color": colour, "lw": 1, "ms": 5}
            ax.plot([p[size] for p in points], [p[key] for p in points], label=label, **style)
            for p in points:
                if p["status"] != "optimal":
                    ax.plot(p[size], p[key], markerfacecolor="white", **style)
        ax.set_yscale("log")
        ax.set_xscale("log" if size == "n" else "linear")
        for axis in (ax.xaxis, ax.yaxis) if size == "n" else (ax.yaxis,):
            axis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
            axis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axis.set_minor_formatter(NullFormatter())
        ax.set_xlabel(text)
        ax.grid(visible=True, which="major", alpha=0.3)
    axes[0].set_ylabel(f"seconds to a certified gap of $10^{{{np.log10(TOL):.0f}}}$")
    axes[0].legend(frameon=False)
    figure.suptitle(
        "Gaussian rows labelled by a random network of three neurons, one draw for each size", fontsize=10
    )
    draft = FIGURE.with_name("scaling.draft.png")
    figure.savefig(draft, dpi=150)
    draft.replace(FIGURE)


def earlier(here: record.Row) -> list[record.Row] | None:
    """Return the rows measured before, None if on another machine or with other versions."""
    if not RESULTS.exists():
        return []
    document = json.loads(RESULTS.read_text())
    alike = all(document[key] == here[key] for key in ("machine", "versions"))
    return document["rows"] if alike else None


def run(names: list[str], limit: float) -> Iterator[record.Row]:
    for name in names:
        row = {"name": name} | record.worker("solver.py", name, limit=limit)
        print("  ".join(line(row)), flush=True)
        yield row


def keep(row: record.Row, rows: list[record.Row], here: record.Row) -> list[record.Row]:
    """Write the table with this row in place of its former self, and return its rows."""
    order = {name: k for k, name in enumerate([*INSTANCES, *SCALING_N, *SCALING_D])}
    rows = [other for other in rows if other["name"] != row["name"]] + [row]
    rows.sort(key=lambda row: (order.get(row["name"], len(order)), row["name"]))
    record.write(RESULTS, here | {"rows": rows})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--only", nargs="+", type=instance, metavar="NAME", help="these instances")
    part.add_argument("--quick", action="store_true", help="instances of a few seconds, and the scaling")
    part.add_argument("--scaling", action="store_true", help="only the scaling in n and d")
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds for one instance's process")
    part.add_argument("--worker", type=instance, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(solve(arguments.worker)))
        return
    here = record.circumstances("numpy", "scipy", "numba", "highspy", "clarabel", "scs", "scikit-learn")
    scaling = [*SCALING_N, *SCALING_D]
    chosen = arguments.only
    if arguments.scaling or arguments.quick:
        chosen = [*(QUICK if arguments.quick else []), *scaling]
    kept = earlier(here) if chosen else []
    names = list(dict.fromkeys(chosen or [*INSTANCES, *scaling]))
    measured = []
    for row in run(names, arguments.limit):
        measured.append(row)
        if kept is not None:
            kept = keep(row, kept, here)
    if kept is None:
        print(f"\nprinted only: {RESULTS.name} was measured on another machine or with other versions")
    elif set(names) & set(scaling):
        draw(kept)
    record.print_table(record.in_words(here), COLUMNS, map(line, measured))


if __name__ == "__main__":
    main()
