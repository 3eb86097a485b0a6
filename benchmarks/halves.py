"""NP Figures 6 to 8, each with its two halves, five training sets of each size; and Figure 9.

`python benchmarks/halves.py` keeps finished runs in `benchmarks/results/np-<function>.json`, goes on where it
stopped, and draws the figures from these files into `docs/_static`; a file of other settings is refused.
`--anew` throws finished runs away first. "addition" is NP Figure 9 at the paper's size, drawn likewise. Names
choose some of them; it exits with 1 if a claim fails. All together take about an hour of one core.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import record
from joblib import parallel_config

from convexrelu.papers import ReproducedFigure
from convexrelu.papers.neuron_pursuit import LEFT, RIGHT, full_addition, halves

PICTURES = Path(__file__).parents[1] / "docs" / "_static"
ADDITION = "addition"
NAMES = [*(half.function for half in LEFT + RIGHT), ADDITION]


def figures(names: list[str]) -> Iterator[ReproducedFigure]:
    """Yield what is asked for; of the halves finished runs are kept."""
    yield from halves(names, folder=str(record.RESULTS))
    if ADDITION in names:
        yield full_addition()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join(NAMES)}; all if there is none")
    parser.add_argument("--anew", action="store_true", help="throw finished runs away")
    parser.add_argument("--jobs", type=int, default=1, help="how many runs at a time (1)")
    arguments = parser.parse_args()
    chosen = arguments.names or NAMES
    if unknown := set(chosen) - set(NAMES):
        parser.error(f"no such name: {', '.join(sorted(unknown))}")
    if arguments.anew:
        for function in chosen:
            (record.RESULTS / f"np-{function}.json").unlink(missing_ok=True)
    holds = True
    with parallel_config(n_jobs=arguments.jobs):
        for reproduced in figures(chosen):
            print(reproduced, flush=True)
            reproduced.figure.savefig(PICTURES / f"{reproduced.name}.png", dpi=100)
            holds = holds and reproduced.holds
    return 0 if holds else 1


if __name__ == "__main__":
    raise SystemExit(main())
