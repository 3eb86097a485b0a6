"""Whoever waits at a terminal while loops are compiled is told so, once; nobody else is."""

import os
import pty
import subprocess
import sys

import pytest

CODE = "from convexrelu._typing import kernel; f = kernel(lambda x: x + 1); print(f(1), f(1.0))"
WORDS = "compiling loops for this machine"


def test_on_a_terminal_compiling_is_announced_once():
    ours, theirs = pty.openpty()
    done = subprocess.run([sys.executable, "-c", CODE], stdout=subprocess.PIPE, stderr=theirs, text=True)
    os.close(theirs)
    said = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        said += part
    os.close(ours)
    assert done.stdout.split() == ["2", "2.0"]
    assert " ".join(said.decode().split()).count(WORDS) == 1


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_pipe_gets_no_word(stream):
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert WORDS not in getattr(done, stream)


SLOW = """
import time
from convexrelu._clock import Clock
from convexrelu._typing import kernel
f = kernel(lambda x: x + 1)
clock, before = Clock(limit=100.0), time.perf_counter()
f(1)
compiling, counted = time.perf_counter() - before, clock.elapsed
f(1)
time.sleep(0.2)
print(compiling, counted, clock.elapsed)
"""


def test_clocks_do_not_count_the_time_of_compiling():
    done = subprocess.run([sys.executable, "-c", SLOW], capture_output=True, text=True, check=True)
    compiling, counted, later = map(float, done.stdout.split())
    assert counted < 0.5 * compiling
    assert later - counted >= 0.2
