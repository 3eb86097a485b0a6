"""Gradient descent's limits against the certified optimum."""

import json
import math

import numpy as np
import pytest

import convexrelu as cr


def test_orthogonally_separable_data_every_run_is_global():
    """WP Theorem 4: from small scaled starts the limit's direction is a global minimiser's."""
    X, y = cr.datasets.orthogonally_separable(40, 5, rng=1)
    report = cr.verify_gradient_descent(X, y, width=10, n_runs=10, rng=0)
    assert len(report.runs) == 10
    assert report.all_optimal
    for run in report.runs:
        assert run.gap <= 1e-3
        assert run.polished_gap <= 1e-6
        assert run.dual_feasibility <= 1 + 1e-6  # Theorem 3's condition, which Proposition 4 predicts
        assert run.parts[0].correspondence.startswith("Theorem 3 applies")
        assert "Proposition 4" in run.parts[0].correspondence
        assert run.certificate.check(X, y)


def test_a_binary_data_set_on_which_no_start_finds_the_optimum():
    """Found by searching over seeds: all runs end 3.8 % above P*, and one added neuron proves it."""
    X, y = cr.datasets.teacher(30, 3, rng=7)
    report = cr.verify_gradient_descent(X, y, width=8, n_runs=3, rng=0)
    assert report.counts == {"KKT point that is not global": 3}
    for run in report.runs:
        assert run.polished_objective == pytest.approx(1.0377 * report.solution.objective, rel=1e-4)
        assert run.stationarity <= 1e-4
        assert run.certificate.better.margin(X, y) >= 1 - 1e-9
        assert run.certificate.better.objective() < 0.98 * run.polished_objective
        assert run.certificate.check(X, y)


def test_the_starts_activities_decide_on_the_counterexample():
    """X = I_3: a negative neuron's signs on rows 2 and 3 never change, so its start tells the limit.

    One that is active on both leads to P* = 1 + sqrt 2, one for each to 3, and without one for either row it
    is never fitted; nor is row 1 without a positive neuron on it.
    """
    X, y = cr.datasets.load("multi-class-counterexample")
    report = cr.verify_gradient_descent(X, y, width=[2, 4, 8], n_runs=8, rng=1)
    for run in report.runs:
        [path] = run.trajectories
        active, sign = path.W1[0] @ X.T > 0, path.w2[0]
        positive, negative = active[sign > 0, 0].any(), active[sign < 0, 1:]
        if not positive or not negative.any(axis=0).all():
            assert run.verdict == "never fitted the data"
        else:
            optimal = negative.all(axis=1).any()
            assert run.verdict == ("global optimum" if optimal else "KKT point that is not global")
            assert run.polished_objective == pytest.approx(1 + 2**0.5 if optimal else 3.0, abs=1e-5)
    assert len({run.verdict for run in report.runs}) == 3
    assert len(report.cells) == 3
    for cell in report.cells:
        assert len(cell.runs) == 8
        assert sum(limit.share.count for limit in cell.limits) == 8
        assert cell.success.interval[0] <= cell.success.value <= cell.success.interval[1]


def test_neurons_align_to_the_extreme_points_of_their_signs_on_the_counterexample():
    """The dual extreme points are e_1 (sign +1), and e_2, e_3 and their mean direction (sign -1)."""
    X, y = cr.datasets.load("multi-class-counterexample")
    report = cr.verify_gradient_descent(X, y, width=20, n_runs=3, rng=0)
    root = np.sqrt(0.5)
    expected = {(1, 1.0, 0.0, 0.0), (-1, 0.0, root, root), (-1, 0.0, 1.0, 0.0), (-1, 0.0, 0.0, 1.0)}
    found = {(p.sign, *(p.direction.round(6) + 0.0)) for p in report.aligned}
    assert found == {tuple(np.round(e, 6)) for e in expected}
    starts = np.vstack([run.trajectories[0].W1[0] for run in report.runs])
    negative = np.concatenate([run.trajectories[0].w2[0] for run in report.runs]) < 0
    both = int((starts[negative][:, 1:] > 0).all(axis=1).sum())
    assert [p.share.count for p in report.aligned if p.value < -1.2] == [both]
    inactive = np.mean([(run.trajectories[0].W1[0] <= 0).all(axis=1).mean() for run in report.runs])
    assert np.mean([run.inactive for run in report.runs]) == pytest.approx(inactive)


