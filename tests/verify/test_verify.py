"""Gradient descent's limits against the certified optimum."""

import json
import math

import numpy as np
import pytest

import convexrelu as cr
from convexrelu.certificates.bounds import relative_gap
from convexrelu.verify import multi_class_counterexample
from convexrelu.verify.cells import Share


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


def test_the_papers_data_and_its_printed_form():
    X, y = cr.datasets.load("wang-pilanci-f1")
    report = cr.verify_gradient_descent(X, y, n_runs=2, rng=0)
    text = str(report)
    assert "1.282432" in text
    assert "2 of 2: global optimum" in text
    for run in report.runs:
        end = run.trajectories[0].network_at(-1)
        u = end.u[np.argmax(np.linalg.norm(end.u, axis=1) * (end.signs > 0))]
        assert u @ [0.560576, -0.159679] / np.linalg.norm(u) / 0.5828749 > 1 - 1e-6  # the paper's neuron


@pytest.mark.parametrize(("obtuse", "optimum", "reached"), [(False, 1 + 2**0.5, 3), (True, 3, 1 + 10**0.5)])
def test_counterexamples_to_theorem_two_end_in_a_kkt_point_that_is_not_global(obtuse, optimum, reached):
    """docs/theory.md section 6: one class of three against the rest; the start meets all conditions."""
    example = multi_class_counterexample(obtuse=obtuse)
    report = cr.verify_gradient_descent(example.X, example.y, starts=[example.start])
    run = report.runs[0]
    assert run.verdict == "KKT point that is not global"
    assert run.polished_objective == pytest.approx(reached, abs=1e-6)
    assert run.gap == pytest.approx(1 - optimum / reached, abs=1e-3)
    assert run.stationarity <= 1e-4  # the root of the solver's gap
    certificate = run.certificate
    assert certificate.not_optimal
    assert run.parts[0].better_by == "one neuron added to the limit"
    assert certificate.better_objective == pytest.approx(optimum, abs=1e-6)
    assert certificate.better.margin(example.X, example.y) >= 1 - 1e-9  # the proof holds by itself
    assert certificate.better.objective() < certificate.network.objective()
    assert certificate.check(example.X, example.y)
    assert "proof" in str(report)
    assert not report.all_optimal


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


def test_three_orthogonally_separable_classes_get_the_right_verdict_with_its_proof():
    """WP Theorem 2 is false for three classes: some starts reach P*, others end in a proven worse point."""
    X, labels = cr.datasets.orthogonally_separable(40, 6, n_classes=3, rng=3)
    report = cr.verify_gradient_descent(X, labels, width=10, n_runs=3, rng=0)
    assert {"global optimum", "KKT point that is not global"} <= set(report.counts)
    for run in report.runs:
        for k, part in enumerate(run.parts):
            y = np.where(labels == k, 1.0, -1.0)
            if part.verdict == "global optimum":
                assert part.certificate.gap <= 1e-6
                assert part.objective <= part.certificate.objective * (1 + 1e-3)
            elif part.verdict == "KKT point that is not global":
                assert part.certificate.better.margin(X, y) >= 1 - 1e-9
                assert part.certificate.better.objective() < part.limit.objective() * (1 - 1e-6)
                assert part.dual_feasibility > 1 + 1e-6  # Theorem 3's condition fails, as it must
            else:
                assert part.verdict == "never fitted the data"
                assert part.trajectory.margin[-1] <= 0
        if run.verdict == "global optimum":
            assert run.gap <= 1e-3
            assert run.polished_gap <= 1e-6


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


def test_classes_add_up_and_the_worst_verdict_wins():
    X, labels = np.eye(3), np.array([0, 1, 2])
    report = cr.verify_gradient_descent(X, labels, width=6, n_runs=2, rng=3)
    assert report.solution.objective == pytest.approx(3 * (1 + math.sqrt(2)), rel=1e-6)
    order = ["global optimum", "KKT point that is not global", "not converged", "never fitted the data"]
    for run in report.runs:
        assert len(run.parts) == len(run.trajectories) == 3
        assert run.verdict == max((part.verdict for part in run.parts), key=order.index)
        assert run.polished_objective == pytest.approx(
            sum(p.certificate.objective for p in run.parts), rel=1e-12
        )
        assert run.certificate.check(X, labels)


