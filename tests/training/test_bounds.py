import numpy as np
import pytest

import convexrelu as cr
from convexrelu.training import scaled_start, training_bounds

F1 = cr.datasets.load("wang-pilanci-f1")
P_STAR = sum(1 / np.linalg.norm(row) for row in F1.X)  # closed form of orthogonally separable data


@pytest.mark.parametrize("seed", range(2))
def test_bounds_enclose_the_closed_form(seed):
    start = scaled_start(F1.X, F1.y, width=6, scale=1e-2, rng=seed).network
    run = cr.gradient_descent(F1.X, F1.y, start, step_size=0.3, n_steps=3000, normalized=True)
    bounds = training_bounds(run, size=6)
    assert (bounds.lower_bound <= P_STAR * (1 + 1e-12)).all()
    assert (bounds.objective >= P_STAR * (1 - 1e-12)).all()
    assert bounds.times[0] == 1
    assert bounds.times[-1] == run.times[-1]
    assert (np.diff(bounds.times) > 0).all()
    with pytest.raises(cr.InvalidInputError, match="size"):
        training_bounds(run, size=0)
