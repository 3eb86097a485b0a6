"""Listing all cells of an arrangement: ours, the rays of NumPy, and linear programs, side by side.

`python benchmarks/arrangements.py` prints tables and writes `benchmarks/results/arrangements.json`. Seconds
are processor time, of all threads together, of the fastest of up to three calls, after a warm-up that
compiles the kernels.

* rays: every choice of d - 1 rows gives a ray, the 2^(d-1) cells around each are formed at once with NumPy,
  and what comes several times is removed. Complete in general position only.
* linear programs: row by row, one feasibility problem (HiGHS through SciPy) for each cell so far decides
  whether the row cuts it (Rada and Cerny, "A new algorithm for enumeration of cells of hyperplane
  arrangements and a comparison with Avis and Fukuda's reverse search", SIAM J. Discrete Math. 32, 2018).
"""

import itertools
import math

import numpy as np
import record
from scipy.optimize import linprog

import convexrelu as cr
from convexrelu.arrangements.general import GeneralPass
from convexrelu.arrangements.integers import decide
from convexrelu.arrangements.packing import Block

SIDE_BY_SIDE = [(12, 3), (14, 4), (40, 4), (60, 4), (40, 5), (24, 6)]
MOST_FOR_PROGRAMS = 1000  # cells
PASSES = [(100, 4), (100, 5), (100, 6), (1000, 3), (2000, 3)]
PASS_CELLS = 2**16
RESULTS = record.RESULTS / "arrangements.json"


def data(n, d):
    return np.random.default_rng([n, d]).normal(size=(n, d))


def seconds(call):
    _, spent, _, answer = record.measure(call)
    return spent, answer


def cells_by_rays(X, lot=4096):
    """Return all patterns of rows in general position, packed."""
    n, d = X.shape
    last = np.random.default_rng(0).normal(size=d)
    local = np.array(list(itertools.product([False, True], repeat=d - 1)))
    found = []
    choices = itertools.combinations(range(n), d - 1)
    while chosen := list(itertools.islice(choices, lot)):
        rows = np.array(chosen)
        system = np.concatenate([X[rows], np.broadcast_to(last, (len(rows), 1, d))], axis=1)
        ends = np.linalg.solve(system, np.eye(d)[:, -1:])[:, :, 0]
        above = ends @ X.T > 0
        for sides in local:
            for patterns in (above.copy(), ~above):
                np.put_along_axis(patterns, rows, np.broadcast_to(sides, rows.shape), axis=1)
                found.append(np.packbits(patterns, axis=1))
    packed = np.ascontiguousarray(np.concatenate(found))
    return (
        np.unique(packed.view(np.dtype((np.void, packed.shape[1]))))
        .view(np.uint8)
        .reshape(-1, packed.shape[1])
    )


def cells_by_programs(X):
    """Return all patterns: a linear program for each cell of the first rows says whether the next cuts it."""
    cells = [(np.zeros(0), np.zeros(X.shape[1]))]
    for k, row in enumerate(X):
        grown = []
        for signs, point in cells:
            side = 1.0 if row @ point > 0 else -1.0
            other, reached = interior_point(np.append(signs, -side)[:, None] * X[: k + 1])
            if k and not reached:
                grown.append((np.append(signs, side), point))
            else:
                grown.append((np.append(signs, -side), other))
                kept = point if k else -other
                grown.append((np.append(signs, side), kept))
        cells = grown
    return np.packbits(np.array([signs > 0 for signs, _ in cells]), axis=1)


def interior_point(normals):
    """Maximise the least height above the hyperplanes in the unit box."""
    d = normals.shape[1]
    answer = linprog(
        np.r_[np.zeros(d), -1.0],
        A_ub=np.c_[-normals, np.ones(len(normals))],
        b_ub=np.zeros(len(normals)),
        bounds=[(-1, 1)] * d + [(None, 1)],
        method="highs",
    )
    return answer.x[:d], -answer.fun > 1e-9


def same(packed, other):
    return {p.tobytes() for p in packed} == {p.tobytes() for p in other} and len(packed) == len(other)


def compare(n, d):
    X = data(n, d)
    ours, found = seconds(lambda: cr.enumerate_patterns(X))
    rays, others = seconds(lambda: cells_by_rays(X))
    row = {
        "n": n,
        "d": d,
        "cells": len(found),
        "ours_seconds": ours,
        "ours_cells_per_second": len(found) / ours,
        "rays_seconds": rays,
        "rays_ratio": rays / ours,
        "rays_agree": same(found.packed, others),
    }
    if len(found) <= MOST_FOR_PROGRAMS:
        programs, others = seconds(lambda: cells_by_programs(X))
        row |= {
            "programs_seconds": programs,
            "programs_ratio": programs / ours,
            "programs_agree": same(found.packed, others),
        }
    return row


def one_pass(n, d):
    """Measure the first cells of a list that may exceed memory: packed, with witnesses and margins."""
    decided = decide(data(n, d))

    def fill():
        block = Block.empty(PASS_CELLS, n, d)
        return GeneralPass(decided.lines, 0.0).fill(block)

    spent, clear = seconds(fill)
    return {"n": n, "d": d, "cells": PASS_CELLS, "cells_per_second": PASS_CELLS / spent, "clear": clear}


def roots_b(n):
    e = np.eye(n)
    pairs = list(itertools.combinations(range(n), 2))
    return np.array([e[i] - e[j] for i, j in pairs] + [e[i] + e[j] for i, j in pairs] + list(e))


def famous():
    resonance = np.array(list(itertools.product([0, 1], repeat=6))[1:])
    threshold = np.array([(1, *p) for p in itertools.product([-1, 1], repeat=5)])
    cases = [
        ("resonance, n = 6", resonance, 1_066_044),
        ("threshold, n = 5", threshold, 94_572),
        ("B6", roots_b(6), 2**6 * math.factorial(6)),
    ]
    rows = []
    for name, X, known in cases:
        counting, number = seconds(lambda X=X: cr.count_patterns(X))
        listing, found = seconds(lambda X=X: cr.enumerate_patterns(X))
        rows.append(
            {
                "arrangement": name,
                "cells": known,
                "right": number == len(found) == known and found.exact,
                "count_seconds": counting,
                "list_seconds": listing,
            }
        )
    for n, d, seed in ((100, 5, 11), (45, 7, 4)):
        X = np.random.default_rng(seed).normal(size=(n, d))
        counting, number = seconds(lambda X=X: cr.count_patterns(X))
        bound = cr.pattern_bound(n, d)
        rows.append(
            {
                "arrangement": f"normal, {n} x {d}",
                "cells": bound,
                "right": number == bound,
                "count_seconds": counting,
            }
        )
    return rows


def table(title, rows):
    columns = list(dict.fromkeys(key for row in rows for key in row))
    record.print_table(title, columns, ([in_short(row.get(key, "")) for key in columns] for row in rows))


def in_short(value):
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def main():
    for warm_up in (data(8, 3), np.eye(3), np.array([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [1, 1, 1]])):
        cr.enumerate_patterns(warm_up)
        cr.count_patterns(warm_up)
    document = record.circumstances("numpy", "scipy", "numba")
    for key, title, rows in (
        (
            "passes",
            "one thread, packed patterns with witnesses and margins",
            (one_pass(*size) for size in PASSES),
        ),
        ("side_by_side", "whole calls", (compare(*size) for size in SIDE_BY_SIDE)),
        ("famous", "ties, and counting beyond listing", iter(famous())),
    ):
        document[key] = list(rows)
        table(title, document[key])
    record.write(RESULTS, document)


if __name__ == "__main__":
    main()