def test_the_report_names_the_classes_that_failed():
    X, labels = np.eye(3), np.array(["a", "b", "c"])
    report = cr.verify_gradient_descent(X, labels, width=4, n_runs=4, rng=3)
    text = str(report)
    assert {"KKT point that is not global", "never fitted the data"} <= set(report.counts)
    for run in report.runs:
        verdicts = [part.verdict for part in run.parts]
        for name, part in zip(("class a", "class b", "class c"), run.parts, strict=True):
            if part.verdict == "KKT point that is not global":
                better, worse = part.certificate.better_objective, part.certificate.objective
                assert f"{name} alone: a network of objective {better:.7g} < {worse:.7g}" in run.proof
            assert (name in run.verdict_by_class) == (part.verdict != "global optimum")
        assert run.problems_of(run.verdict) == tuple(
            f"class {k}" for k, verdict in zip("abc", verdicts, strict=True) if verdict == run.verdict
        )
        assert run.verdict_by_class.startswith(run.verdict)
        assert run.verdict_by_class in text
        assert run.proof in text


def test_same_seed_same_report():
    X, y = cr.datasets.load("wang-pilanci-f2")
    first, second = (cr.verify_gradient_descent(X, y, n_runs=2, rng=7) for _ in range(2))
    assert first.to_document() == second.to_document()


@pytest.mark.parametrize(
    "arguments",
    [
        {"width": 0},
        {"width": []},
        {"width": [4, 4]},
        {"n_runs": -1},
        {"init_scale": -1.0},
        {"init_scale": [1e-3, 0.0]},
        {"init_scale": 1e-160},
        {"init_scale": 1e200},
        {"starts": [cr.TwoLayerReLU(np.zeros((0, 2)), [])]},
        {"starts": [cr.TwoLayerReLU([[1e200, 0.0]], [1.0])]},
        {"starts": [cr.TwoLayerReLU([[1e-160, 0.0]], [1e-160])]},
        {"time_limit": 0.0},
        {"checkpoint": "no/such/folder/runs.json"},
        {"checkpoint": "/proc/runs.json"},  # a folder in which nobody can write
        {"checkpoint": "."},
    ],
)
def test_bad_arguments(arguments, monkeypatch):
    solve_nothing(monkeypatch)
    with pytest.raises(cr.InvalidInputError):
        cr.verify_gradient_descent([[1.0, 0.0], [0.0, 1.0]], [1, -1], **arguments)


def solve_nothing(monkeypatch):
    """Let the test fail where an error comes after the convex solve."""
    from convexrelu.verify import runs as module

    monkeypatch.setattr(
        module, "solve_max_margin", lambda *_, **__: pytest.fail("solved before it was refused")
    )


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("width", [[2, 3]]),
        ("width", {2, 3}),
        ("width", [[1], [2, 3]]),
        ("starts", cr.TwoLayerReLU([[1.0, 0.0]], [1.0])),
        ("starts", 3),
        ("checkpoint", 3),
        ("rng", "x"),
    ],
)
def test_arguments_of_a_wrong_kind(name, value, monkeypatch):
    solve_nothing(monkeypatch)
    with pytest.raises(cr.InvalidInputError, match=name):
        cr.verify_gradient_descent([[1.0, 0.0], [0.0, 1.0]], [1, -1], **{name: value})


@pytest.mark.parametrize("factor", [1e200, 1e-200])
def test_data_whose_squares_leave_float64(factor):
    with pytest.raises(cr.InvalidInputError, match="rescale"):
        cr.verify_gradient_descent(factor * np.eye(2), [1, -1], init_scale=1e-3 / np.sqrt(factor))


@pytest.mark.parametrize("factor", [1.0, 1e80, 1e-80])
@pytest.mark.parametrize("scale", [2e-99, 5e98])
def test_the_smallest_and_the_largest_initial_scale(factor, scale):
    """They are meant in units in which the longest row has length 1; nothing overflows within them."""
    unit = np.sqrt(factor)
    report = cr.verify_gradient_descent(factor * np.eye(2), [1, -1], init_scale=scale / unit, n_runs=1, rng=0)
    assert report.runs[0].verdict == ("global optimum" if scale < 1 else "never fitted the data")
    for beyond in (2e-100, 5e99):
        with pytest.raises(cr.InvalidInputError, match="init_scale"):
            cr.verify_gradient_descent(factor * np.eye(2), [1, -1], init_scale=beyond / unit)


