"""The certified solver on a table of instances: seconds, bounds, memory, and how time grows with n and d.

`python benchmarks/solver.py` prints a Markdown table, writes `benchmarks/results/solver.json` row by row and
draws `benchmarks/results/scaling.png`. `--quick` takes a part, `--only NAME ...` what is named, `--scaling`
the growth with n and d; their rows take the places of older ones, or are printed only if these are from
another machine or other versions. Names: FAMILY-NxD, with family teacher, random, moons (with a bias column)
or orthogonal, and the data sets listed in NAMED.

`--noisy [NAME ...]` prints another table and writes `benchmarks/results/noisy.json`: soft margins of noisy
data, and two hard ones (NOISY), at several time limits, beside what the plain master of `plain_master.py`
reaches in the same processor seconds. It says which rows break a promise: an objective more than 1 % above
the plain one, a limit exceeded by more than 10 % and half a second, a certificate that does not hold or takes
longer to check than to find. `--cpu` counts processor seconds on the limits, for a busy machine.

Each instance has a process of its own, so that memory is its own. Kernels are compiled before, by solving
twelve of its rows; what takes less than ten seconds runs up to three times and the fastest counts. Seconds of
a phase are those since the round before was noted; what the last certificate takes is "rest".
"""

import argparse
import json
import re
import time
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
# data, C, relative gap asked for
NOISY = {
    **{f"moons-2000-C{C:g}": ("moons-2000", C, 1e-6) for C in (0.01, 0.1, 1.0, 10.0)},
    "moons-10000-C1": ("moons-10000", 1.0, 1e-4),
    "classification-500x6-C0.01": ("classification-500x6", 0.01, 1e-2),
    "classification-500x6-C0.1": ("classification-500x6", 0.1, 1e-2),
    "classification-500x6-C1": ("classification-500x6", 1.0, 3e-2),
    **{f"diabetes-C{C:g}": ("diabetes", C, 0.15) for C in (0.1, 1.0)},
    **{f"classification-500x11-C{C:g}": ("classification-500x11", C, 0.15) for C in (0.1, 1.0, 10.0)},
    **{f"breast-cancer-C{C:g}": ("breast-cancer", C, 5e-2) for C in (0.01, 0.1)},
    "breast-cancer-hard": ("breast-cancer", np.inf, 5e-2),
    "classification-200x11x3-hard": ("classification-200x11x3", np.inf, 0.15),
}
NOISY_LIMITS = [3.0, 10.0, 30.0]
ABOVE_PLAIN, BEYOND_LIMIT, BEYOND_SECONDS = 1.01, 1.1, 0.5  # what is promised of a row
NOISY_RESULTS = record.RESULTS / "noisy.json"
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


