"""The tests' own checks of types find what is wrong in the first calls, and leave loops alone."""

import jaxtyping
import numpy as np
import pytest
import typechecks
from beartype import beartype
from jaxtyping import Float, TypeCheckError

from convexrelu.arrangements.hyperplanes import unit_rows


@jaxtyping.jaxtyped(typechecker=beartype)
def first(rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " d"]:
    return rows[0] if len(rows) else rows


def test_the_package_is_checked():
    with pytest.raises(TypeCheckError):
        unit_rows(np.ones(3))


def test_arguments_and_answers_are_checked_until_a_loop_has_called_often():
    for _ in range(typechecks.CALLS - 2):
        first(np.zeros((2, 3)))
    with pytest.raises(TypeCheckError, match="parameters"):
        first(np.zeros(3))
    with pytest.raises(TypeCheckError, match="return value"):
        first(np.zeros((0, 3)))
    assert first(np.zeros(3)) == 0  # no longer checked


def test_the_next_test_is_checked_again():
    """It runs after the one above, but must not know."""
    with pytest.raises(TypeCheckError):
        first(np.zeros(3))
