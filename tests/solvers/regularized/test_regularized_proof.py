from __future__ import annotations

import signal

import numpy as np
import pytest

import convexrelu as cr
from convexrelu.solvers.regularized import proof


@pytest.fixture
def ctrl_c_in_the_oracle(monkeypatch):
    """Press Ctrl-C as soon as the oracle begins a search."""
    search_for = proof.norm_of

    def interrupted(*arguments, search=True, **options):
        if search:
            signal.raise_signal(signal.SIGINT)
        return search_for(*arguments, search=search, **options)

    monkeypatch.setattr(proof, "norm_of", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # background jobs start without it
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("loss", ["squared", "multi_squared"])
def test_ctrl_c_ends_the_oracle_with_honest_bounds(loss, ctrl_c_in_the_oracle):
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(20, 3)), rng.normal(size=(20, 2))
    y = Y[:, 0] if loss == "squared" else Y
    solution = cr.solve(X, y, loss=loss, beta=0.5)
    assert solution.status == "interrupted"
    assert solution.lower_bound <= solution.objective
    assert solution.certificate.check(X, y)
