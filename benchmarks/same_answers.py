"""Record the answers of a set of calls, or compare them, bit for bit, with an earlier record.

For changes that should not change behaviour, on one machine with one set of versions:

    OMP_NUM_THREADS=1 python benchmarks/same_answers.py record before.json
    ... change the code ...
    OMP_NUM_THREADS=1 python benchmarks/same_answers.py compare before.json [case ...]
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

import convexrelu as cr

Answer = dict[str, object]
CASES: dict[str, Callable[[], Answer]] = {}


def case(function: Callable[[], Answer]) -> Callable[[], Answer]:
    CASES[function.__name__] = function
    return function


def start(d: int, width: int, scale: float = 0.1, seed: int = 0) -> cr.TwoLayerReLU:
    W1 = scale * np.random.default_rng(seed).normal(size=(width, d))
    signs = np.where(np.arange(width) % 2 == 0, 1.0, -1.0)
    return cr.TwoLayerReLU(W1, np.linalg.norm(W1, axis=1) * signs)


def noisy(n: int, d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), np.where(rng.random(n) < 0.5, 1.0, -1.0)


def of_path(path: object) -> Answer:
    return {name: getattr(path, name) for name in ("times", "W1", "w2", "status", "log_loss", "objective")}


def of_deep_path(path: object) -> Answer:
    return {name: getattr(path, name) for name in ("times", "weights", "status", "loss")}


def of_solution(solution: object) -> Answer:
    network = solution.network
    names = ("lam", "objective", "lower_bound", "status")
    return {"W1": network.W1, "w2": network.w2, **{name: getattr(solution, name) for name in names}}


def descent(**options: object) -> Answer:
    X, y = noisy(15, 3)
    return of_path(cr.gradient_descent(X, y, start(3, 6), **{"n_steps": 3000, "step_size": 0.1, **options}))


@case
def descent_plain() -> Answer:
    return descent(step_size=0.01)


@case
def descent_square() -> Answer:
    return descent(step_size=0.001, loss="square")


@case
def descent_normalized() -> Answer:
    return descent(normalized=True)


@case
def descent_growing() -> Answer:
    return descent(growth=1.1, loss="exponential", step_size=0.01)


@case
def descent_batches() -> Answer:
    return descent(batch_size=4, rng=3, step_size=0.02)


def deep_descent(activation: object, **options: object) -> Answer:
    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(20, 3)), rng.normal(size=20)
    weights = [0.5 * rng.normal(size=shape) for shape in ((5, 3), (4, 5), (1, 4))]
    network = cr.FeedForward(weights, activation)
    settings = {"step_size": 0.01, "n_steps": 2000, "loss": "square", "reduction": "mean", **options}
    return of_deep_path(cr.gradient_descent(X, y, network, **settings))


@case
def deep_descent_relu() -> Answer:
    return deep_descent(cr.PowerLeakyReLU(0.0, 1))


@case
def deep_descent_squared() -> Answer:
    return deep_descent(cr.PowerLeakyReLU(0.2, 2), loss="square", reduction="sum", step_size=0.0005)


def flow(**options: object) -> Answer:
    X, y = noisy(12, 3, seed=2)
    path = cr.gradient_flow(X, y, start(3, 5, scale=1e-2), **options)
    return {**of_path(path), "events": [str(event) for event in path.events]}


@case
def flow_clarke() -> Answer:
    return flow(t_max=50.0)


@case
def flow_zero_at_ties() -> Answer:
    return flow(t_max=20.0, selection="zero_at_ties")


@case
def flow_cartesian() -> Answer:
    return flow(t_max=20.0, form="cartesian")


@case
def flow_late() -> Answer:
    X, y = cr.datasets.orthogonally_separable(10, 3, rng=0)
    return of_path(cr.gradient_flow(X, y, start(3, 4), log_t_max=100.0))


@case
def alignment() -> Answer:
    X, y = noisy(20, 3, seed=4)
    W = np.random.default_rng(5).normal(size=(200, 3))
    result = cr.alignment_flow(X, y, W, t_max=10.0)
    return {name: getattr(result, name) for name in ("limits", "status")}


def oracle(n: int, d: int) -> Answer:
    X, y = noisy(n, d, seed=n)
    lam = y * np.random.default_rng(d).exponential(size=n)
    found = cr.maximize_correlation(X, lam)
    return {name: getattr(found, name) for name in ("value", "direction", "upper_bound", "exact")}


@case
def oracle_plane() -> Answer:
    return oracle(50, 2)


@case
def oracle_cones() -> Answer:
    return oracle(40, 4)


@case
def oracle_cells() -> Answer:
    return oracle(24, 6)


@case
def patterns() -> Answer:
    X, _ = noisy(12, 3)
    X[3], X[5] = -2 * X[0], X[1]
    found = cr.enumerate_patterns(X)
    return {"patterns": found.patterns, "witnesses": found.witnesses, "count": cr.count_patterns(X)}


@case
def sampled_patterns() -> Answer:
    X, _ = noisy(30, 4)
    found = cr.sample_patterns(X, 50, rng=0)
    return {"patterns": found.patterns, "witnesses": found.witnesses}


@case
def solve_teacher() -> Answer:
    return of_solution(cr.solve_max_margin(*cr.datasets.teacher(200, 4, rng=0), rng=0))


@case
def solve_random() -> Answer:
    return of_solution(cr.solve_max_margin(*noisy(40, 4), rng=0))


@case
def solve_soft() -> Answer:
    return of_solution(cr.solve_max_margin(*noisy(60, 3), C=0.5, rng=0))


@case
def solve_plane() -> Answer:
    return of_solution(cr.solve_max_margin(*noisy(60, 2), rng=0))


@case
def certificate() -> Answer:
    X, y = noisy(15, 3, seed=7)
    solution = cr.solve_max_margin(X, y, rng=0)
    made = cr.certify(X, y, solution.network)
    return {name: getattr(made, name) for name in ("objective", "lower_bound", "margin", "exact")}


@case
def semidefinite() -> Answer:
    X, y = noisy(40, 12, seed=8)
    return of_solution(cr.solve_max_margin(X, y, rng=0, time_limit=None))


@case
def verify() -> Answer:
    X, y = cr.datasets.orthogonally_separable(20, 3, rng=0)
    report = cr.verify_gradient_descent(X, y, width=6, n_runs=3, rng=0)
    return {"runs": [[run.gap, run.polished_gap, str(run.verdict)] for run in report.runs]}


@case
def verify_teacher() -> Answer:
    X, y = cr.datasets.teacher(20, 3, rng=7)
    report = cr.verify_gradient_descent(X, y, width=6, n_runs=3, rng=0)
    return {"runs": [[run.gap, run.polished_gap, str(run.verdict)] for run in report.runs]}


@case
def ncf() -> Answer:
    rng = np.random.default_rng(0)
    X, z = rng.normal(size=(20, 4)), rng.normal(size=20)
    found = cr.maximize_ncf(X, z, widths=[4, 6, 1], activation=cr.PowerLeakyReLU(0.1, 2), rng=0)
    return {"values": [point.value for point in found.points], "best": found.points[0].network.weights}


@case
def ncf_kinked() -> Answer:
    rng = np.random.default_rng(0)
    X, z = rng.normal(size=(15, 3)), rng.normal(size=15)
    found = cr.maximize_ncf(X, z, widths=[3, 4, 1], activation=cr.PowerLeakyReLU(0.0, 1), rng=0)
    return {"values": [point.value for point in found.points], "best": found.points[0].network.weights}


@case
def rank_one() -> Answer:
    rng = np.random.default_rng(0)
    X, z = rng.normal(size=(20, 4)), rng.normal(size=20)
    widths, activation = [4, 5, 5, 1], cr.PowerLeakyReLU(0.1, 2)
    return {"weights": cr.rank_one_kkt_point(X, z, widths=widths, activation=activation, rng=0).weights}


@case
def pursuit() -> Answer:
    X, y = cr.datasets.sparse_function("f1", 300, rng=0)
    return of_pursuit(X, y, depth=2, activation=cr.PowerLeakyReLU(0.0, 2), max_iterations=3)


@case
def pursuit_deep() -> Answer:
    X, y = cr.datasets.sparse_function("g1", 200, rng=0)
    return of_pursuit(X, y, depth=3, activation=cr.PowerLeakyReLU(0.0, 1), max_iterations=3)


def of_pursuit(X: np.ndarray, y: np.ndarray, **options: object) -> Answer:
    result = cr.neuron_pursuit(X, y, rng=0, **options)
    steps = [[step.layer, step.ncf_value, step.loss] for step in result.history]
    return {"weights": result.network.weights, "history": steps, "status": str(result.status)}


def digest(value: object) -> str:
    """The SHA-256 of a value's bits."""
    return hashlib.sha256(b"".join(parts(value))).hexdigest()[:20]


def parts(value: object) -> Iterator[bytes]:
    if isinstance(value, np.ndarray) and value.dtype.kind != "O":
        yield f"{value.dtype.kind}{value.shape}".encode() + np.ascontiguousarray(value).tobytes()
    elif isinstance(value, list | tuple | np.ndarray):
        for one in value:
            yield from parts(one)
    else:
        yield (value.hex() if isinstance(value, float) else str(value)).encode()


def main() -> None:
    action, path, *names = sys.argv[1:]
    before = json.loads(Path(path).read_text()) if action == "compare" else {}
    differing = 0
    for name in names or CASES:
        answer = {key: digest(value) for key, value in CASES[name]().items()}
        if action == "record":
            before[name] = answer
            continue
        differ = [key for key in answer if answer[key] != before[name][key]]
        differing += bool(differ)
        print(f"{name}: {'differs in ' + ', '.join(differ) if differ else 'the same'}", flush=True)
    if action == "record":
        Path(path).write_text(json.dumps(before, indent=1))
    sys.exit(bool(differing))


if __name__ == "__main__":
    main()