@pytest.mark.parametrize("factor", [1e3, 1e-3, 1e8])
def test_units_of_the_data_only_rescale_the_weights(factor):
    """f is the same if X is multiplied by c and all weights divided by sqrt c: so is the whole run."""
    X, y = cr.datasets.load("multi-class-counterexample")
    plain, other = (
        cr.verify_gradient_descent(c * X, y, width=4, n_runs=5, init_scale=1e-3 / np.sqrt(c), rng=1)
        for c in (1.0, factor)
    )
    assert [run.verdict for run in plain.runs] == [run.verdict for run in other.runs]
    assert len(plain.counts) >= 2
    for run, same in zip(plain.runs, other.runs, strict=True):
        assert run.n_steps == same.n_steps
        assert (run.polished_objective - factor * same.polished_objective < 1e-6) or math.isinf(run.gap)
        assert np.allclose(
            same.trajectories[0].W1[0] * np.sqrt(factor), run.trajectories[0].W1[0], rtol=1e-12
        )


def test_a_network_too_small_never_fits_the_data():
    X, y = cr.datasets.load("wang-pilanci-f1")
    one_sign = cr.TwoLayerReLU([[1e-3, 0.0], [0.0, 1e-3]], [1e-3, 1e-3])  # no negative output: row 2 is lost
    report = cr.verify_gradient_descent(X, y, starts=[one_sign])
    run = report.runs[0]
    assert run.verdict == "never fitted the data"
    assert math.isinf(run.gap)
    assert math.isinf(run.polished_gap)
    document = report.to_document()
    assert json.loads(json.dumps(document, allow_nan=False))["runs"][0]["gap"] == "inf"


def test_same_seed_same_report():
    X, y = cr.datasets.load("wang-pilanci-f2")
    first, second = (cr.verify_gradient_descent(X, y, n_runs=2, rng=7) for _ in range(2))
    assert first.to_document() == second.to_document()


def test_infeasible_data_is_refused_before_training():
    with pytest.raises(cr.InfeasibleError):
        cr.verify_gradient_descent([[1.0, 0.0], [2.0, 0.0]], [1, -1])


def test_workers_do_not_change_the_answer():
    from joblib import parallel_config

    X, y = cr.datasets.load("wang-pilanci-f1")
    documents = []
    for n_jobs in (1, 2):
        with parallel_config(n_jobs=n_jobs):
            report = cr.verify_gradient_descent(X, y, width=[3, 5], init_scale=[1e-3, 1e-2], n_runs=2, rng=4)
        documents.append(report.to_document())
    assert documents[0] == documents[1]
    assert [(r["init_scale"], r["width"]) for r in documents[0]["runs"]] == [
        (scale, width) for scale in (1e-3, 1e-2) for width in (3, 5) for _ in range(2)
    ]


def test_a_run_that_the_clock_stops_is_dropped(monkeypatch):
    """The second run's time is up in the middle of its first stage."""
    from joblib import parallel_config

    from convexrelu._clock import Clock
    from convexrelu.verify import runs as module

    X, y = cr.datasets.load("wang-pilanci-f1")
    calls, train = [], module.judged

    def stop_the_second(target, start, clock):
        calls.append(start)
        return train(target, start, clock if len(calls) < 2 else Clock(limit=0.0))

    monkeypatch.setattr(module, "judged", stop_the_second)
    with parallel_config(n_jobs=1):
        report = cr.verify_gradient_descent(X, y, n_runs=2, rng=0)
    assert len(calls) == 2
    assert (report.status, len(report.runs)) == ("time_limit", 1)


