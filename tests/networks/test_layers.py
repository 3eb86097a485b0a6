"""Evaluating some rows at a time gives the outputs of one pass over all of them."""

import numpy as np
import pytest
from tolerances import ROUNDING

import convexrelu as cr
from convexrelu.networks import RELU, evaluate, forward, layers


@pytest.mark.parametrize("widths", [(3, 7, 1), (2, 5, 4, 2), (4, 0, 1), (1, 1)])
def test_some_rows_at_a_time_agree_with_one_pass(widths, monkeypatch):
    rng = np.random.default_rng(0)
    monkeypatch.setattr(layers, "_BLOCK", 40)
    weights = [rng.normal(size=shape) for shape in zip(widths[1:], widths[:-1], strict=True)]
    X = rng.normal(size=(101, widths[0]))
    outputs = evaluate(weights, RELU, X)
    assert outputs.shape == (101, widths[-1])
    assert np.allclose(outputs, forward(weights, RELU, X).outputs, rtol=ROUNDING, atol=ROUNDING)


def test_a_block_is_never_empty(monkeypatch):
    monkeypatch.setattr(layers, "_BLOCK", 1)
    network = cr.TwoLayerReLU([[1.0, 0.0], [0.0, 1.0]], [2.0, -1.0])
    assert network([[3.0, 1.0], [-1.0, 4.0], [0.0, 0.0]]).tolist() == [5.0, -4.0, 0.0]
