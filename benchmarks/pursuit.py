"""Neuron Pursuit on the sparse functions, modular addition and pointer value retrieval of NP section 5.2.

`python benchmarks/pursuit.py` prints a table and writes `benchmarks/results/pursuit.json`; `--quick` leaves
out the two algorithmic tasks, `--descent` adds gradient descent with 50 neurons a layer on f1. Each row is
timed in CPU seconds of one process; set OMP_NUM_THREADS=1.
"""

import argparse
import time

import numpy as np
import record

import convexrelu as cr
from convexrelu.datasets import Task, modular_addition, pointer_value_retrieval, sparse_function
from convexrelu.pursuit import LimitedMemoryBFGS, PursuitResult
from convexrelu.training import gradient_descent

RELU, LEAKY, SQUARE = cr.PowerLeakyReLU(), cr.PowerLeakyReLU(0.5), cr.PowerLeakyReLU(1.0, 2)
FUNCTIONS = [("fig5", 500, 3, 10), ("f1", 800, 3, 10), ("h1", 1600, 4, 4), ("g1", 3000, 3, 2)]  # n, L, seeds
TEST = 10_000
HASTY = LimitedMemoryBFGS(patience=50, gain=1e-3)
DESCENT_STEPS = 30_000
RESULTS = record.RESULTS / "pursuit.json"


def row_of(name: str, seed: int, cpu: float, result: PursuitResult, test: float) -> record.Row:
    return {
        "task": name,
        "seed": seed,
        "status": result.status,
        "iterations": len(result.history),
        "neurons": list(result.network.widths[1:-1]),
        "training_error": result.relative_error,
        "test_error": test,
        "cpu_seconds": cpu,
    }


def sparse(name: str, n: int, depth: int, seed: int) -> record.Row:
    train, test = sparse_function(name, n, rng=seed), sparse_function(name, TEST, rng=100 + seed)
    activation = LEAKY if name[0] in "gh" else RELU
    start = time.process_time()
    result = cr.neuron_pursuit(*train, depth=depth, activation=activation, rng=seed)
    cpu = time.process_time() - start
    return row_of(
        f"{name}, n = {n}, L = {depth}", seed, cpu, result, test.relative_error(result.network(test.X))
    )


def addition(seed: int, p: int = 59, n: int = 1500) -> record.Row:
    train, test = modular_addition(p).split(n, rng=seed)
    start = time.process_time()
    result = cr.neuron_pursuit(
        *train,
        depth=2,
        activation=SQUARE,
        max_iterations=55,
        delta=0.05,
        stop=lambda network: train.classification_error(network(train.X)) == 0,
        rng=seed,
    )
    cpu = time.process_time() - start
    row = row_of(f"addition modulo {p}", seed, cpu, result, test.classification_error(result.network(test.X)))
    return row | {"training_error": train.classification_error(result.network(train.X))}


def pointer(train: Task, seed: int, limit: float) -> PursuitResult:
    """Grow a network that retrieves pointers' values, in so many seconds."""
    return cr.neuron_pursuit(
        *train, depth=3, tol=5e-3, n_starts=4, max_iterations=60, inner=HASTY, time_limit=limit, rng=seed
    )


def retrieval(seed: int, n: int = 20_000, limit: float = 400.0) -> record.Row:
    train, test = pointer_value_retrieval(n, rng=seed), pointer_value_retrieval(n, rng=100 + seed)
    start = time.process_time()
    result = pointer(train, seed, limit)
    cpu = time.process_time() - start
    return row_of(f"pointer, n = {n}", seed, cpu, result, test.relative_error(result.network(test.X)))


def descent(task: Task, fresh: Task, seed: int) -> record.Row:
    rng = np.random.default_rng(seed)
    d = task.X.shape[1]
    weights = [rng.normal(size=shape) for shape in [(50, d), (50, 50), (1, 50)]]
    network = cr.FeedForward(weights).normalized().scaled_weights(0.01)
    start = time.process_time()
    path = gradient_descent(
        *task, network, step_size=0.05, n_steps=DESCENT_STEPS, record=2, loss="square", reduction="mean"
    )
    end = path.network_at(-1)
    return {
        "steps": DESCENT_STEPS,
        "training_error": task.relative_error(end(task.X)),
        "test_error": fresh.relative_error(end(fresh.X)),
        "cpu_seconds": time.process_time() - start,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--descent", action="store_true")
    options = parser.parse_args()
    document = record.circumstances("numpy", "scipy")
    rows = [sparse(name, n, L, seed) for name, n, L, seeds in FUNCTIONS for seed in range(seeds)]
    if not options.quick:
        rows += [addition(0), retrieval(0)]
    document["pursuit"] = rows
    if options.descent:
        tasks = sparse_function("f1", 800, rng=0), sparse_function("f1", TEST, rng=100)
        document["descent"] = descent(*tasks, seed=0)
    record.write(RESULTS, document)
    lines = [
        [
            row["task"],
            str(row["seed"]),
            row["status"],
            str(row["iterations"]),
            " + ".join(map(str, row["neurons"])),
            f"{row['training_error']:.1e}",
            f"{row['test_error']:.1e}",
            f"{row['cpu_seconds']:.1f}",
        ]
        for row in rows
    ]
    columns = ["task", "seed", "status", "iterations", "neurons", "training error", "test error", "CPU s"]
    record.print_table(record.in_words(document) + ", one thread", columns, lines)
    if options.descent:
        print("\ndescent on f1:", document["descent"])


if __name__ == "__main__":
    main()
