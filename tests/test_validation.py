from __future__ import annotations

import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from convexrelu._typing import kernel
from convexrelu._validation import (
    as_class_labels,
    as_data,
    as_generator,
    as_labels,
    as_matrix,
    as_penalty,
    as_vector,
    check_count,
    check_nonnegative,
    check_positive,
    encode_binary,
    one_vs_rest,
)
from convexrelu.errors import (
    CertificateError,
    ConvexReLUError,
    InfeasibleError,
    InvalidInputError,
    SolverError,
)
from convexrelu.training.kernels.sample_weights import loop_kernel


@given(
    hnp.arrays(np.float64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=5), elements=st.floats(-9, 9))
)
def test_good_matrices_pass_unchanged_in_any_container(X):
    for given_as in (X, X.tolist(), np.asfortranarray(X)):
        out = as_matrix(given_as)
        assert out.dtype == np.float64
        np.testing.assert_array_equal(out, X)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, np.float16, np.float32, object])
def test_every_real_kind_becomes_float64(dtype):
    out = as_matrix(np.array([[0, 1], [1, 1]], dtype=dtype))
    assert out.dtype == np.float64
    np.testing.assert_array_equal(out, [[0, 1], [1, 1]])


@pytest.mark.parametrize(
    ("X", "got"),
    [
        ([1.0, 2.0], r"\(2,\)"),
        (np.array(3.0), r"\(\)"),
        (np.zeros((2, 2, 2)), r"\(2, 2, 2\)"),
        (np.zeros((0, 3)), r"\(0, 3\)"),
        (np.zeros((3, 0)), r"\(3, 0\)"),
        ([[1.0], [1.0, 2.0]], "list"),
        ([["one"]], "list"),
        ([[1.0 + 2.0j]], "complex"),
        (np.array([[None]]), "1 NaN or infinite"),
        (np.array([[10**400]], dtype=object), "too large"),
        ([[1.0], [np.nan], [0.0], [-np.inf]], "2 NaN or infinite entries .rows 1, 3"),
    ],
)
def test_bad_matrices_are_refused_with_what_was_got(X, got):
    with pytest.raises(InvalidInputError, match=got) as caught:
        as_matrix(X, "points")
    assert str(caught.value).startswith("points must")


def test_long_lists_of_bad_rows_are_cut():
    with pytest.raises(InvalidInputError, match=r"rows 0, 1, 2, 3, 4, 5, 6, 7, \.\.\.\)"):
        as_matrix(np.full((100, 2), np.nan))


def test_columns_and_empty_matrices():
    assert as_matrix(np.zeros((0, 3)), min_rows=0, columns=3).shape == (0, 3)
    with pytest.raises(InvalidInputError, match="3 columns"):
        as_matrix([[1.0, 2.0]], columns=3)
    with pytest.raises(InvalidInputError):
        as_matrix(np.zeros((0, 0)), min_rows=0)


def test_vectors():
    np.testing.assert_array_equal(as_vector([1, 2], "lam", length=2), [1.0, 2.0])
    assert as_vector([], "lam").shape == (0,)
    for bad in ([[1.0]], np.array(1.0), [np.nan], ["x"]):
        with pytest.raises(InvalidInputError, match="lam"):
            as_vector(bad, "lam")
    with pytest.raises(InvalidInputError, match="3 entries, got 2"):
        as_vector([1.0, 2.0], "lam", length=3)


@given(
    st.lists(st.booleans(), min_size=1, max_size=8),
    st.sampled_from([(-1, 1), (0, 1), (3, 7), (-2.5, -0.5), ("a", "b"), (False, True)]),
)
def test_binary_labels_send_the_larger_value_to_plus_one(bits, values):
    labels = [values[bit] for bit in bits]
    if len(set(bits)) == 1 and values[bits[0]] not in (-1, 1):
        with pytest.raises(InvalidInputError, match="one label only"):
            as_labels(labels, length=len(labels))
    else:
        np.testing.assert_array_equal(as_labels(labels, length=len(labels)), np.where(bits, 1.0, -1.0))


