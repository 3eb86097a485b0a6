"""Descent's compiled loop against the same loop in NumPy, and the early phase of many neurons.

`python benchmarks/descent.py` prints tables and writes `benchmarks/results/descent.json`. Everything runs in
one process on one thread (set OMP_NUM_THREADS=1 for the NumPy loop's sake), and is timed in CPU seconds: the
fastest of several repeats, loops of both kinds alternating, so that a busy machine slows both alike.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import joblib
import numpy as np
import record

import convexrelu as cr
from convexrelu.losses import get_loss

SIZES = [(2, 10, 2), (10, 5, 2), (20, 10, 3), (40, 10, 5), (100, 20, 10)]  # n, m, d; WP F.1 has the first
WORK = 5e7  # multiplications for one repeat of the compiled loop
NUMPY_STEPS = 1000
REPEATS = 3
MILLION = 1_000_000
NEURONS = [(50, 3, 100_000), (50, 6, 20_000)]  # n, d, neurons
RESULTS = record.RESULTS / "descent.json"


def numpy_loop(
    X: np.ndarray, y: np.ndarray, W1: np.ndarray, w2: np.ndarray, step: float, n_steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """The loop one would write: ten NumPy calls a step, the package's own log-domain slope of the loss."""
    slope = get_loss("logistic").slope
    for _ in range(n_steps):
        hidden = X @ W1.T
        active = np.maximum(hidden, 0.0)
        lam = y * slope(y * (active @ w2))
        pull = ((hidden > 0.0) * lam[:, None]).T @ X
        W1, w2 = W1 + step * w2[:, None] * pull, w2 + step * (active.T @ lam)
    return W1, w2


