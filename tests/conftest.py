from __future__ import annotations

import os

import pytest
import scipy.linalg  # noqa: F401  loads SciPy's own linear algebra library, for the limit to reach it
import typechecks
from hypothesis import HealthCheck, settings
from jaxtyping import config
from threadpoolctl import threadpool_limits

# The matrices here are small: on busy cores, threads of the linear algebra that wait for each other make a
# test up to thirty times slower. The variable is for the processes that tests start.
os.environ["OMP_NUM_THREADS"] = "1"
threadpool_limits(limits=1, user_api="blas")

typechecks.install()

# Derandomised: a red run is red for everybody. No deadline: numba compiles inside the first example.
settings.register_profile(
    "convexrelu",
    derandomize=True,
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
settings.load_profile("convexrelu")


def pytest_configure(config):
    config.pluginmanager.register(typechecks)  # for the doctests, too, which lie elsewhere


@pytest.fixture
def unchecked(monkeypatch):
    """Switch off the tests' own type checks, as for a user: they refuse a wrong type before the door."""
    monkeypatch.setattr(config, "jaxtyping_disable", True)
