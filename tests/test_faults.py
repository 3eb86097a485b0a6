"""Full disks, folders that are read-only, two processes at one file, and Ctrl-C at any moment."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import convexrelu as cr
from convexrelu._json_files import read_json, write_json

DOCUMENT = {"format": "test", "version": 1, "value": list(range(2000))}


@pytest.fixture
def full_disk(monkeypatch):
    """Let every file take half of what is written, and then be full."""
    write = Path.write_bytes

    def half(path, content):
        write(path, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    return lambda: monkeypatch.setattr(Path, "write_bytes", half)


def save_solution(path):
    cr.solve_max_margin(np.eye(2), [1, -1]).certificate.save(path)


@pytest.mark.parametrize(
    "save",
    [
        lambda path: write_json(path, DOCUMENT),
        lambda path: cr.TwoLayerReLU(np.eye(2), [1.0, -1.0]).save(path),
        save_solution,
    ],
    ids=["document", "network", "certificate"],
)
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, full_disk, save):
    target = tmp_path / "a.json"
    target.write_bytes(b"as it was")
    full_disk()
    with pytest.raises(cr.ConvexReLUError, match="No space left"):
        save(target)
    assert target.read_bytes() == b"as it was"
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_device_that_is_full_is_named():
    with pytest.raises(cr.InvalidInputError, match=r"/dev/full: No space left"):
        write_json("/dev/full", DOCUMENT)


def test_a_folder_that_may_not_be_written_to_is_refused_first(tmp_path, monkeypatch):
    if os.geteuid() == 0:  # who may do anything is asked as anybody would be
        monkeypatch.setattr(os, "access", lambda _, mode: mode != os.W_OK)
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(cr.InvalidInputError, match="not writable"):
            write_json(tmp_path / "a.json", DOCUMENT)
    finally:
        tmp_path.chmod(0o755)
    assert not os.listdir(tmp_path)


def test_two_processes_at_one_file_leave_it_whole(tmp_path):
    """Whoever reads meanwhile sees one of the two documents; no draft is left."""
    target = tmp_path / "a.json"
    write_json(target, {**DOCUMENT, "value": [0] * 2000})
    program = (
        "import sys; from convexrelu._json_files import write_json\n"
        "document = {'format': 'test', 'version': 1, 'value': [int(sys.argv[2])] * 2000}\n"
        "for _ in range(100): write_json(sys.argv[1], document)"
    )
    writers = [subprocess.Popen([sys.executable, "-c", program, str(target), str(k)]) for k in (1, 2)]
    seen = set()
    while any(writer.poll() is None for writer in writers):
        value = read_json(target, kind="test", version=1)["value"]
        assert len(value) == 2000
        seen |= set(value)
        assert len(set(value)) == 1
    assert [writer.returncode for writer in writers] == [0, 0]
    assert seen <= {0, 1, 2}
    assert read_json(target, kind="test", version=1)["value"][0] in (1, 2)
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("C", [np.inf, 1.0])
def test_ctrl_c_at_any_moment_leaves_bounds_that_hold(C):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 6)), np.where(rng.random(40) < 0.5, 1.0, -1.0)
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for delay in rng.uniform(0.005, 0.5, size=4):
            timer = threading.Timer(delay, signal.raise_signal, [signal.SIGINT])
            timer.start()
            try:
                solution = cr.solve_max_margin(X, y, C=C, time_limit=20.0)
            except KeyboardInterrupt:  # before it listens: nothing was begun
                continue
            finally:
                with suppress(KeyboardInterrupt):  # after the answer
                    timer.join()
            assert solution.status in ("interrupted", "optimal")
            assert 0 <= solution.lower_bound <= solution.objective
            assert solution.certificate.check(X, y)
    finally:
        signal.signal(signal.SIGINT, handler)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for one process")
@pytest.mark.parametrize("delay", [0.3, 2.0, 4.0])
def test_ctrl_c_at_the_command_line_leaves_a_file_that_holds_or_none(tmp_path, delay):
    rng = np.random.default_rng(1)
    y = np.where(rng.random(60) < 0.5, 1, -1)
    np.savez(tmp_path / "d.npz", X=rng.normal(size=(60, 8)), y=y)
    program = (  # background jobs start without Ctrl-C
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from convexrelu.cli import main; sys.argv[0] = 'convexrelu'; main()"
    )
    command = ["solve", "d.npz", "--time-limit", "60", "--out", "c.json"]
    process = subprocess.Popen(
        [sys.executable, "-c", program, *command],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        process.wait(delay)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=100)
    assert process.returncode != 0  # it was not solved
    assert process.returncode in (1, 130, -signal.SIGINT), said  # the last: while Python was starting
    names = {path.name for path in tmp_path.iterdir()} - {"d.npz"}
    assert not {name for name in names if name.endswith(".tmp")}
    if "c.json" in names:
        done = subprocess.run(
            [sys.executable, "-m", "convexrelu.check", "c.json", "d.npz"],
            cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
