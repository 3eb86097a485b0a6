import pytest

from convexrelu.verify import runs


@pytest.fixture
def solve_nothing(monkeypatch):
    """Let the test fail where an error comes after the convex solve."""
    late = "solved before it was refused"
    monkeypatch.setattr(runs, "solve_max_margin", lambda *_, **__: pytest.fail(late))
