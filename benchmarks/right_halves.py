"""The right halves of NP Figures 6 to 8: f2, g2 and h2, five training sets of each size.

`python benchmarks/right_halves.py` keeps finished runs in `benchmarks/results/np-<function>.json`, goes on
where it stopped, and draws the figures from these files into `docs/_static`; a file of other settings is
refused. Names of functions choose some of them; it exits with 1 if a claim fails.
"""

import argparse
from pathlib import Path

import record
from joblib import parallel_config

from convexrelu.papers.neuron_pursuit import RIGHT, right_halves

PICTURES = Path(__file__).parents[1] / "docs" / "_static"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("functions", nargs="*", help="f2, g2 or h2; all if there is none")
    parser.add_argument("--jobs", type=int, default=1, help="how many runs at a time (1)")
    arguments = parser.parse_args()
    chosen = arguments.functions or [half.function for half in RIGHT]
    holds = True
    with parallel_config(n_jobs=arguments.jobs):
        for reproduced in right_halves(chosen, folder=str(record.RESULTS)):
            print(reproduced, flush=True)
            reproduced.figure.savefig(PICTURES / f"{reproduced.name}.png", dpi=100)
            holds = holds and reproduced.holds
    return 0 if holds else 1


if __name__ == "__main__":
    raise SystemExit(main())
