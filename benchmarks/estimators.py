"""The certified estimators beside scikit-learn's: accuracy, seconds, neurons, gap.

`python benchmarks/estimators.py` prints two tables and writes `benchmarks/results/estimators.json`; `--limit
SECONDS` is another limit for each of our fits; `--quick` takes the first four data sets and `--only NAME ...`
those named, and neither of them writes. Each data set is split once, 60 to 40, with seed 0 and stratified by
class, and its features are standardised on the training part; all estimators have their defaults, and ours
`time_limit`. Scores are those of the test part: accuracy, and R^2 of the regressions. Each fit has a process
of its own, after a small one that compiles the kernels.
"""

import argparse
import json
import time
from typing import Any

import numpy as np
import record

CLASSIFICATION = [
    "iris",
    "wine",
    "moons-500",
    "breast-cancer",
    "circles-500",
    "blobs-1000x5",
    "classification-1000x10",
    "classification-2000x20",
    "digits",
]
REGRESSION = ["friedman-1000x5", "diabetes", "linear-1000x10"]
QUICK = 4
OURS = {"MaxMarginReLUClassifier", "ReLUClassifier", "ReLURegressor"}
CLASSIFIERS = ["MaxMarginReLUClassifier", "ReLUClassifier", "LogisticRegression", "SVC", "MLPClassifier"]
REGRESSORS = ["ReLURegressor", "Ridge", "SVR", "MLPRegressor"]
LIMIT = 30.0  # seconds for one of our fits
RESULTS = record.RESULTS / "estimators.json"


def data(name: str) -> tuple[np.ndarray, np.ndarray]:
    from sklearn import datasets

    made = {
        "iris": lambda: datasets.load_iris(return_X_y=True),
        "wine": lambda: datasets.load_wine(return_X_y=True),
        "breast-cancer": lambda: datasets.load_breast_cancer(return_X_y=True),
        "digits": lambda: datasets.load_digits(return_X_y=True),
        "diabetes": lambda: datasets.load_diabetes(return_X_y=True),
        "moons-500": lambda: datasets.make_moons(500, noise=0.3, random_state=0),
        "circles-500": lambda: datasets.make_circles(500, noise=0.15, factor=0.5, random_state=0),
        "blobs-1000x5": lambda: datasets.make_blobs(1000, 5, centers=4, cluster_std=5.0, random_state=0),
        "classification-1000x10": lambda: datasets.make_classification(1000, 10, random_state=0),
        "classification-2000x20": lambda: datasets.make_classification(2000, 20, random_state=0),
        "friedman-1000x5": lambda: datasets.make_friedman1(1000, 5, noise=1.0, random_state=0),
        "linear-1000x10": lambda: datasets.make_regression(1000, 10, noise=20.0, random_state=0),
    }
    X, y = made[name]()
    return X, y


def model(kind: str, limit: float) -> Any:
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.svm import SVC, SVR

    import convexrelu as cr

    if kind in OURS:
        return getattr(cr, kind)(time_limit=limit)
    return {
        "LogisticRegression": lambda: LogisticRegression(max_iter=1000),
        "Ridge": Ridge,
        "SVC": SVC,
        "SVR": SVR,
        "MLPClassifier": lambda: MLPClassifier(max_iter=1000, random_state=0),
        "MLPRegressor": lambda: MLPRegressor(max_iter=2000, random_state=0),
    }[kind]()


def fit(name: str, kind: str, limit: float) -> record.Row:
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    X, y = data(name)
    labels = y if name in CLASSIFICATION else None
    X, X_test, y, y_test = train_test_split(X, y, test_size=0.4, random_state=0, stratify=labels)
    scaler = StandardScaler().fit(X)
    X, X_test = scaler.transform(X), scaler.transform(X_test)
    if kind in OURS:
        model(kind, limit).fit(X[:30], y[:30])
    chosen = model(kind, limit)
    wall, cpu = time.perf_counter(), time.process_time()
    chosen.fit(X, y)
    row = {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    row |= {"n": len(X), "d": X.shape[1], "score": float(chosen.score(X_test, y_test))}
    if kind in OURS:
        row |= {"neurons": chosen.n_neurons_, "gap": chosen.gap_, "status": str(chosen.status_)}
    if kind.startswith("MLP"):
        row["neurons"] = int(chosen.hidden_layer_sizes[0])
    if kind.startswith("SV"):
        row["support"] = len(chosen.support_)
    return row


def cell(row: record.Row) -> str:
    if "error" in row:
        return str(row["error"])
    parts = [f"{row['score']:.3f}", f"{row['cpu_seconds']:.3g} s"]
    if "neurons" in row:
        parts.append(f"{row['neurons']} neurons")
    if "support" in row:
        parts.append(f"{row['support']} support rows")
    if "gap" in row:
        parts.append(f"gap {row['gap']:.1e}")
    return ", ".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", nargs="+", metavar="NAME")
    parser.add_argument("--limit", type=float, default=LIMIT)
    parser.add_argument("--worker", nargs=3, metavar=("NAME", "KIND", "SECONDS"))
    arguments = parser.parse_args()
    if arguments.worker:
        name, kind, limit = arguments.worker
        print(json.dumps(fit(name, kind, float(limit))))
        return
    rows: list[record.Row] = []
    for title, names, kinds in (
        ("Accuracy on the test part", CLASSIFICATION, CLASSIFIERS),
        ("R^2 on the test part", REGRESSION, REGRESSORS),
    ):
        wanted = [name for name in names if name in (arguments.only or names)]
        lines = []
        for name in wanted[:QUICK] if arguments.quick else wanted:
            found = {
                kind: record.worker("estimators.py", name, kind, arguments.limit, limit=10 * LIMIT)
                for kind in kinds
            }
            rows += [{"data": name, "estimator": kind} | row for kind, row in found.items()]
            size = next((f"{row['n']} x {row['d']}" for row in found.values() if "n" in row), "")
            lines.append([name, size, *(cell(row) for row in found.values())])
        if lines:
            record.print_table(title, ["data", "training part", *kinds], lines)
    document = record.circumstances("numpy", "scikit-learn", "numba") | {
        "limit": arguments.limit,
        "rows": rows,
    }
    if not (arguments.quick or arguments.only):  # what is stored is the whole
        record.write(RESULTS, document)
    print(f"\n{record.in_words(document)}; {arguments.limit:g} s for each of our fits")


if __name__ == "__main__":
    main()
