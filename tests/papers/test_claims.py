import numpy as np
import pytest

from convexrelu.papers import Claim, ReproducedFigure
from convexrelu.papers.claims import paper_document
from convexrelu.plotting.style import new_figure


@pytest.mark.parametrize(
    ("claim", "holds"),
    [
        (Claim.equals("n", 1.0, 1.05, 0.1), True),
        (Claim.equals("n", 1.0, 1.2, 0.1), False),
        (Claim.equals("n", [1.0, 2.0], (1.0, 2.0)), True),
        (Claim.equals("n", [1.0, 2.0], (1.0, 3.0)), False),
        (Claim.equals("n", [1.0, 2.0], 1.0, 1.0), False),
        (Claim.equals("fact", True, False), False),
        (Claim.at_least("n", 2, 2), True),
        (Claim.at_least("n", 2, 3), False),
        (Claim.at_least("n", 1.0, float("-inf")), True),
        (Claim.at_most("n", np.array([1.0]), 1.0), True),
        (Claim.at_most("n", 1.0, 0.0), False),
        (Claim.equals("n", float("nan"), 1.0, 1.0), False),
        (Claim.at_least("n", float("nan"), 1.0), False),
        (Claim.at_most("n", float("nan"), 1.0), False),
    ],
)
def test_a_claim_can_fail(claim, holds):
    assert claim.holds is holds
    assert str(claim).startswith("holds" if holds else "FAILS")


def test_a_claim_reads_as_a_sentence():
    claim = Claim.at_least("share of neurons", 0.5, 0.7, "KH2 Figure 3")
    assert str(claim) == "FAILS  share of neurons: 0.5, stated to be at least 0.7  [KH2 Figure 3]"


def test_a_figure_holds_if_all_its_claims_do():
    good, bad = Claim.at_most("good", 1.0, 2.0), Claim.at_most("bad", 3.0, 2.0)
    canvas = new_figure(size=(1.0, 1.0))[0]
    figures = [
        ReproducedFigure(name=str(k), figure=canvas, claims=c, setting="one run")
        for k, c in enumerate([(), (good, bad)])
    ]
    assert [figure.holds for figure in figures] == [True, False]
    assert figures[1].named.name == "1"
    assert str(figures[1]).count("\n") == 2
    document = paper_document("paper", figures)
    assert document["holds"] is False
    assert document["figures"][0] == {
        "name": "0",
        "holds": True,
        "setting": "one run",
        "claims": [],
    }
    assert [claim["holds"] for claim in document["figures"][1]["claims"]] == [True, False]
    assert document["figures"][1]["claims"][0]["computed"] == (1.0,)
