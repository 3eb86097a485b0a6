"""pyscnn, the nearest neighbour, on its own ground: least squares with weight decay over sampled patterns.

`PEERS_PYTHON=/path/to/python python benchmarks/peers.py` prints a table and writes
`benchmarks/results/peers.json`. The interpreter named has pyscnn (`pip install pyscnn`, Mishkin, Sahiner and
Pilanci, "Fast convex optimization for two-layer ReLU networks", ICML 2022), in an environment of its own;
without it nothing is measured.

The program is ``min ||sum_j D_j X (u_j - u'_j) - y||^2/(2n) + lam sum_j (||u_j|| + ||u'_j||)`` with ``(2D_j -
I) X u_j >= 0`` and the same for u'_j. pyscnn's augmented Lagrangian is stopped by its own tests. Its answer
is evaluated here from its weights, in three ways: the objective, how far its weights leave their cones, and
the objective of the ReLU network with these weights, which is feasible by itself. Beside it stand the same
program (the very same patterns) solved by Clarabel through cvxpy, the one over all patterns (sampling loses
the difference), and our own solver, which samples none and gives a lower bound.

Without the cones it is the gated program: R-FISTA of pyscnn and our solver are given the same gates.
"""

import argparse
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import cvxpy as cp
import numpy as np
import record

import convexrelu as cr

PROBLEMS = [
    (20, 2, 100, 1e-6),
    (25, 3, 200, 1e-6),
    (40, 3, 200, 1e-6),
    (40, 3, 200, 1e-8),
]  # n, d, gates, tol
QUICK = PROBLEMS[:2]
GATED = [(200, 10, 100, 1e-6), (1000, 50, 500, 1e-6)]
OURS = 1e-6  # gap that our solver is asked for
LAM, SEED = 1e-2, 0
LIMIT = 300.0  # seconds for one solve by pyscnn
CLOSE = (1e-2, 1e-3)  # relative distances to the value, the time to which is taken
RESULTS = record.RESULTS / "peers.json"


def program(X: np.ndarray, y: np.ndarray, patterns: np.ndarray) -> cp.Problem:
    """Return the program over the given patterns, (p, n) bool."""
    (n, d), D = X.shape, patterns.astype(float)
    U, V = cp.Variable((len(D), d)), cp.Variable((len(D), d))
    heights, heights_prime = U @ X.T, V @ X.T
    outputs = cp.sum(cp.multiply(D, heights - heights_prime), axis=0)
    norms = cp.sum(cp.norm(U, 2, axis=1)) + cp.sum(cp.norm(V, 2, axis=1))
    return cp.Problem(
        cp.Minimize(cp.sum_squares(outputs - y) / (2 * n) + LAM * norms),
        [cp.multiply(2 * D - 1, heights) >= 0, cp.multiply(2 * D - 1, heights_prime) >= 0],
    )


def loss(outputs: np.ndarray, y: np.ndarray, norms: float) -> float:
    return float(((outputs - y) ** 2).mean() / 2 + LAM * norms)


def time_to(value: float, times: list[float], losses: list[float], share: float) -> float | None:
    """Return when the objective came within a share of the value for good, None if it never did."""
    far = np.abs(np.asarray(losses) - value) > share * value
    if far[-1]:
        return None
    return times[int(np.flatnonzero(far)[-1]) + 1] if far.any() else times[0]


def has_pyscnn(python: str) -> bool:
    if shutil.which(python) is None:
        return False
    return subprocess.run([python, "-c", "import scnn"], capture_output=True, check=False).returncode == 0


def ask_pyscnn(
    python: str, X: np.ndarray, y: np.ndarray, gates: int, tol: float, kind: str = "relu"
) -> record.Row:
    with tempfile.TemporaryDirectory() as directory:
        problem = Path(directory) / "problem.npz"
        np.savez(problem, X=X, y=y, lam=LAM, gates=gates, tol=tol, seed=SEED, kind=kind)
        script = Path(__file__).with_name("pyscnn_worker.py")
        return record.answer_of([python, str(script), str(problem)], LIMIT)


def compare(python: str, n: int, d: int, gates: int, tol: float) -> record.Row:
    X, y = record.random_labels(n, d)
    row = {"n": n, "d": d, "gates": gates, "tol": tol}
    answer = ask_pyscnn(python, X, y, gates, tol)
    if "error" in answer:
        return row | answer
    (U, V), G = map(np.array, answer["weights"]), np.array(answer["gates"])
    patterns = G @ X.T > 0
    every = cr.enumerate_patterns(X).patterns
    norms = float(np.linalg.norm(U, axis=1).sum() + np.linalg.norm(V, axis=1).sum())
    signs = 2.0 * patterns - 1
    seconds, _, _, value = record.measure(lambda: program(X, y, patterns).solve(solver="CLARABEL"))
    full_seconds, _, _, full = record.measure(lambda: program(X, y, every).solve(solver="CLARABEL"))
    ours = ours_on(X, y)
    return (
        row
        | ours
        | {
            "versions": answer["versions"],
            "patterns": len(patterns),
            "all_patterns": len(every),
            "pyscnn_seconds": answer["seconds"],
            "pyscnn_cpu_seconds": answer["cpu_seconds"],
            "pyscnn_seconds_to": [time_to(value, answer["times"], answer["losses"], s) for s in CLOSE],
            "pyscnn_objective": loss((patterns * ((U - V) @ X.T)).sum(axis=0), y, norms),
            "pyscnn_reported_objective": answer["losses"][-1],
            "pyscnn_violation": max(0.0, -float(min((signs * (W @ X.T)).min() for W in (U, V)))),
            "pyscnn_network_objective": loss(
                np.maximum(U @ X.T, 0).sum(axis=0) - np.maximum(V @ X.T, 0).sum(axis=0), y, norms
            ),
            "cvxpy_seconds": seconds,
            "cvxpy_value": float(value),
            "cvxpy_all_seconds": full_seconds,
            "cvxpy_all_value": float(full),
        }
    )


