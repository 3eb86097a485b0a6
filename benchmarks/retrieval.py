"""Pointer value retrieval (NP Figures 10 and 12): how far pursuit gets, against iterations and samples.

`python benchmarks/retrieval.py` grows a network from 5000, 20,000 and 50,000 samples, each for `--limit` CPU
seconds, prints the errors after some iterations, and keeps all in `benchmarks/results/pointer.json`.
Numbers of samples may be named instead; runs of other numbers stay in the file. The errors are
`||y - H|| / ||y||`, on the training set and on as many fresh samples.
"""

import argparse
import json

import record

record.on_processor_time()

from pursuit import pointer  # noqa: E402  the clocks have to be set before

from convexrelu.datasets import pointer_value_retrieval  # noqa: E402

RESULTS = record.RESULTS / "pointer.json"
SIZES = (5_000, 20_000, 50_000)
SHOWN = (1, 2, 4, 8, 12, 16, 24, 32)  # iterations in the table, besides the last


def grown(n: int, limit: float) -> record.Row:
    """Return what a pursuit on n samples reached after each of its iterations."""
    train, fresh = pointer_value_retrieval(n, rng=0), pointer_value_retrieval(n, rng=100)
    result = pointer(train, 0, limit)
    return {"n": n, "status": result.status, "limit": limit, "steps": record.pursuit_steps(result, fresh)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sizes", nargs="*", type=int, help="numbers of samples (5000, 20000 and 50000)")
    parser.add_argument("--limit", type=float, default=1200.0, help="CPU seconds for each (1200)")
    options = parser.parse_args()
    document = record.circumstances("numpy", "scipy")
    kept = json.loads(RESULTS.read_text())["runs"] if RESULTS.exists() else []
    lines = []
    for n in options.sizes or SIZES:
        run = grown(n, options.limit)
        kept = sorted([run, *(old for old in kept if old["n"] != n)], key=lambda one: one["n"])
        record.write(RESULTS, document | {"runs": kept})
        lines += record.pursuit_lines(str(n), run["steps"], SHOWN, ".3f")
    columns = ["samples", *record.PURSUIT_COLUMNS]
    record.print_table(record.in_words(document) + ", one thread", columns, lines)


if __name__ == "__main__":
    main()
