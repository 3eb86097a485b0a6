"""The halves of NP Figures 6 to 8: f1, f2, g1, g2, h1 and h2, five training sets of each size.

`python benchmarks/halves.py` keeps finished runs in `benchmarks/results/np-<function>.json`, goes on where it
stopped, and draws the figures from these files into `docs/_static`; a file of other settings is refused.
`--anew` throws finished runs away first. Names of functions choose some of them; it exits with 1 if a claim
fails. All together take about an hour of one core.
"""

import argparse
from pathlib import Path

import record
from joblib import parallel_config

from convexrelu.papers.neuron_pursuit import LEFT, RIGHT, halves

PICTURES = Path(__file__).parents[1] / "docs" / "_static"
FUNCTIONS = [half.function for half in LEFT + RIGHT]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("functions", nargs="*", help=f"of {', '.join(FUNCTIONS)}; all if there is none")
    parser.add_argument("--anew", action="store_true", help="throw finished runs away")
    parser.add_argument("--jobs", type=int, default=1, help="how many runs at a time (1)")
    arguments = parser.parse_args()
    chosen = arguments.functions or FUNCTIONS
    if unknown := set(chosen) - set(FUNCTIONS):
        parser.error(f"no such function: {', '.join(sorted(unknown))}")
    if arguments.anew:
        for function in chosen:
            (record.RESULTS / f"np-{function}.json").unlink(missing_ok=True)
    holds = True
    with parallel_config(n_jobs=arguments.jobs):
        for reproduced in halves(chosen, folder=str(record.RESULTS)):
            print(reproduced, flush=True)
            reproduced.figure.savefig(PICTURES / f"{reproduced.name}.png", dpi=100)
            holds = holds and reproduced.holds
    return 0 if holds else 1


if __name__ == "__main__":
    raise SystemExit(main())
