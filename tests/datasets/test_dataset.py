from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from convexrelu.datasets import Dataset, with_bias
from convexrelu.errors import InvalidInputError


def test_the_bias_column_is_last_and_new():
    X = np.arange(6.0).reshape(3, 2)
    wide = with_bias(X)
    np.testing.assert_array_equal(wide, [[0, 1, 1], [2, 3, 1], [4, 5, 1]])
    wide[:] = 0
    assert X[2, 1] == 5
    with pytest.raises(InvalidInputError, match="X must be a matrix"):
        with_bias([1.0, 2.0])


@pytest.mark.parametrize(
    ("y", "encoded", "classes"),
    [
        ([1, -1, 1], [1, -1, 1], ("-1", "1")),
        ([0, 1, 1], [-1, 1, 1], ("0", "1")),
        (["b", "a", "a"], [1, -1, -1], ("a", "b")),
        ([True, False, True], [1, -1, 1], ("0", "1")),
        ([-1, -1, -1], [-1, -1, -1], ("-1",)),
        ([5, 2.5, 9], [1, 0, 2], ("2.5", "5", "9")),
    ],
)
def test_labels_are_encoded(y, encoded, classes):
    data = Dataset(np.eye(3), y, "test")
    np.testing.assert_array_equal(data.y, encoded)
    assert data.classes == classes
    assert data.n_classes == len(classes)


def test_unpacking_and_read_only_copies():
    X, y = np.eye(2), np.array([1.0, -1.0])
    data = Dataset(X, y, "test", "two samples")
    first, second = data
    assert first is data.X
    assert second is data.y
    X[0, 0] = y[0] = 7
    assert data.X[0, 0] == data.y[0] == 1
    for array in data:
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 3
    with pytest.raises(AttributeError):
        data.name = "other"


def test_what_a_person_reads():
    data = Dataset(np.eye(3), ["a", "b", "b"], "letters", "three samples")
    assert repr(data) == "Dataset('letters', n=3, d=3, n_classes=2)"
    assert str(data) == "letters: 3 samples, 3 features; 1 a (labelled -1), 2 b (labelled +1)\nthree samples"
    assert "1 labelled -1, 1 labelled +1" in str(Dataset(np.eye(2), [-1, 1], "signs"))
    assert "1 of class 0 (labelled -1), 1 labelled +1" in str(Dataset(np.eye(2), [0, 1], "bits"))


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.eye(3), [1, -1], "as many rows"),
        (np.zeros((0, 2)), [], "at least one row"),
        ([[np.nan]], [1], "finite"),
        (np.eye(2), [3, 3], r"one label only; it must be \+1 or -1"),
        (np.eye(2), [[1], [-1]], "vector of labels"),
    ],
)
def test_bad_data_is_refused(X, y, message):
    with pytest.raises(InvalidInputError, match=message):
        Dataset(X, y, "bad")
    with pytest.raises(InvalidInputError, match="classes must name the 2 labels"):
        Dataset(np.eye(2), [1, -1], "bad", classes=["one"])


def test_importing_loads_no_heavy_library():
    code = "import sys, convexrelu.datasets, convexrelu.networks as n; print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for heavy in ("sklearn", "pyarrow", "torch", "pandas", "cvxpy", "numba"):
        assert f"'{heavy}'" not in done.stdout
