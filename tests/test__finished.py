"""Results of finished runs, kept by one process and by several."""

from __future__ import annotations

import multiprocessing
import sys

import pytest

from convexrelu import InvalidInputError
from convexrelu._finished import FinishedRuns
from convexrelu._json_files import read_json

SETTINGS = {"seed": 0}


def runs_in(path):
    return read_json(path, kind="runs", version=1)["runs"]


def add_all(path, numbers):
    kept = FinishedRuns(path, kind="runs", settings=SETTINGS, n_runs=60)
    for number in numbers:
        kept.add(number, {"value": number})


def test_what_another_process_kept_stays(tmp_path):
    path = tmp_path / "runs.json"
    first = FinishedRuns(path, kind="runs", settings=SETTINGS, n_runs=4)
    second = FinishedRuns(path, kind="runs", settings=SETTINGS, n_runs=4)
    first.add(0, "a")
    second.add(1, "b")
    first.add(2, "c")
    assert runs_in(path) == {"0": "a", "1": "b", "2": "c"}


@pytest.mark.skipif(sys.platform == "win32", reason="no lock of folders")
def test_two_processes_lose_no_run_of_each_other(tmp_path):
    path = tmp_path / "runs.json"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=add_all, args=(path, range(k, 60, 2))) for k in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert runs_in(path) == {str(k): {"value": k} for k in range(60)}
    assert [file.name for file in tmp_path.iterdir()] == ["runs.json"]


def test_a_file_that_became_that_of_other_runs_is_not_written_over(tmp_path):
    path = tmp_path / "runs.json"
    mine = FinishedRuns(path, kind="runs", settings=SETTINGS, n_runs=4)
    other = FinishedRuns(path, kind="runs", settings={"seed": 1}, n_runs=4)  # nothing was finished yet
    other.add(0, "theirs")
    with pytest.raises(InvalidInputError, match="checkpoint of other runs"):
        mine.add(0, "mine")
    assert runs_in(path) == {"0": "theirs"}