def test_out_of_time_it_returns_the_runs_that_have_finished(tmp_path):
    """And a rerun from the checkpoint, without the limit, gives the report of one undisturbed call."""
    X, y = cr.datasets.teacher(20, 2, rng=0)
    file = tmp_path / "runs.json"
    settings = {"width": 6, "n_runs": 3, "rng": 5, "checkpoint": file}
    short = cr.verify_gradient_descent(X, y, time_limit=1e-9, **settings)
    assert short.status == "time_limit"
    assert short.runs == ()
    assert not short.all_optimal
    assert "0 of 3 runs have finished" in str(short)
    whole = cr.verify_gradient_descent(X, y, **settings)
    assert whole.status == "finished"
    assert len(whole.runs) == 3


def test_ctrl_c_ends_with_the_runs_that_have_finished(monkeypatch):
    """The first Ctrl-C arrives while the second run trains; that run is dropped, the first is reported."""
    from joblib import parallel_config

    from convexrelu.verify import runs as module

    X, y = cr.datasets.load("wang-pilanci-f1")
    calls = []
    train = module.judged

    def press(target, start, clock):
        calls.append(start)
        if len(calls) == 2:
            clock.interruption.pressed = True
        return train(target, start, clock)

    monkeypatch.setattr(module, "judged", press)
    with parallel_config(n_jobs=1):
        report = cr.verify_gradient_descent(X, y, n_runs=4, rng=0)
    assert report.status == "interrupted"
    assert len(report.runs) == 1
    assert "stopped by Ctrl-C: 1 of 4 runs have finished" in str(report)
    assert json.loads(json.dumps(report.to_document(), allow_nan=False))["status"] == "interrupted"


DEGENERATE = {
    "one sample": ([[2.0]], [1]),
    "one feature": ([[1.0], [2.0], [-1.0]], [1, 1, -1]),
    "one class": ([[1.65, 0.47], [0.47, 1.35]], [1, 1]),
    "duplicates": ([[1.0, 0.2], [1.0, 0.2], [-0.2, 1.0], [-0.2, 1.0]], [1, 1, -1, -1]),
    "antiparallel rows": ([[1.0, 0.5], [-1.0, -0.5], [0.0, 1.0]], [1, -1, 1]),
    "rank one of three": ([[1.0, 2.0, 2.0], [-1.0, -2.0, -2.0]], [1, -1]),
    "rows of very different length": ([[1e3, 1.0], [-1e-2, 1e-3]], [1, -1]),
}


@pytest.mark.parametrize("name", DEGENERATE)
def test_degenerate_data(name):
    """Every verdict is backed by its proof, whatever the ties."""
    X, y = (np.array(part, dtype=float) for part in DEGENERATE[name])
    report = cr.verify_gradient_descent(X, y, width=8, n_runs=3, rng=0)
    for run in report.runs:
        if run.verdict == "global optimum":
            assert run.polished_gap <= 1e-6
        elif run.verdict == "KKT point that is not global":
            assert run.certificate.not_optimal
        else:
            assert run.verdict == "never fitted the data"
            assert run.trajectories[0].margin[-1] <= 0
        assert run.certificate.check(X, y)
    assert "global optimum" in report.counts


@pytest.mark.slow
@pytest.mark.parametrize(("n", "d"), [(40, 5), (200, 20)])
def test_twenty_runs_on_orthogonally_separable_data(n, d):
    """WP Theorem 4 at size: all runs within 1e-3 of P* before polishing, and within 1e-6 after it."""
    X, y = cr.datasets.orthogonally_separable(n, d, rng=1)
    report = cr.verify_gradient_descent(X, y, n_runs=20, rng=0)
    assert report.all_optimal
    assert max(run.gap for run in report.runs) <= 1e-3
    assert max(run.polished_gap for run in report.runs) <= 1e-6
