import pytest

from convexrelu.verify import runs


@pytest.fixture
def solve_nothing(monkeypatch):
    """Return what lets the test fail from then on where an error comes after the convex solve."""
    late = "solved before it was refused"
    return lambda: monkeypatch.setattr(runs, "solve_max_margin", lambda *_, **__: pytest.fail(late))
