"""The semidefinite bound's first program by the package's own interior-point method, by Clarabel and by SCS.

`python benchmarks/semidefinite.py` prints a table and writes `benchmarks/results/semidefinite.json`. The two
general solvers get the program through cvxpy, modelling not counted. What a solver returns is evaluated as
the package evaluates it: T, t0 and mu are moved into their sets, lam is scaled to what they prove, and the
bound is ``demand @ lam``. Each measurement has a process of its own, stopped after LIMIT seconds.
"""

import argparse
import json
from typing import Any

import numpy as np
import record

TOL = 1e-4  # relative, asked of the package's own method, whose iterates are all feasible
OPTIONS = {  # a splitting method's answer is not feasible: at its default of 1e-4 half the bound is lost
    "CLARABEL": {},
    "SCS": {"eps_abs": 1e-6, "eps_rel": 1e-6, "max_iters": 10**6, "warm_start": False},
}
LIMIT = 120.0
INSTANCES = ["random-20x6", "random-40x10", "random-60x20", "digits-3-8-40", "digits-3-8-60"]
SOLVERS = ["own", *OPTIONS]
RESULTS = record.RESULTS / "semidefinite.json"


def problem(name: str) -> Any:
    """Return the reduced problem of Gaussian rows with random labels, or of some rows of a data set."""
    import convexrelu as cr
    from convexrelu.solvers.problem import prepare

    family, size = name.rsplit("-", 1)
    if family == "random":
        X, y = record.random_labels(*map(int, size.split("x")))
    else:
        data = cr.datasets.load(family)
        rows = np.random.default_rng(0).choice(len(data.y), int(size), replace=False)
        X, y = data.X[rows], data.y[rows]
    return prepare(np.asarray(X), np.asarray(y), np.inf)


def blocks_of(part: Any) -> list[Any]:
    from convexrelu.solvers.semidefinite.branch import Block, Tree

    return [Block(part.rows, part.y, Tree(sign=sign)) for sign in (1.0, -1.0)]


def own(part: Any, blocks: list[Any]) -> tuple[float, float, np.ndarray, list[Any]]:
    from convexrelu.solvers.semidefinite.interior_point import solve_jointly

    first = np.full(len(part.y), 0.1)
    options = {"tol": TOL, "expired": lambda: False}
    wall, cpu, _, answer = record.measure(
        lambda: solve_jointly(blocks, part.demand, part.caps, first, **options)
    )
    points = [(2 * v.M[:, 1:], v.M[:, 0] - v.M[:, 1:].sum(axis=1), v.mu) for v in answer.points]
    return wall, cpu, answer.lam, points


def general(solver: str, part: Any, blocks: list[Any]) -> tuple[float, float, np.ndarray, list[Any]]:
    """The program from its definition in T and t0."""
    import cvxpy as cp

    k, r = part.rows.shape
    lam, limits, answers = cp.Variable(k, nonneg=True), [], []
    for block in blocks:
        free, answering = block.roles.free, block.roles.answering
        up, down = (cp.Variable((block.l, block.p), nonneg=True) for _ in range(2))
        t0, mu = cp.Variable(block.l), cp.Variable(block.p + 1)
        limits += [t0 >= cp.sum(down, axis=1), t0 + cp.sum(up, axis=1) <= lam[answering]]
        D = part.rows[free].T @ cp.diag(lam[free]) - block.generators.T @ (up - down)
        constant = cp.sum(D, axis=1) / 2 - block.generators.T @ t0
        B = cp.hstack([cp.reshape(constant, (r, 1), order="F"), D / 2])
        limits += [cp.bmat([[cp.diag(mu), B.T], [B, np.eye(r)]]) >> 0, cp.sum(mu) <= 1]
        answers.append((up, down, t0, mu))
    program = cp.Problem(cp.Maximize(part.demand @ lam), limits)
    program.get_problem_data(solver)  # canonicalisation is remembered, and so is not timed
    wall, cpu, _, _ = record.measure(lambda: program.solve(solver=solver, **OPTIONS[solver]))
    points = [(up.value - down.value, t0.value, mu.value) for up, down, t0, mu in answers]
    return wall, cpu, np.maximum(lam.value, 0.0), points


def proven(part: Any, blocks: list[Any], lam: np.ndarray, points: list[Any]) -> float:
    """Return the bound that the numbers prove, whatever they are."""
    from convexrelu.oracle.relaxation import Leaf, Relaxation, relaxed_bound

    lam = np.maximum(lam, 1e-12 * lam.max())
    none = np.zeros(0)
    leaves = [
        Leaf(
            sign=block.tree.sign,
            rows=none.astype(int),
            sides=none,
            T=T / lam[block.roles.answering][:, None],
            t0=t0 / lam[block.roles.answering],
            mu=np.maximum(mu, 1e-12 * mu.max()),
        )
        for block, (T, t0, mu) in zip(blocks, points, strict=True)
    ]
    norm = relaxed_bound(part.rows, part.y * lam, Relaxation(leaves=tuple(leaves)))
    return float(part.demand @ lam) / norm


def solve(solver: str, name: str) -> record.Row:
    part = problem(name)
    blocks = blocks_of(part)
    wall, cpu, lam, points = own(part, blocks) if solver == "own" else general(solver, part, blocks)
    return {
        "rows": len(part.y),
        "rank": part.rows.shape[1],
        "seconds": wall,
        "cpu_seconds": cpu,
        "bound": proven(part, blocks, lam, points) * part.scale,
        "peak_megabytes": record.peak_megabytes(),
    }


def line(row: record.Row) -> list[str]:
    mine = row["own"]
    cells = [
        row["name"],
        f"{mine['rows']}, {mine['rank']}",
        f"{mine['seconds']:.2f} s",
        f"{mine['bound']:.6g}",
    ]
    for solver in SOLVERS[1:]:
        other = row[solver]
        if "error" in other:
            cells += [other["error"], "", ""]
        else:
            ratio = other["cpu_seconds"] / mine["cpu_seconds"]
            cells += [f"{other['seconds']:.2f} s", f"{ratio:.0f}", f"{other['bound']:.6g}"]
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worker", nargs=2, metavar=("SOLVER", "NAME"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        print(json.dumps(solve(*arguments.worker)))
        return
    document = record.circumstances("numpy", "scipy", "cvxpy", "clarabel", "scs") | {"rows": []}
    for name in INSTANCES:
        row = {s: record.worker("semidefinite.py", s, name, limit=LIMIT) for s in SOLVERS}
        document["rows"].append({"name": name} | row)
        print(" ".join(line(document["rows"][-1])), flush=True)
        record.write(RESULTS, document)
    columns = ["instance", "rows, rank", "own", "proven bound"]
    columns += [text for s in SOLVERS[1:] for text in (s, "CPU ratio", "proven bound")]
    record.print_table(record.in_words(document), columns, map(line, document["rows"]))


if __name__ == "__main__":
    main()