def shortest_numpy_loop(
    X: np.ndarray, y: np.ndarray, W1: np.ndarray, w2: np.ndarray, step: float, n_steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """The same with the fewest operations: 1/(1 + e^q), which overflows for very wrong samples."""
    for _ in range(n_steps):
        hidden = X @ W1.T
        active = np.maximum(hidden, 0.0)
        lam = y / (1.0 + np.exp(y * (active @ w2)))
        pull = ((hidden > 0.0) * lam[:, None]).T @ X
        W1, w2 = W1 + step * w2[:, None] * pull, w2 + step * (active.T @ lam)
    return W1, w2


def normalised_numpy_loop(
    X: np.ndarray, y: np.ndarray, W1: np.ndarray, w2: np.ndarray, step: float, n_steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Normalised steps in the log domain: loss weights over the loss, which neither overflow nor vanish."""
    rule, longest = get_loss("logistic"), float(np.square(X).sum(axis=1).max())
    for _ in range(n_steps):
        hidden = X @ W1.T
        active = np.maximum(hidden, 0.0)
        q = y * (active @ w2)
        lam = y * np.exp(rule.log_slope(q) - rule.log_total(q))
        rate = step / (longest * max(1.0, np.square(W1).sum() + np.square(w2).sum()))
        pull = ((hidden > 0.0) * lam[:, None]).T @ X
        W1, w2 = W1 + rate * w2[:, None] * pull, w2 + rate * (active.T @ lam)
    return W1, w2


def problem(n: int, m: int, d: int) -> tuple[np.ndarray, np.ndarray, cr.TwoLayerReLU]:
    X, y = record.random_labels(n, d)
    rng = np.random.default_rng(1)
    return X, y, cr.TwoLayerReLU(0.1 * rng.normal(size=(m, d)), 0.1 * rng.normal(size=m))


def seconds(call: Callable[[], Any]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def compare(n: int, m: int, d: int) -> record.Row:
    X, y, start = problem(n, m, d)
    W1, w2 = np.array(start.W1), np.array(start.w2)
    steps = int(WORK / (n * m * d))
    options = {"step_size": 1e-3, "record": 2}
    calls = {
        "plain": (steps, lambda: cr.gradient_descent(X, y, start, n_steps=steps, **options)),
        "normalised": (
            steps,
            lambda: cr.gradient_descent(X, y, start, n_steps=steps, normalized=True, **options),
        ),
        "numpy": (NUMPY_STEPS, lambda: numpy_loop(X, y, W1, w2, 1e-3, NUMPY_STEPS)),
        "normalised_numpy": (
            NUMPY_STEPS,
            lambda: normalised_numpy_loop(X, y, W1, w2, 1e-3, NUMPY_STEPS),
        ),
        "shortest_numpy": (NUMPY_STEPS, lambda: shortest_numpy_loop(X, y, W1, w2, 1e-3, NUMPY_STEPS)),
    }
    path = cr.gradient_descent(X, y, start, n_steps=NUMPY_STEPS, **options)
    difference = np.abs(path.W1[-1] - numpy_loop(X, y, W1, w2, 1e-3, NUMPY_STEPS)[0]).max()
    best = dict.fromkeys(calls, np.inf)
    for _ in range(REPEATS):
        for name, (count, call) in calls.items():
            best[name] = min(best[name], 1e6 * seconds(call) / count)
    return {
        "n": n,
        "m": m,
        "d": d,
        "microseconds_a_step": best,
        "ratio": best["numpy"] / best["plain"],
        "ratio_normalised": best["normalised_numpy"] / best["normalised"],
        "ratio_to_shortest": best["shortest_numpy"] / best["plain"],
        "largest_difference": float(difference),
    }


def align(n: int, d: int, neurons: int) -> record.Row:
    X, y = record.random_labels(n, d)
    starts = np.random.default_rng(1).normal(size=(neurons, d))
    cr.alignment_flow(X, y, starts[:10])
    with joblib.parallel_config(n_jobs=1):
        cpu = min(seconds(lambda: cr.alignment_flow(X, y, starts)) for _ in range(2))
        flow = cr.alignment_flow(X, y, starts)
    return {
        "n": n,
        "d": d,
        "neurons": neurons,
        "cpu_seconds": cpu,
        "changes_each": float(flow.n_changes.mean()),
        "extreme_points": len(flow.extreme_points),
        "stalled": int((flow.status == "stalled").sum()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.parse_args()
    document = record.circumstances("numpy", "numba")
    document["descent"] = [compare(*size) for size in SIZES]
    document["alignment"] = [align(*size) for size in NEURONS]
    record.write(RESULTS, document)
    title = record.in_words(document) + ", one thread, CPU time"
    lines = []
    for row in document["descent"]:
        us = row["microseconds_a_step"]
        lines.append(
            [f"{row['n']}, {row['m']}, {row['d']}"]
            + [f"{us[name]:.2f}" for name in ("plain", "normalised", "numpy", "normalised_numpy")]
            + [
                f"{row['ratio']:.1f}",
                f"{row['ratio_normalised']:.1f}",
                f"{row['ratio_to_shortest']:.1f}",
                f"{us['plain'] * MILLION * 1e-6:.1f}",
            ]
            + [f"{row['largest_difference']:.1e}"]
        )
    columns = [
        "n, m, d",
        "plain us",
        "normalised us",
        "NumPy us",
        "NumPy normalised us",
        "ratio",
        "ratio normalised",
        "to shortest",
    ]
    record.print_table(title, [*columns, "10^6 steps, s", "difference"], lines)
    record.print_table(
        "The early phase of many neurons",
        ["n, d", "neurons", "CPU s", "changes each", "extreme points", "stalled"],
        [
            [
                f"{row['n']}, {row['d']}",
                f"{row['neurons']:,}",
                f"{row['cpu_seconds']:.2f}",
                f"{row['changes_each']:.1f}",
                str(row["extreme_points"]),
                str(row["stalled"]),
            ]
            for row in document["alignment"]
        ],
    )


if __name__ == "__main__":
    main()
