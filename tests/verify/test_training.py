"""The stages of descent that take a run to its limit."""

import signal

import numpy as np
import pytest

import convexrelu as cr
from convexrelu._clock import Clock
from convexrelu.training.kernels import two_layer
from convexrelu.verify import multi_class_counterexample
from convexrelu.verify.training import CLOSE, Run, train

EXAMPLE = multi_class_counterexample()
SEPARATE = np.eye(3)  # one neuron a row: the KKT point of objective 3


def test_neurons_that_fade_slowly_are_left_behind_within_a_few_stages():
    """e_2 and e_3 alone correlate 1/sqrt 2 with the optimum's multiplier: their share falls like a power.

    Of ||theta||^2, that is, which grows geometrically from stage to stage: twenty times as many steps would
    be needed at the first stage's step size.
    """
    W1 = 1e-2 * np.vstack([SEPARATE, [[0.0, 1.0, 1.0]]])
    start = cr.TwoLayerReLU(W1, np.linalg.norm(W1, axis=1) * [1.0, -1.0, -1.0, -1.0])
    end = train(Run(X=EXAMPLE.X, y=EXAMPLE.y, start=start), Clock(limit=np.inf))
    steps = int(end.trajectory.times[-1])
    assert end.close
    assert end.headings[0].network.objective() == pytest.approx(1 + np.sqrt(2), abs=1e-6)
    assert end.trajectory.objective[-1] <= (1 + CLOSE) * (1 + np.sqrt(2))
    assert (np.diff(end.trajectory.times) > 0).all()
    constant = cr.gradient_descent(
        EXAMPLE.X, EXAMPLE.y, start, step_size=0.3, n_steps=20 * steps, normalized=True, record=2
    )
    assert constant.objective[-1] > end.trajectory.objective[-1]


def test_the_loss_falls_over_all_stages():
    X, y = cr.datasets.teacher(20, 2, rng=0)
    report = cr.verify_gradient_descent(X, y, width=6, n_runs=1, rng=5)
    path = report.runs[0].trajectories[0]
    assert (np.diff(path.log_loss) <= 0).all()


def never_fits():
    """A run that goes through all stages: without a negative neuron two rows are lost."""
    return Run(X=EXAMPLE.X, y=EXAMPLE.y, start=cr.TwoLayerReLU(EXAMPLE.start.W1, np.abs(EXAMPLE.start.w2)))


def test_a_clock_that_has_run_out_cuts_the_run_within_its_first_stage():
    end = train(never_fits(), Clock(limit=0.0))
    assert end.cut
    assert not end.close
    assert end.trajectory.times[-1] < 2000


def test_the_clock_cuts_a_later_stage(monkeypatch):
    """The time left is handed to descent: here it is used up after the first stage of 2000 steps."""
    left = [1e9, 0.0]
    monkeypatch.setattr(Clock, "left", property(lambda _: left.pop(0)))
    end = train(never_fits(), Clock(limit=np.inf))
    assert end.cut
    assert end.trajectory.times[-1] == 2000


def test_ctrl_c_cuts_a_stage(monkeypatch):
    original, calls = two_layer.run_steps, []

    def pressing(*arguments):
        calls.append(arguments)
        if len(calls) == 5:
            signal.raise_signal(signal.SIGINT)
        return original(*arguments)

    monkeypatch.setattr(two_layer, "run_steps", pressing)
    clock = Clock()
    with clock.interruption.listening():
        end = train(never_fits(), clock)
    assert end.cut
    assert len(calls) == 5
    assert 0 < end.trajectory.times[-1] < 2000
