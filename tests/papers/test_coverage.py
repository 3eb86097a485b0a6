"""What docs/coverage.md points to exists."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from convexrelu import papers
from convexrelu.papers.neuron_pursuit import LEFT, RIGHT

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "coverage.md").read_text()
ROWS = [line.split("|")[1:-1] for line in PAGE.splitlines() if line.startswith("| ") and "---" not in line]
PLACES = sorted({name for row in ROWS for name in re.findall(r"`([^`]+)`", row[1] + row[2])})
WHERE = ["", "ncf", "saddles", "training", "pursuit", "solvers", "networks", "estimator", "programs"]


def figure_names():
    folder = Path(papers.__file__).parent  # of the installed package, wherever it is
    sources = "".join(path.read_text() for path in folder.glob("*.py"))
    return set(re.findall(r'"((?:wp|kh2|k-deep|kh-beyond|np)-[a-z0-9-]+)"', sources)) | {
        f"np-figure-{half.figure}" for half in LEFT + RIGHT
    }


def resolves(name):
    """Whether a dotted name, arguments left out, is found in the package or in one of its parts."""
    parts = re.sub(r"\(.*?\)", "", name).split(".")
    for place in WHERE:
        try:
            found = importlib.import_module(".".join(["convexrelu", *filter(None, [place])]))
        except ImportError:
            continue
        for part in parts:
            if part in getattr(found, "__annotations__", {}) or hasattr(found, part):
                found = getattr(found, part, None)
            else:
                try:
                    found = importlib.import_module(f"{found.__name__}.{part}")
                except (ImportError, AttributeError):
                    break
        else:
            return True
    return False


def test_the_page_has_the_five_papers_and_every_row_three_cells():
    assert re.findall(r"^## (.+)$", PAGE, re.M) == ["WP", "KH2", "K-deep", "KH-beyond", "NP"]
    assert len(ROWS) > 45
    for row in ROWS:
        assert len(row) == 3
        assert row[2].strip()


@pytest.mark.parametrize("name", PLACES)
def test_every_name_on_the_page_exists(name):
    if name.endswith(".py"):
        assert (ROOT / "tests" / name).is_file() or (ROOT / name).is_file()
    elif name.endswith(".json"):
        assert (ROOT / name).is_file()
    elif "-" in name:
        assert name in figure_names()
    else:
        assert resolves(name)


def test_a_name_that_does_not_exist_is_noticed():
    assert not resolves("solve_max_margins")
    assert not resolves("papers.neuron_pursuit.thirds")
    assert "kh2-figure-9" not in figure_names()