def test_rows_so_different_that_one_would_vanish_in_units_of_the_other():
    X = [[1e60, 0.0], [0.0, 1e-60]]
    with pytest.raises(cr.InvalidInputError, match="times as long"):
        cr.verify_gradient_descent(X, [1, -1])


def test_no_starts_given():
    X, y = cr.datasets.load("wang-pilanci-f1")
    plain, none = (
        cr.verify_gradient_descent(X, y, n_runs=1, rng=0, **more) for more in ({}, {"starts": None})
    )
    assert plain.to_document() == none.to_document()


def test_descent_that_stands_still_says_so():
    """A normalised step is at most 0.3/||theta||: from weights of 1e6 it is below their rounding."""
    X, y = cr.datasets.load("wang-pilanci-f1")
    report = cr.verify_gradient_descent(X, y, init_scale=1e6, n_runs=1, rng=0)
    [run] = report.runs
    assert run.verdict == "never fitted the data"
    assert run.n_steps == 0
    assert "after 0 steps descent stands still: its steps are below the rounding of the weights" in str(
        report
    )
    unseen = cr.verify_gradient_descent(X, y, starts=[cr.TwoLayerReLU(-np.ones((1, 2)), [1e-3])])
    assert "descent stands still: no neuron sees a sample" in str(unseen)
    lost = cr.verify_gradient_descent(X, y, starts=[cr.TwoLayerReLU([[1e-3, 0.0]], [1e-3])])
    assert lost.runs[0].n_steps > 150_000 - 20_000
    assert "stands still" not in str(lost)


def test_starts_of_the_wrong_shape_and_for_classes():
    wrong = cr.TwoLayerReLU([[1.0, 0.0, 0.0]], [1.0])
    with pytest.raises(cr.InvalidInputError, match="2 inputs"):
        cr.verify_gradient_descent([[1.0, 0.0], [0.0, 1.0]], [1, -1], starts=[wrong])
    with pytest.raises(cr.InvalidInputError, match="two labels"):
        cr.verify_gradient_descent(np.eye(3), [0, 1, 2], starts=[wrong])


def test_infeasible_data_is_refused_before_training():
    with pytest.raises(cr.InfeasibleError):
        cr.verify_gradient_descent([[1.0, 0.0], [2.0, 0.0]], [1, -1])


def test_relative_gap_of_an_infinite_objective():
    assert relative_gap(math.inf, 1.0) == math.inf
    assert relative_gap(2.0, 1.0) == 0.5


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


def test_a_checkpoint_is_continued_and_gives_the_same_report(tmp_path, monkeypatch):
    from convexrelu.verify import runs as module

    X, labels = np.eye(3), np.array([0, 1, 2])
    file = tmp_path / "runs.json"
    settings = {"width": [2, 6], "n_runs": 2, "rng": 3}
    direct = cr.verify_gradient_descent(X, labels, **settings)
    kept = cr.verify_gradient_descent(X, labels, checkpoint=file, **settings)
    document = json.loads(file.read_text())
    assert sorted(document["runs"], key=int) == ["0", "1", "2", "3"]
    del document["runs"]["1"], document["runs"]["3"]  # as if it had been stopped after two runs
    file.write_text(json.dumps(document))
    trained = []
    judge = module.judged
    monkeypatch.setattr(module, "judged", lambda *task: trained.append(task) or judge(*task))
    again = cr.verify_gradient_descent(X, labels, checkpoint=file, **settings)
    assert len(trained) == 2
    assert direct.to_document() == kept.to_document() == again.to_document()
    assert str(direct) == str(again)
    for run, same in zip(direct.runs, again.runs, strict=True):
        for path, copy in zip(run.trajectories, same.trajectories, strict=True):
            assert np.array_equal(path.W1, copy.W1)
            assert np.array_equal(path.times, copy.times)
            assert path.status == copy.status
        assert same.certificate.check(X, labels)
    assert list(tmp_path.iterdir()) == [file]  # no draft is left behind


