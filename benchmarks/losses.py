"""Training with weight decay to a certified gap: seconds, bounds, and what the last digits took.

`python benchmarks/losses.py` prints a Markdown table and writes `benchmarks/results/losses.json` row by row;
`--only NAME ...` takes what is named, whose rows take the places of older ones. `--cpu` counts processor
seconds on the limits, for a busy machine. Names: LOSS-DATA-NxD@SHARE, beta being that share of the smallest
price at which the zero network is optimal. Data: "teacher" (a random network of three neurons, with noise of
0.2 on targets and on what labels are the signs of), "random" (Gaussian targets, or labels by a coin), or a
data set of scikit-learn, standardised, with a bias column.

Each instance has a process of its own. Kernels are compiled before, by solving a few of its rows.
"""

import argparse
import json
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import record

NOISE = 0.2
SHARES = (0.1, 0.01, 0.001)
LIMIT = 900.0  # seconds for one process
RESULTS = record.RESULTS / "losses.json"
VECTOR, LABELS = ("softmax", "multi_squared"), ("logistic", "hinge", "squared_hinge")


@dataclass(frozen=True)
class Instance:
    """What is asked of an instance: the gap, in so many seconds."""

    loss: str
    data: str
    share: float
    gap: float
    seconds: float

    @property
    def name(self) -> str:
        return f"{self.loss}-{self.data}@{self.share:g}"


INSTANCES = {
    instance.name: instance
    for instance in (
        *(Instance("squared", "teacher-1000x3", share, 1e-6, 5) for share in SHARES),
        Instance("squared", "random-1000x3", 0.01, 1e-6, 20),
        *(Instance("squared", "teacher-10000x3", share, 1e-6, 30) for share in SHARES),
        Instance("squared", "random-10000x3", 0.01, 1e-3, 60),
        *(Instance("squared", "teacher-1000x5", share, 1e-6, 30) for share in (0.1, 0.01)),
        Instance("squared", "teacher-1000x5", 0.001, 5e-2, 120),
        Instance("squared", "teacher-500x8", 0.1, 0.1, 120),
        Instance("squared", "teacher-500x8", 0.01, 0.5, 120),
        Instance("logistic", "teacher-1000x3", 0.01, 1e-6, 2),
        Instance("logistic", "random-1000x3", 0.01, 1e-6, 40),
        Instance("logistic", "teacher-1000x5", 0.01, 1e-6, 10),
        Instance("logistic", "teacher-10000x3", 0.01, 1e-6, 20),
        Instance("huber", "teacher-1000x5", 0.01, 1e-6, 60),
        Instance("softmax", "iris", 0.01, 1e-3, 60),
        Instance("squared", "diabetes", 0.01, 0.15, 60),
        Instance("logistic", "breast-cancer", 0.01, 0.15, 60),
    )
}


def data(instance: Instance) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and targets."""
    from sklearn import datasets
    from sklearn.preprocessing import StandardScaler

    kind, _, size = instance.data.partition("-")
    if kind in ("teacher", "random"):
        n, d = map(int, size.split("x"))
        rng = np.random.default_rng(0)
        X = rng.normal(size=(n, d))
        if kind == "random":
            y = rng.normal(size=n)
        else:
            outputs = np.maximum(X @ rng.normal(size=(3, d)).T, 0) @ np.array([1.0, -1.0, 1.0])
            y = outputs + NOISE * rng.normal(size=n)
        return X, np.where(y > 0, 1.0, -1.0) if instance.loss in LABELS else y
    loaders = {
        "iris": datasets.load_iris,
        "diabetes": datasets.load_diabetes,
        "breast-cancer": datasets.load_breast_cancer,
    }
    X, y = loaders[instance.data](return_X_y=True)
    X = np.c_[StandardScaler().fit_transform(X), np.ones(len(X))]
    if instance.loss in (*VECTOR, *LABELS):
        return X, y
    return X, (y - y.mean()) / y.std()


def solve(name: str, *, on_cpu: bool) -> record.Row:
    if on_cpu:
        record.on_processor_time()
    import convexrelu as cr

    instance = INSTANCES[name]
    X, y = data(instance)
    few = np.linspace(0, len(X) - 1, 60).astype(int)
    largest = cr.beta_max(X, y, loss=instance.loss, tol=1e-3, time_limit=10.0).value
    for _ in range(2):
        cr.solve(X[few], y[few], loss=instance.loss, beta=0.05 * largest, tol=1e-2, time_limit=10.0)
    wall, cpu = time.perf_counter(), time.process_time()
    solution = cr.solve(
        X,
        y,
        loss=instance.loss,
        beta=instance.share * largest,
        tol=min(instance.gap, 1e-3),
        time_limit=instance.seconds,
    )
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    searched = [entry.seconds for entry in solution.history if entry.phase != "oracle"]
    checking = time.process_time()
    holds = solution.certificate.check(X, y)
    checking = time.process_time() - checking
    return {
        "wanted_gap": instance.gap,
        "wanted_seconds": instance.seconds,
        "on_cpu": on_cpu,
        "wall_seconds": wall,
        "cpu_seconds": cpu,
        "search_seconds": max(searched, default=0.0),
        "check_seconds": checking,
        "rounds": len(searched),
        "oracle_calls": len(solution.history) - len(searched),
        "objective": solution.objective,
        "lower_bound": solution.lower_bound,
        "gap": solution.gap,
        "status": solution.status,
        "neurons": solution.network.n_neurons,
        "certified": bool(holds),
    }


COLUMNS = ["instance", "asked", "CPU s", "of which search", "rounds", "oracle", "objective", "certified gap"]
COLUMNS += ["status", "neurons", "check, CPU s"]


def line(row: record.Row) -> list[str]:
    if "error" in row:
        return [row["name"], row["error"], *[""] * (len(COLUMNS) - 2)]
    return [
        row["name"],
        f"{row['wanted_gap']:g} in {row['wanted_seconds']:g} s",
        f"{row['cpu_seconds']:.1f}",
        f"{row['search_seconds']:.1f}",
        str(row["rounds"]),
        str(row["oracle_calls"]),
        f"{row['objective']:.8g}",
        f"{row['gap']:.1e}",
        row["status"].replace("_", " "),
        str(row["neurons"]),
        f"{row['check_seconds']:.1f}",
    ]


def known_rows() -> dict[str, Any]:
    return {row["name"]: row for row in json.loads(RESULTS.read_text())["rows"]} if RESULTS.exists() else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(INSTANCES), default=list(INSTANCES), metavar="NAME")
    parser.add_argument("--cpu", action="store_true", help="processor seconds on the limits")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        name, clock = arguments.worker
        print(json.dumps(solve(name, on_cpu=clock == "cpu")))
        return
    here = record.circumstances("numpy", "scipy", "numba", "clarabel", "scikit-learn")
    rows = known_rows()
    for name in arguments.only:
        clock = "cpu" if arguments.cpu else "wall"
        rows[name] = {"name": name} | record.worker("losses.py", name, clock, limit=LIMIT)
        print("  ".join(line(rows[name])), flush=True)
        record.write(RESULTS, here | {"rows": [rows[key] for key in INSTANCES if key in rows]})
    record.print_table(record.in_words(here), COLUMNS, map(line, (rows[k] for k in INSTANCES if k in rows)))


if __name__ == "__main__":
    main()
