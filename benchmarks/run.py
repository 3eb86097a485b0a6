"""Column generation against the full convex program, side by side on one machine.

`make bench` runs it: it prints a table and writes `benchmarks/results/full_program.json`. Times are the best
of three after a warm-up that compiles the kernels; what counts is the ratio.
"""

import json
import os
import platform
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np

import convexrelu as cr

SIZES = [(15, 3), (25, 3), (40, 3), (25, 4)]
REPEATS = 3
RESULTS = Path(__file__).parent / "results" / "full_program.json"


def random_labels(n, d, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), np.where(rng.random(n) < 0.5, 1.0, -1.0)


def seconds(call):
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        answer = call()
        times.append(time.perf_counter() - start)
    return min(times), answer


def measure(n, d):
    X, y = random_labels(n, d)
    patterns = cr.enumerate_patterns(X).patterns
    full, value = seconds(lambda: cr.primal_program(X, y, patterns).problem.solve(solver="CLARABEL"))
    ours, solution = seconds(lambda: cr.solve_max_margin(X, y))
    return {
        "n": n,
        "d": d,
        "patterns": len(patterns),
        "full_program_seconds": full,
        "column_generation_seconds": ours,
        "ratio": full / ours,
        "full_program_value": float(value),
        "lower_bound": solution.lower_bound,
        "objective": solution.objective,
        "certified_gap": solution.gap,
    }


def main():
    for warm_up in ((8, 2), (12, 3), (12, 4)):
        cr.solve_max_margin(*random_labels(*warm_up))
    rows = []
    print(f"{'n':>4} {'d':>2} {'patterns':>8} {'full program':>13} {'ours':>9} {'ratio':>7} {'gap':>8}")
    for n, d in SIZES:
        row = measure(n, d)
        rows.append(row)
        print(
            f"{n:>4} {d:>2} {row['patterns']:>8} {row['full_program_seconds']:>11.2f} s"
            f" {row['column_generation_seconds']:>7.3f} s {row['ratio']:>7.1f} {row['certified_gap']:>8.1e}"
        )
    machine = {"processor": platform.machine(), "cores": os.cpu_count(), "python": platform.python_version()}
    packages = {
        name: version(name) for name in ("convexrelu", "numpy", "scipy", "cvxpy", "clarabel", "numba")
    }
    RESULTS.parent.mkdir(exist_ok=True)
    draft = RESULTS.with_suffix(".tmp")
    draft.write_text(json.dumps({"machine": machine, "versions": packages, "rows": rows}, indent=1) + "\n")
    draft.replace(RESULTS)


if __name__ == "__main__":
    main()
