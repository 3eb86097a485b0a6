from convexrelu.papers.early_convergence import figures


def test_every_figure_of_the_papers_holds():
    drawn = list(figures())
    assert [figure.name for figure in drawn] == [
        *(f"kh2-figure-{k}" for k in (1, 3, 2, 4)),
        *(f"k-deep-figure-{k}" for k in (1, 2, 3, 4, 5)),
        "k-deep-tables-1-2",
    ]
    for figure in drawn:
        assert figure.claims
        assert figure.setting
        assert figure.holds, str(figure)