def noisy(name: str) -> tuple[np.ndarray, np.ndarray, float]:
    """Return standardised rows with a bias column, labels and C of a noisy instance."""
    from sklearn.datasets import load_breast_cancer, load_diabetes, make_classification, make_moons
    from sklearn.preprocessing import StandardScaler

    source, C, _ = NOISY[name]
    if source.startswith("moons"):
        X, y = make_moons(int(source.split("-")[1]), noise=0.25, random_state=0)
    elif source == "classification-500x6":
        X, y = make_classification(500, 5, n_informative=4, n_redundant=0, flip_y=0.05, random_state=0)
    elif source == "classification-500x11":
        X, y = make_classification(500, 10, n_informative=6, n_redundant=2, flip_y=0.05, random_state=0)
    elif source == "diabetes":
        X, target = load_diabetes(return_X_y=True)
        y = (target > np.median(target)).astype(int)
    elif source == "classification-200x11x3":
        X, y = make_classification(200, 10, n_informative=5, n_classes=3, random_state=42)
    else:
        X, y = load_breast_cancer(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    labels = y if len(np.unique(y)) > 2 else np.where(y == y.max(), 1.0, -1.0)
    return np.c_[X, np.ones(len(X))], labels, C


FAMILIES = {"teacher": teacher, "random": record.random_labels, "moons": moons, "orthogonal": orthogonal}


def instance(name: str) -> str:
    """Return the name if it is one (of a noisy instance: NAME@LIMIT@CLOCK)."""
    if name.split("@")[0] in NOISY:
        return name
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


def plain_rounds(name: str, seconds: float) -> list[tuple[float, float]]:
    """Return seconds and objectives of the plain master; it knows two labels, and no hard margin."""
    import plain_master

    X, y, C = noisy(name)
    if np.isinf(C) or len(np.unique(y)) > 2:
        return []
    return list(plain_master.objectives(X, y, C, seconds))


def solve_noisy(name: str, limit: float, *, on_cpu: bool) -> record.Row:
    if on_cpu:
        record.on_processor_time()
    import convexrelu as cr

    X, y, C = noisy(name)
    few = np.linspace(0, len(X) - 1, 60).astype(int)
    # on many rows too: of few, cells are listed, not cones; twice, if compiling has taken all the time
    many = record.random_labels(400, min(X.shape[1], 6))
    for data, price in (((X[few], y[few]), C), (many, 1.0), (many, 1.0)):
        cr.solve_max_margin(*data, C=price, tol=1e-2, time_limit=0.2 * WARM_UP_SECONDS)
    wall, cpu = time.perf_counter(), time.process_time()
    solution = cr.solve_max_margin(X, y, C=C, tol=NOISY[name][2], time_limit=limit)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    checking = time.process_time()
    holds = solution.certificate.check(X, y)
    checking = time.process_time() - checking
    parts = getattr(solution, "solutions", (solution,))
    searched = [entry.seconds for part in parts for entry in part.history if entry.phase in SEARCHING]
    return {
        "time_limit": limit,
        "on_cpu": on_cpu,
        "wall_seconds": wall,
        "cpu_seconds": cpu,
        "search_seconds": max(searched, default=0.0),
        "objective": solution.objective,
        "lower_bound": solution.lower_bound,
        "gap": solution.gap,
        "status": solution.status,
        "neurons": sum(part.network.n_neurons for part in parts),
        "certified": bool(holds),
        "check_seconds": checking,
    }


SEARCHING = ("directions", "patterns", "polish")
NOISY_COLUMNS = [
    "instance",
    "limit s",
    "wall s",
    "CPU s",
    "of which search",
    "objective",
    "lower bound",
    "gap",
    "status",
    "neurons",
    "check, CPU s",
    "plain master",
    "promises broken",
]


def broken(row: record.Row) -> str:
    """Say which promises a row breaks."""
    took = row["cpu_seconds"] if row["on_cpu"] else row["wall_seconds"]
    found = {
        "objective": row["plain"] is not None and row["objective"] > ABOVE_PLAIN * row["plain"],
        "limit": took > BEYOND_LIMIT * row["time_limit"] + BEYOND_SECONDS,
        "certificate": not row["certified"],
        "check": row["check_seconds"] > max(row["cpu_seconds"], BEYOND_SECONDS),
    }
    return ", ".join(name for name, value in found.items() if value)


def noisy_line(row: record.Row) -> list[str]:
    if "error" in row:
        return [row["name"], row["error"], *[""] * (len(NOISY_COLUMNS) - 2)]
    return [
        row["name"],
        f"{row['time_limit']:g}",
        f"{row['wall_seconds']:.1f}",
        f"{row['cpu_seconds']:.1f}",
        f"{row['search_seconds']:.1f}",
        f"{row['objective']:.8g}",
        f"{row['lower_bound']:.8g}",
        f"{row['gap']:.1e}",
        row["status"].replace("_", " "),
        str(row["neurons"]),
        f"{row['check_seconds']:.1f}",
        "" if row["plain"] is None else f"{row['plain']:.8g}",
        broken(row),
    ]


def run_noisy(names: list[str], limits: list[float], *, on_cpu: bool) -> None:
    import plain_master

    here = record.circumstances("numpy", "scipy", "numba", "highspy", "clarabel", "scikit-learn")
    rows = []
    for name in names:
        plain = plain_rounds(name, max(limits))
        for limit in limits:
            clock = "cpu" if on_cpu else "wall"
            row = {"name": name} | record.worker("solver.py", f"{name}@{limit:g}@{clock}", limit=LIMIT)
            # where other work takes processor time away, the plain master gets no more of it either
            seconds = (
                min(limit, row.get("cpu_seconds", limit)) if row.get("status") == "time_limit" else limit
            )
            row["plain"] = plain_master.best_until(plain, seconds) if plain else None
            print("  ".join(noisy_line(row)), flush=True)
            rows.append(row)
    record.write(NOISY_RESULTS, here | {"rows": rows})
    record.print_table(record.in_words(here), NOISY_COLUMNS, map(noisy_line, rows))


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
    part.add_argument(
        "--noisy", nargs="*", choices=[[], *NOISY], metavar="NAME", help="soft margins of noisy data"
    )
    parser.add_argument(
        "--limits", nargs="+", type=float, default=NOISY_LIMITS, help="of the noisy instances"
    )
    parser.add_argument(
        "--cpu", action="store_true", help="processor seconds on the limits of the noisy instances"
    )
    parser.add_argument("--limit", type=float, default=LIMIT, help="seconds for one instance's process")
    part.add_argument("--worker", type=instance, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        name, *rest = arguments.worker.split("@")
        row = solve_noisy(name, float(rest[0]), on_cpu=rest[1] == "cpu") if rest else solve(name)
        print(json.dumps(row))
        return
    if arguments.noisy is not None:
        run_noisy(arguments.noisy or list(NOISY), arguments.limits, on_cpu=arguments.cpu)
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
