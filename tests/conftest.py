from __future__ import annotations

from hypothesis import HealthCheck, settings

# Derandomised: a red run is red for everybody. No deadline: numba compiles inside the first example.
settings.register_profile(
    "convexrelu",
    derandomize=True,
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
settings.load_profile("convexrelu")
