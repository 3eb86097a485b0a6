"""Column generation against the full convex program over all patterns, side by side on one machine.

`python benchmarks/run.py` prints a table and writes `benchmarks/results/full_program.json`. The full program
goes to a conic solver through cvxpy, modelling included. Each measurement has a process of its own; the
fastest of up to three runs counts, after a warm-up that compiles the kernels. A process that takes longer
than its limit is stopped, and "> limit" is all that is said about it.
"""

import argparse
import json
import math

import record

SIZES = [(15, 3), (25, 3), (40, 3), (25, 4), (40, 4)]
QUICK = SIZES[:3]
LIMITS = {"CLARABEL": 600.0, "ECOS": 100.0}  # seconds for the process of one full program
RESULTS = record.RESULTS / "full_program.json"


def full_program(solver: str, n: int, d: int) -> record.Row:
    import convexrelu as cr

    X, y = record.random_labels(n, d)
    patterns = cr.enumerate_patterns(X).patterns
    wall, cpu, runs, value = record.measure(
        lambda: cr.primal_program(X, y, patterns).problem.solve(solver=solver)
    )
    return {
        "seconds": wall,
        "cpu_seconds": cpu,
        "runs": runs,
        "value": float(value),
        "peak_megabytes": record.peak_megabytes(),
    }


def column_generation(n: int, d: int) -> record.Row:
    import convexrelu as cr

    for warm_up in ((8, 2), (12, 3), (12, 4)):
        cr.solve_max_margin(*record.random_labels(*warm_up))
    X, y = record.random_labels(n, d)
    wall, cpu, runs, solution = record.measure(lambda: cr.solve_max_margin(X, y))
    return {
        "patterns": cr.count_patterns(X),
        "seconds": wall,
        "cpu_seconds": cpu,
        "runs": runs,
        "objective": solution.objective,
        "lower_bound": solution.lower_bound,
        "gap": solution.gap,
        "peak_megabytes": record.peak_megabytes(),
    }


def compare(n: int, d: int) -> record.Row:
    ours = record.worker("run.py", "ours", n, d, limit=max(LIMITS.values()))
    full = {s: record.worker("run.py", s, n, d, limit=limit) for s, limit in LIMITS.items()}
    return {"n": n, "d": d, "limits": LIMITS, "column_generation": ours, "full_program": full}


def line(row: record.Row) -> list[str]:
    ours = row["column_generation"]
    if "error" in ours:
        return [str(row["n"]), str(row["d"]), "", ours["error"]]
    cells = [str(row["n"]), str(row["d"]), f"{ours['patterns']:,}", f"{ours['seconds']:.3f} s"]
    for full in row["full_program"].values():
        if "error" in full:
            cells += [full["error"], ""]
        else:
            cells += [f"{full['seconds']:.2f} s", f"{full['cpu_seconds'] / ours['cpu_seconds']:.1f}"]
    values = [full["value"] for full in row["full_program"].values() if "error" not in full]
    # How far the farthest of the full programs' values lies outside our certified interval.
    low, high = ours["lower_bound"], ours["objective"]
    outside = max((max(low - v, v - high, 0.0) / high for v in values), default=math.nan)
    return [*cells, f"{ours['gap']:.1e}", f"{outside:.1e}" if values else ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="only the small sizes")
    parser.add_argument("--worker", nargs=3, metavar=("WHAT", "N", "D"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        what, n, d = arguments.worker[0], int(arguments.worker[1]), int(arguments.worker[2])
        print(json.dumps(column_generation(n, d) if what == "ours" else full_program(what, n, d)))
        return
    document = record.circumstances("numpy", "scipy", "cvxpy", "clarabel", "ecos", "numba") | {"rows": []}
    for n, d in QUICK if arguments.quick else SIZES:
        document["rows"].append(compare(n, d))
        print(" ".join(line(document["rows"][-1])), flush=True)
    if not arguments.quick:  # a part must not take the whole table's place
        record.write(RESULTS, document)
    columns = ["n", "d", "patterns", "column generation"]
    columns += [text for s in LIMITS for text in (f"full program, {s}", "CPU ratio")]
    record.print_table(
        record.in_words(document),
        [*columns, "certified gap", "full program outside the bounds"],
        map(line, document["rows"]),
    )


if __name__ == "__main__":
    main()
