import pytest

from convexrelu import InvalidInputError
from convexrelu.papers.rank_one_tables import rank_one_tables


def test_tables_hold_on_every_instance():
    """Tables 1 and 2: kappa, rho, 1 - cos and the reduced residual below 1e-10."""
    tables = rank_one_tables(n_instances=2, rng=0)
    assert [(row.depth, row.power, row.alpha) for row in tables.rows[:3]] == [
        (3, 1, 0.0),
        (3, 1, 0.1),
        (3, 2, 0.0),
    ]
    for row in tables.rows:
        assert row.n_hold == row.n_instances == 2
        assert max(row.kappa, row.rho, row.direction, row.stationarity) < 1e-10
        assert row.alignment < 1e-10
        assert row.smallest_delta > 0
    assert len(str(tables).splitlines()) == 1 + len(tables.rows)


@pytest.mark.slow
def test_tables_in_full():
    for row in rank_one_tables().rows:
        assert row.n_hold == row.n_instances == 30
        assert max(row.kappa, row.rho, row.direction, row.stationarity) < 1e-10
        assert row.alignment < 1e-10


def test_one_layer_is_refused():
    with pytest.raises(InvalidInputError, match="depths"):
        rank_one_tables(depths=(1,))
