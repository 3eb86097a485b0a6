import itertools
import signal

import numpy as np
import pytest

from convexrelu.errors import InvalidInputError
from convexrelu.training import alignment_flow, basins
from convexrelu.training.early_phase import basins as module


def noisy(seed):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(12, 3)), np.where(rng.random(12) < 0.5, 1.0, -1.0)


@pytest.mark.parametrize(("y", "shares"), [([1, 1], (0.25, 0.25, 0.25)), ([1, -1], (0.5,))])
def test_basins_of_two_orthogonal_rows(y, shares):
    # a quadrant each: both rows active, one of them, none; a row of the other sign is left at once
    found = basins(np.eye(2), y, n_starts=20_000, confidence=0.9999, rng=1)
    assert len(found.extreme_points) == len(shares)
    for share, (low, high) in zip(shares, found.intervals, strict=True):
        assert low <= share <= high
    low, high = found.other_intervals[0]
    assert low <= 1 - sum(shares) <= high
    assert found.counts.sum() + found.other_counts.sum() == found.n_starts == 20_000
    assert found.shares.sum() + found.other_shares.sum() == pytest.approx(1)


def test_basins_are_counted_over_several_rounds(monkeypatch):
    X, y = noisy(10)
    whole = basins(X, y, n_starts=5000, rng=0)
    again = basins(X, y, n_starts=5000, rng=0)
    assert whole.counts.tolist() == again.counts.tolist()
    monkeypatch.setattr(module, "STARTS_A_ROUND", 1000)
    parts = basins(X, y, n_starts=5000, rng=0, progress=True)
    # normal draws come one after another, however they are cut
    assert parts.counts.tolist() == whole.counts.tolist()
    assert "5000 starts" in str(parts)
    assert (np.diff(parts.counts) <= 0).all()


def test_basins_stop_at_the_time_limit_and_at_ctrl_c(monkeypatch):
    X, y = noisy(11)
    monkeypatch.setattr(module, "STARTS_A_ROUND", 100)
    early = basins(X, y, n_starts=100_000, rng=0, time_limit=1e-9)
    assert (early.status, early.n_starts) == ("time_limit", 100)
    calls = itertools.count()

    def interrupted(*args, **options):
        if next(calls) == 3:
            signal.raise_signal(signal.SIGINT)
        return alignment_flow(*args, **options)

    monkeypatch.setattr(module, "alignment_flow", interrupted)
    stopped = basins(X, y, n_starts=1000, rng=0)
    assert (stopped.status, stopped.n_starts) == ("interrupted", 400)  # the round that Ctrl-C fell in counts


@pytest.mark.parametrize("change", [{"sign": 0}, {"n_starts": 0}, {"confidence": 1.0}])
def test_bad_input_of_basins(change):
    with pytest.raises(InvalidInputError):
        basins(**({"X": np.eye(2), "y": [1, -1]} | change))
