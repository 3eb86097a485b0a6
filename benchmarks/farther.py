"""NP Figure 8, right, past its limit: h2 from the same training sets of 6400 samples, with more neurons.

`python benchmarks/farther.py` takes the samples and the seeds of the runs in `benchmarks/results/np-h2.json`,
which ended at 16 neurons, allows `--neurons` (24), and keeps the errors after each iteration in
`benchmarks/results/np-h2-farther.json`. Numbers of training sets, 0 to 4, may be named; runs of others stay
in the file. Test errors are on the same 5000 fresh samples as there.
"""

import argparse
import json

import record

record.on_processor_time()

import convexrelu as cr  # noqa: E402  the clocks have to be set before
from convexrelu.datasets import sparse_function  # noqa: E402
from convexrelu.papers.neuron_pursuit import RIGHT  # noqa: E402

RECORDED, RESULTS = record.RESULTS / "np-h2.json", record.RESULTS / "np-h2-farther.json"
[H2] = [half for half in RIGHT if half.function == "h2"]
SHOWN = (8, 12, 16, 20)  # iterations in the table, besides the last


def grown(number: int, neurons: int) -> record.Row:
    """Return what a pursuit from that training set reached after each of its iterations."""
    document = json.loads(RECORDED.read_text())
    settings, n = document["settings"], max(H2.sizes)
    row = settings["sizes"].index(n) * settings["n_runs"] + number
    seeds = settings["rng"][row]  # of the samples, the fresh samples and the searches
    train = sparse_function("h2", n, rng=seeds[0])
    fresh = sparse_function("h2", settings["test_size"], rng=seeds[1])
    result = cr.neuron_pursuit(
        *train,
        depth=H2.depth,
        activation=H2.activation,
        n_starts=H2.n_starts,
        max_iterations=neurons,
        tol=settings["tol"],
        rng=seeds[2],
    )
    before = document["runs"][str(row)]
    kept = {name: before[name] for name in ("steps", "training_error", "test_error")}
    return {
        "number": number,
        "n": n,
        "limit": neurons,
        "status": result.status,
        "before": kept,
        "steps": record.pursuit_steps(result, fresh),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", type=int, help="which of the training sets (all five)")
    parser.add_argument("--neurons", type=int, default=24, help="how many at most (24)")
    options = parser.parse_args()
    document = record.circumstances("numpy", "scipy")
    kept = json.loads(RESULTS.read_text())["runs"] if RESULTS.exists() else []
    lines = []
    for number in options.sets or range(5):
        run = grown(number, options.neurons)
        kept = sorted([run, *(old for old in kept if old["number"] != number)], key=lambda one: one["number"])
        record.write(RESULTS, document | {"runs": kept})
        lines += record.pursuit_lines(str(number), run["steps"], SHOWN, ".1e")
    columns = ["set", *record.PURSUIT_COLUMNS]
    record.print_table(record.in_words(document) + ", one thread", columns, lines)


if __name__ == "__main__":
    main()
