"""Shares of runs."""

from convexrelu.verify.cells import Share


def test_wilsons_interval_of_no_trial_is_everything():
    assert Share(count=0, total=0).interval == (0.0, 1.0)
    assert Share(count=0, total=0).value == 0.0
    assert str(Share(count=3, total=4)) == "3 of 4 (30% to 95%)"
