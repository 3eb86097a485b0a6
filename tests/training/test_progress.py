"""Bars reach their ends exactly when the work does, and change nothing."""

from contextlib import contextmanager

import numpy as np
import pytest

import convexrelu as cr
from convexrelu.training import run
from convexrelu.training.early_phase import alignment
from convexrelu.training.flow import gradient_flow as flow

X, Y = np.array([[1.0, 0.2], [0.8, -0.1], [-0.3, 0.9]]), np.array([1.0, 1.0, -1.0])
START = cr.TwoLayerReLU([[0.1, 0.02], [-0.03, 0.1]], [0.1, -0.1])
STARTS = np.random.default_rng(0).normal(size=(10_000, 2))

WORK = {
    "descent": (
        run,
        lambda **options: cr.gradient_descent(X, Y, START, step_size=0.1, n_steps=3000, **options).W1,
    ),
    "batches": (
        run,
        lambda **options: (
            cr.gradient_descent(X, Y, START, step_size=0.1, n_steps=3000, batch_size=2, rng=0, **options).W1
        ),
    ),
    "flow": (run, lambda **options: cr.gradient_flow(X, Y, START, t_max=200.0, **options).W1),
    "alignment": (alignment, lambda **options: cr.alignment_flow(X, Y, STARTS, **options).limits),
}


@pytest.mark.parametrize("name", WORK)
def test_the_bar_ends_with_the_work(name, monkeypatch):
    module, work = WORK[name]
    monkeypatch.setattr(alignment, "_TASKS_A_ROUND", 1)
    monkeypatch.setattr(flow, "_CHUNK", 1)
    expected = work()
    bars = []

    @contextmanager
    def bar(show, _what, total, _done=0):
        moves = []
        bars.append((show, total, moves))
        yield lambda steps=1, _text="": moves.append(steps)

    monkeypatch.setattr(module, "progress_bar", bar)
    assert np.array_equal(work(progress=True), expected)
    (show, total, moves) = bars[0]
    assert show
    assert len(moves) > 1
    assert min(moves) >= 0
    assert sum(moves) == total