def ours_on(X: np.ndarray, y: np.ndarray, gates: np.ndarray | None = None) -> record.Row:
    seconds, cpu, _, found = record.measure(
        lambda: cr.solve(X, y, loss="squared", beta=LAM, reduction="mean", gates=gates, tol=OURS)
    )
    return {
        "ours_seconds": seconds,
        "ours_cpu_seconds": cpu,
        "ours_objective": found.objective,
        "ours_lower_bound": found.lower_bound,
        "ours_gap": found.gap,
        "ours_seconds_to": [
            next(entry.seconds for entry in found.history if entry.objective <= found.objective * (1 + share))
            for share in CLOSE
        ],
    }


def compare_gated(python: str, n: int, d: int, gates: int, tol: float) -> record.Row:
    X, y = record.random_labels(n, d)
    row = {"n": n, "d": d, "gates": gates, "tol": tol}
    answer = ask_pyscnn(python, X, y, gates, tol, "gated")
    if "error" in answer:
        return row | answer
    G, W = np.array(answer["gates"]), np.array(answer["weights"][0])
    ours = ours_on(X, y, G)
    outputs = ((G @ X.T > 0) * (W @ X.T)).sum(axis=0)
    return (
        row
        | ours
        | {
            "versions": answer["versions"],
            "patterns": len(G),
            "pyscnn_seconds": answer["seconds"],
            "pyscnn_cpu_seconds": answer["cpu_seconds"],
            "pyscnn_seconds_to": [
                time_to(ours["ours_objective"], answer["times"], answer["losses"], share) for share in CLOSE
            ],
            "pyscnn_objective": loss(outputs, y, float(np.linalg.norm(W, axis=1).sum())),
        }
    )


COLUMNS = ["n", "d", "tol", "patterns", *(f"pyscnn to {share:.1%}" for share in CLOSE), "pyscnn in all"]
COLUMNS += ["its objective", "of its network", "violation", "cvxpy", "value"]
COLUMNS += ["all patterns", "cvxpy", "value", "lost by sampling", "ours", "objective", "certified gap"]
GATED_COLUMNS = ["n", "d", "tol", "gates", *(f"pyscnn to {share:.1%}" for share in CLOSE), "pyscnn in all"]
GATED_COLUMNS += ["its objective", *(f"ours to {share:.1%}" for share in CLOSE), "ours", "objective"]
GATED_COLUMNS += ["certified gap"]


def line(row: record.Row) -> list[str]:
    start = [str(row["n"]), str(row["d"]), f"{row['tol']:g}"]
    if "error" in row:
        return [*start, row["error"]]
    value, full = row["cvxpy_value"], row["cvxpy_all_value"]
    return [
        *start,
        str(row["patterns"]),
        *("never" if t is None else f"{t:.2f} s" for t in row["pyscnn_seconds_to"]),
        f"{row['pyscnn_seconds']:.2f} s",
        f"{row['pyscnn_objective']:.6f}",
        f"{row['pyscnn_network_objective']:.6f}",
        f"{row['pyscnn_violation']:.1e}",
        f"{row['cvxpy_seconds']:.2f} s",
        f"{value:.6f}",
        str(row["all_patterns"]),
        f"{row['cvxpy_all_seconds']:.2f} s",
        f"{full:.6f}",
        f"{(value - full) / full:.1%}",
        *ours_in_words(row),
    ]


def ours_in_words(row: record.Row) -> list[str]:
    return [f"{row['ours_seconds']:.3g} s", f"{row['ours_objective']:.6f}", f"{row['ours_gap']:.1e}"]


def gated_line(row: record.Row) -> list[str]:
    start = [str(row["n"]), str(row["d"]), f"{row['tol']:g}"]
    if "error" in row:
        return [*start, row["error"]]
    return [
        *start,
        str(row["patterns"]),
        *("never" if t is None else f"{t:.2f} s" for t in row["pyscnn_seconds_to"]),
        f"{row['pyscnn_seconds']:.2f} s",
        f"{row['pyscnn_objective']:.6f}",
        *(f"{seconds:.2f} s" for seconds in row["ours_seconds_to"]),
        *ours_in_words(row),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="only the small problems")
    arguments = parser.parse_args()
    python = os.environ.get("PEERS_PYTHON", "")
    if not has_pyscnn(python):
        print(f"PEERS_PYTHON must name an interpreter with pyscnn, got {python!r}: nothing is compared")
        return
    document = record.circumstances("numpy", "cvxpy", "clarabel") | {"lam": LAM, "rows": [], "gated": []}
    for problem in QUICK if arguments.quick else PROBLEMS:
        row = compare(python, *problem)
        document["versions"] |= row.pop("versions", {})
        document["rows"].append(row)
        print(" ".join(line(row)), flush=True)
    for problem in GATED[:1] if arguments.quick else GATED:
        row = compare_gated(python, *problem)
        document["versions"] |= row.pop("versions", {})
        document["gated"].append(row)
        print(" ".join(gated_line(row)), flush=True)
    if not arguments.quick:  # a part must not take the whole table's place
        record.write(RESULTS, document)
    record.print_table(record.in_words(document), COLUMNS, map(line, document["rows"]))
    record.print_table("Gated", GATED_COLUMNS, map(gated_line, document["gated"]))


if __name__ == "__main__":
    main()
