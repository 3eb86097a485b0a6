"""One solve by pyscnn, for peers.py: runs in the interpreter that has pyscnn, which need not have ours.

`python pyscnn_worker.py PROBLEM.npz` prints one line of JSON. The file holds X, y, lam (weight of the norms),
gates (how many patterns are sampled), tol (of the stopping tests), seed, and kind: "relu" for its augmented
Lagrangian with the cone constraints, "gated" for its R-FISTA without them.
"""

import json
import sys
import time
from importlib.metadata import version

import numpy as np
from scnn.activations import sample_gate_vectors
from scnn.metrics import Metrics
from scnn.models import ConvexGatedReLU, ConvexReLU
from scnn.optimize import optimize_model
from scnn.regularizers import NeuronGL1
from scnn.solvers import AL, RFISTA


def train(X, y, lam, gates, tol, seed, kind):
    vectors = sample_gate_vectors(seed, X.shape[1], gates)
    if kind == "relu":
        model = ConvexReLU(vectors)
        solver = AL(model, tol=tol, constraint_tol=tol)
    else:
        model = ConvexGatedReLU(vectors)
        solver = RFISTA(model, tol=tol)
    metrics = Metrics(metric_freq=25, model_loss=True, constraint_gaps=kind == "relu")
    # In double precision and without rescaling of columns: the program is then the one that is stated.
    return optimize_model(
        model,
        solver,
        metrics,
        X,
        y,
        regularizer=NeuronGL1(lam),
        return_convex=True,
        unitize_data=False,
        dtype="float64",
    )


def main():
    with np.load(sys.argv[1]) as problem:
        X, y = problem["X"], problem["y"]
        lam, gates, tol, seed = (problem[key].item() for key in ("lam", "gates", "tol", "seed"))
        kind = problem["kind"].item()
    train(X[:8], y[:8], lam, 8, 1e-2, seed, kind)  # what only the first call pays
    wall, cpu = time.perf_counter(), time.process_time()
    model, metrics = train(X, y, lam, gates, tol, seed, kind)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    answer = {
        "versions": {name: version(name) for name in ("pyscnn", "torch")},
        "seconds": wall,
        "cpu_seconds": cpu,
        "times": np.asarray(metrics.time, dtype=float).tolist(),
        "losses": np.asarray(metrics.model_loss, dtype=float).tolist(),
        "weights": [part[0].tolist() for part in model.parameters],
        "gates": model.G.T.tolist(),
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