def test_labels_are_invariant_under_increasing_maps():
    y = np.array([3, 1, 1, 3, 3])
    np.testing.assert_array_equal(as_labels(y, length=5), as_labels(np.exp(y), length=5))
    np.testing.assert_array_equal(as_labels(-y, length=5), -as_labels(y, length=5))


@pytest.mark.parametrize(
    "y", [[1, 2, 3], [[1, -1]], [1.0, np.nan], [1, 2], np.array([None, 1, 2]), np.array([1j, 2, 1])], ids=repr
)
def test_bad_labels_are_refused(y):
    with pytest.raises(InvalidInputError):
        as_labels(y, length=3)


def test_three_labels_are_named():
    with pytest.raises(InvalidInputError, match="two labels, got 3: 4, 5, 6"):
        as_labels(np.array([4, 5, 6, 4]), length=4)
    with pytest.raises(InvalidInputError, match=r"got 9: .*, \.\.\."):
        encode_binary(np.arange(9.0))


def test_data_and_labels_must_match():
    X, y = as_data([[1, 2], [3, 4]], [0, 5])
    np.testing.assert_array_equal(X, [[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_array_equal(y, [-1.0, 1.0])
    with pytest.raises(InvalidInputError, match="2 rows of X and 3 labels"):
        as_data([[1, 2], [3, 4]], [0, 5, 0])


@given(st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_one_vs_rest_is_a_partition_for_more_than_two_classes(labels):
    y = as_class_labels(labels, length=len(labels))
    values = np.unique(y)
    if len(values) > 2:
        encoded = one_vs_rest(y)
        np.testing.assert_array_equal(encoded.classes, values)
        np.testing.assert_array_equal(encoded.Y.sum(axis=0), 2 - len(values))  # one +1 a column
        np.testing.assert_array_equal(encoded.classes[encoded.Y.argmax(axis=0)], y)
    elif len(values) == 2:
        encoded = one_vs_rest(y)
        np.testing.assert_array_equal(encoded.Y, encode_binary(y)[None])
        np.testing.assert_array_equal(encoded.classes, values[1:])


def test_one_vs_rest_of_strings():
    encoded = one_vs_rest(as_class_labels(["b", "c", "a", "b"], length=4))
    assert encoded.classes.tolist() == ["a", "b", "c"]
    np.testing.assert_array_equal(encoded.Y, [[-1, -1, 1, -1], [1, -1, -1, 1], [-1, 1, -1, -1]])


def test_numbers():
    assert check_positive(np.float32(0.5), "tol") == 0.5
    assert check_nonnegative(0, "gap") == 0.0
    assert as_penalty(np.inf) == np.inf
    assert check_count(np.int64(3), "size") == 3
    assert type(check_count(np.int64(3), "size")) is int
    for bad in (0.0, -1.0, np.nan, np.inf, "a", None, [1, 2]):
        with pytest.raises(InvalidInputError, match="tol"):
            check_positive(bad, "tol")
    for bad in (-1e-300, np.nan, np.inf, "a", None):
        with pytest.raises(InvalidInputError, match="gap"):
            check_nonnegative(bad, "gap")
    for bad in (0.0, -1.0, np.nan, -np.inf):
        with pytest.raises(InvalidInputError, match="C"):
            as_penalty(bad)
    for bad in (0, -3, 2.0, True, np.True_, "3", None, np.nan):
        with pytest.raises(InvalidInputError, match="size"):
            check_count(bad, "size")


def test_generators():
    assert as_generator(3).integers(10**9) == np.random.default_rng(3).integers(10**9)
    generator = np.random.default_rng(0)
    assert as_generator(generator) is generator
    for bad in (-1, "seed", 1.5):
        with pytest.raises(InvalidInputError, match="rng"):
            as_generator(bad)


def test_errors_are_split_by_what_the_caller_can_do():
    assert issubclass(InvalidInputError, ConvexReLUError)
    assert issubclass(InvalidInputError, ValueError)
    assert issubclass(SolverError, ConvexReLUError)
    assert issubclass(SolverError, RuntimeError)
    assert issubclass(CertificateError, ConvexReLUError)
    assert issubclass(InfeasibleError, ConvexReLUError)
    assert not issubclass(InfeasibleError, ValueError)  # the input is fine, the problem has no solution


def test_the_infeasibility_error_carries_its_certificate():
    error = InfeasibleError(
        "rows 0 and 1 contradict", farkas=np.array([1.0, -1.0]), rows=np.array([0, 1]), residual=1e-15
    )
    error = pickle.loads(pickle.dumps(error))
    with pytest.raises(ConvexReLUError, match="rows 0 and 1") as caught:
        raise error
    np.testing.assert_array_equal(caught.value.farkas, [1.0, -1.0])
    np.testing.assert_array_equal(caught.value.rows, [0, 1])
    assert caught.value.residual == 1e-15


@pytest.mark.parametrize("kind", [int, float, np.float64, np.int8, bool, Fraction])
def test_labels_in_arrays_of_objects(kind):
    values = [kind(1), kind(0), kind(1)]
    objects = np.array(values, dtype=object)
    np.testing.assert_array_equal(as_labels(objects, length=3), [1.0, -1.0, 1.0])


@pytest.mark.parametrize("bad", [[1.0, None], [1.0, "a"], [1.0, 1j], [float("nan"), 1.0], [[1], [1, 2]]])
def test_objects_that_are_no_labels_are_refused(bad):
    objects = np.empty(len(bad), dtype=object)
    objects[:] = bad
    with pytest.raises(InvalidInputError):
        as_labels(objects, length=len(bad))


def test_masked_entries_are_refused_and_masks_without_any_are_not():
    X = np.ma.masked_array(np.eye(2), mask=[[False, False], [False, True]])
    with pytest.raises(InvalidInputError, match=r"1 masked entries \(rows 1\)"):
        as_matrix(X)
    with pytest.raises(InvalidInputError, match="y must have a value everywhere"):
        as_data(np.eye(2), np.ma.masked_array([1.0, -1.0], mask=[True, False]))
    matrix, labels = as_data(np.ma.masked_array(np.eye(2)), np.ma.masked_array([1.0, -1.0]))
    assert type(matrix) is type(labels) is np.ndarray


def test_kernels_compile_where_no_folder_takes_their_cache(monkeypatch):
    def refuse(_function):
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr("numba.core.dispatcher.FunctionCache", refuse)
    assert kernel(lambda x: x + 1)(2) == 3
    assert loop_kernel(lambda x: x + 1)(2) == 3


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.random.default_rng(0).normal(size=200), "200 different numbers among 200: a continuous target"),
        (np.arange(11) + 0.5, "11 different numbers"),
        (np.arange(40), "40 different numbers among 40"),
        (np.repeat(np.arange(101), 5), "101 different numbers among 505"),
        (np.array([f"name {k}" for k in range(30)]), "30 different ones .*name 0.*column of names"),
    ],
)
def test_continuous_targets_and_hundreds_of_classes_are_refused(labels, said):
    with pytest.raises(InvalidInputError, match=said):
        one_vs_rest(as_class_labels(labels, length=len(labels)))


@pytest.mark.parametrize(
    "labels",
    [
        np.arange(10) + 0.5,
        np.arange(20),
        np.repeat(np.arange(100), 10),
        [f"c{k}" for k in range(100)] * 2,
        np.array([0.25, 0.75] * 50),
        list("abc"),
    ],
)
def test_what_may_be_classes_is_taken(labels):
    clean = as_class_labels(labels, length=len(labels))
    K = len(np.unique(clean))
    assert len(one_vs_rest(clean).Y) == (1 if K == 2 else K)
