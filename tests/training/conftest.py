import pytest
from jaxtyping import config


@pytest.fixture
def unchecked(monkeypatch):
    """Switch off the tests' own type checks, as for a user: they refuse a wrong type before the door."""
    monkeypatch.setattr(config, "jaxtyping_disable", True)