def test_a_checkpoint_of_other_runs_is_refused(tmp_path):
    X, y = cr.datasets.load("wang-pilanci-f1")
    file = tmp_path / "runs.json"
    cr.verify_gradient_descent(X, y, n_runs=1, checkpoint=file)
    for data, settings, name in [
        (2 * X, {"n_runs": 1}, "data"),
        (X, {"n_runs": 2}, "n_runs"),
        (X, {"n_runs": 1, "width": 4}, "width"),
        (X, {"n_runs": 1, "init_scale": 1e-2}, "init_scale"),
        (X, {"n_runs": 1, "rng": 1}, "rng"),
    ]:
        with pytest.raises(cr.InvalidInputError, match=name):
            cr.verify_gradient_descent(data, y, checkpoint=file, **settings)
    file.write_text("{}")
    with pytest.raises(cr.InvalidInputError):
        cr.verify_gradient_descent(X, y, n_runs=1, checkpoint=file)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda runs: runs["0"][0]["W1"].update(base64="AAAA"), "damaged"),
        (lambda runs: runs["0"][0].update(verdict="splendid"), "splendid"),
        (lambda runs: runs["0"][0].update(verdict=["global optimum"]), "no verdict"),
        (lambda runs: runs["0"][0].update(certificate="AAAA"), "damaged"),
        (lambda runs: runs["0"].append(runs["0"][0]), "damaged"),
        (lambda runs: runs.update({"1": runs["0"]}), "it holds run 1, but there are only runs 0 to 0"),
        (lambda runs: runs.update({"-1": runs.pop("0")}), "run -1"),
    ],
)
def test_a_damaged_checkpoint_is_refused_before_any_work(tmp_path, monkeypatch, damage, message):
    X, y = cr.datasets.load("wang-pilanci-f1")
    file = tmp_path / "runs.json"
    cr.verify_gradient_descent(X, y, n_runs=1, checkpoint=file)
    document = json.loads(file.read_text())
    damage(document["runs"])
    file.write_text(json.dumps(document))
    solve_nothing(monkeypatch)
    with pytest.raises(cr.InvalidInputError, match=message) as caught:
        cr.verify_gradient_descent(X, y, n_runs=1, checkpoint=file)
    assert "is damaged" in str(caught.value)


def test_a_checkpoint_of_other_runs_is_refused_before_the_solve(tmp_path, monkeypatch):
    X, y = cr.datasets.load("wang-pilanci-f1")
    file = tmp_path / "runs.json"
    cr.verify_gradient_descent(X, y, n_runs=1, checkpoint=file)
    solve_nothing(monkeypatch)
    with pytest.raises(cr.InvalidInputError, match="data"):
        cr.verify_gradient_descent(2 * X, y, n_runs=1, checkpoint=file)


def test_a_checkpoint_without_a_run_stands_in_nobodys_way(tmp_path):
    """It is written before the solve, which may find the data infeasible: corrected data takes it over."""
    file = tmp_path / "runs.json"
    with pytest.raises(cr.InfeasibleError):
        cr.verify_gradient_descent([[1.0, 0.0], [2.0, 0.0]], [1, -1], checkpoint=file)
    report = cr.verify_gradient_descent([[1.0, 0.0], [0.0, 1.0]], [1, -1], n_runs=1, checkpoint=file)
    assert len(json.loads(file.read_text())["runs"]) == len(report.runs) == 1


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


def test_wilsons_interval_of_no_trial_is_everything():
    assert Share(count=0, total=0).interval == (0.0, 1.0)
    assert Share(count=0, total=0).value == 0.0
    assert str(Share(count=3, total=4)) == "3 of 4 (30% to 95%)"


def test_a_cell_that_is_not_there():
    report = cr.verify_gradient_descent([[1.0, 0.0], [0.0, 1.0]], [1, -1], n_runs=1)
    assert report.cell(width=10, init_scale=1e-3).runs == report.runs
    with pytest.raises(cr.InvalidInputError, match="width"):
        report.cell(width=11, init_scale=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "d"), [(40, 5), (200, 20)])
def test_twenty_runs_on_orthogonally_separable_data(n, d):
    """WP Theorem 4 at size: all runs within 1e-3 of P* before polishing, and within 1e-6 after it."""
    X, y = cr.datasets.orthogonally_separable(n, d, rng=1)
    report = cr.verify_gradient_descent(X, y, n_runs=20, rng=0)
    assert report.all_optimal
    assert max(run.gap for run in report.runs) <= 1e-3
    assert max(run.polished_gap for run in report.runs) <= 1e-6
