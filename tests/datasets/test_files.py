from __future__ import annotations

import io
import sys
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from convexrelu import datasets
from convexrelu.errors import InvalidInputError

X = np.array([[1.5, -2.0], [0.1, 1e-300], [3.0, 4.0]])
LABELS = ["no", "yes", "yes"]
CODES = [-1.0, 1.0, 1.0]
finite = st.floats(allow_nan=False, allow_infinity=False)


def write_csv(path, labels=LABELS, header="a,b,label"):
    rows = [",".join([*map(repr, map(float, row)), str(y)]) for row, y in zip(X, labels, strict=True)]
    path.write_text("\n".join([header, *rows]) + "\n")


def write_parquet(path, **columns):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pa.table(columns), path)


@given(hnp.arrays(float, (4, 3), elements=finite), st.permutations([0, 1, 2, 3]))
def test_round_trip_of_all_formats(tmp_path_factory, matrix, labels):
    folder = tmp_path_factory.mktemp("files")
    rows = [",".join([*map(repr, map(float, row)), str(y)]) for row, y in zip(matrix, labels, strict=True)]
    (folder / "data.csv").write_text("\n".join(["a,b,c,label", *rows]))
    np.savez(folder / "data.npz", X=matrix, y=np.array(labels))
    write_parquet(folder / "data.parquet", a=matrix[:, 0], b=matrix[:, 1], c=matrix[:, 2], label=labels)
    for name in ("data.csv", "data.npz", "data.parquet"):
        data = datasets.from_file(folder / name)
        assert data.X.tobytes() == matrix.tobytes()
        assert data.y.tolist() == labels
        assert data.name == name


def test_csv_as_programs_write_it(tmp_path):
    path = tmp_path / "data.CSV"
    path.write_bytes(b'\xef\xbb\xbf"first, of two",kind,b\r\n"1.5", yes ,-2\r\n\r\n2.5,"no",3\r\n')
    data = datasets.from_file(path, label="kind")
    np.testing.assert_array_equal(data.X, [[1.5, -2], [2.5, 3]])
    np.testing.assert_array_equal(data.y, [1, -1])
    assert data.classes == ("no", "yes")
    np.savetxt(tmp_path / "numpy.csv", np.c_[X, [0, 1, 1]], delimiter=",", header="a,b,label")
    data = datasets.from_file(tmp_path / "numpy.csv")
    np.testing.assert_array_equal(data.X, X)
    np.testing.assert_array_equal(data.y, CODES)


def test_which_column_holds_the_labels(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("label,a,b\n1,2,3\n-1,5,6\n")
    np.testing.assert_array_equal(datasets.from_file(path).X, [[2, 3], [5, 6]])
    np.testing.assert_array_equal(datasets.from_file(path, label="b").X, [[1, 2], [-1, 5]])
    path.write_text("x,a,b\n1,2,3\n-1,5,6\n")
    np.testing.assert_array_equal(datasets.from_file(path).y, [-1, 1])
    np.testing.assert_array_equal(datasets.from_file(path).X, [[1, 2], [-1, 5]])
    np.savez(tmp_path / "data.npz", X=X, label=LABELS, other=[1, 1, -1])
    np.testing.assert_array_equal(datasets.from_file(tmp_path / "data.npz").y, CODES)
    np.testing.assert_array_equal(datasets.from_file(tmp_path / "data.npz", label="other").y, [1, 1, -1])


def test_strings_and_integers_in_parquet(tmp_path):
    path = tmp_path / "data.parquet"
    write_parquet(path, a=[1, 2, 3], label=LABELS, b=[True, False, True], __index_level_0__=[7, 8, 9])
    data = datasets.from_file(path)
    np.testing.assert_array_equal(data.X, [[1, 1], [2, 0], [3, 1]])  # the index of pandas is no feature
    np.testing.assert_array_equal(data.y, CODES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("\n\n", "the file is empty"),
        ("a,b,label\n", "no samples, only the header a, b, label"),
        ("1,2,1\n3,4,-1\n", "first line must name the columns"),
        ("a,b,a,label\n1,2,3,1\n", "its own name, got 'a' repeatedly"),
        (",b,label\n1,2,1\n", "column 1 has none"),
        ("a,b,label\n1,2,1\n3,oops,-1\n", "column 'b' must hold finite numbers, got 'oops' at line 3"),
        ("a,b,label\n1,,1\n3,4,-1\n", "column 'b' must hold finite numbers, got an empty entry at line 2"),
        ("a,b,label\n1,2,1\n\n3,inf,-1\n", "column 'b' must hold finite numbers, got 'inf' at line 4"),
        ("a,b,label\n1,2,1\n3,4\n", "line 3 must have 3 entries, got 2"),
        ("a,b,label\n1,2,1\n3,4,\n", "column 'label' must hold labels, got none at line 3"),
        ("label\n1\n-1\n", "there must be a feature"),
        ("a,label\n1,5\n2,5\n", r"one label only"),
        ('a,label\n1,"5\n2,5\n', "not a readable CSV"),
    ],
)
def test_bad_csv_files_are_refused_with_the_place(tmp_path, text, message):
    path = tmp_path / "data.csv"
    path.write_text(text)
    with pytest.raises(InvalidInputError, match=rf"data\.csv: .*{message}"):
        datasets.from_file(path)


@pytest.mark.parametrize("suffix", ["csv", "npz", "parquet"])
@pytest.mark.parametrize("content", [b"\xff\xfe\x00\x01", b"PK\x03\x04 half an archive"])
def test_other_files_under_a_known_ending_are_refused(tmp_path, suffix, content):
    path = tmp_path / f"data.{suffix}"
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match=rf"data\.{suffix}: "):
        datasets.from_file(path)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (
            {"a": [1.0, None], "label": [1, -1]},
            "column 'a' must hold finite numbers, got an empty entry at row 2",
        ),
        ({"a": ["1", "x"], "label": [1, -1]}, "got 'x' at row 2"),
        ({"a": [[1, 2], [3, 4]], "label": [1, -1]}, r"got '\[1, 2\]' at row 1"),
        ({"a": [1.0, float("nan")], "label": [1, -1]}, "got 'nan' at row 2"),
        ({"a": [1.0, 2.0], "label": ["x", None]}, "must hold labels, got none at row 2"),
        ({"label": [1, -1]}, "there must be a feature"),
        ({}, "the file is empty"),
    ],
)
def test_bad_parquet_files_are_refused_with_the_place(tmp_path, columns, message):
    path = tmp_path / "data.parquet"
    write_parquet(path, **columns)
    with pytest.raises(InvalidInputError, match=rf"data\.parquet: .*{message}"):
        datasets.from_file(path)


def test_parquet_without_pyarrow_names_the_extra(tmp_path, monkeypatch):
    path = tmp_path / "data.parquet"
    path.write_bytes(b"whatever")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InvalidInputError, match=r"convexrelu\[parquet\]"):
        datasets.from_file(path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": X}, "the arrays 'X' and 'y' are needed, got X"),
        ({"y": CODES}, "the arrays 'X' and 'y' are needed, got y"),
        ({"X": X, "y": CODES[:2]}, "as many rows"),
        ({"X": X[0], "y": CODES[:2]}, "X must be a matrix"),
        ({"X": X[:0], "y": []}, "at least one row"),
        ({"X": np.array([[object()]]), "y": [1]}, "not a readable NPZ"),
    ],
)
def test_bad_npz_files_are_refused(tmp_path, arrays, message):
    path = tmp_path / "data.npz"
    np.savez(path, **arrays)
    with pytest.raises(InvalidInputError, match=rf"data\.npz: .*{message}"):
        datasets.from_file(path)


def npz(path, members, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)


def npy(array, shape=None):
    """The bytes of an NPY file, with another shape in its header if one is given."""
    stream = io.BytesIO()
    header = {"descr": array.dtype.str, "fortran_order": False, "shape": shape or array.shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + array.tobytes()


@pytest.mark.parametrize("shape", [(2**40, 2**10), (10**6, 2), (2**62, 4), (3, 3), (1, 2), (-3, -2), (0, 2)])
def test_an_npz_header_that_lies_about_the_shape_is_refused_before_memory_is_asked_for(tmp_path, shape):
    path = tmp_path / "data.npz"
    npz(path, {"X": npy(X, shape), "y": npy(np.array(CODES))})
    tracemalloc.start()
    with pytest.raises(InvalidInputError, match=r"data\.npz: "):
        datasets.from_file(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10**7


def test_an_archive_that_inflates_beyond_what_deflate_can_is_refused(tmp_path):
    """The directory says so; the numbers are those of a bomb that overlaps its members."""
    path = tmp_path / "data.npz"
    npz(path, {"X": npy(np.zeros((1000, 2))), "y": npy(np.ones(1000))})
    with zipfile.ZipFile(path) as archive:
        sizes = archive.getinfo("X.npy")
    packed, plain = sizes.compress_size.to_bytes(4, "little"), sizes.file_size.to_bytes(4, "little")
    content = path.read_bytes().replace(packed + plain, (1).to_bytes(4, "little") + plain)
    path.write_bytes(content)
    with pytest.raises(InvalidInputError, match="not a readable NPZ"):
        datasets.from_file(path)


def test_pickled_arrays_are_refused_unread(tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, X=np.array([[1, "a"]], dtype=object), y=[1])
    with pytest.raises(InvalidInputError, match="pickled"):
        datasets.from_file(path)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [float, np.float32, np.int16, ">f8", bool])
def test_arrays_of_all_layouts_come_back(tmp_path, order, dtype):
    matrix = np.array([[1, 0], [0, 1], [1, 1]], dtype=dtype, order=order)
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "data.npz", X=matrix, y=CODES[:3])
        np.testing.assert_array_equal(datasets.from_file(tmp_path / "data.npz").X, matrix.astype(float))


@pytest.mark.parametrize("suffix", ["npz", "csv", "parquet"])
def test_damaged_files_are_read_or_refused(tmp_path, suffix):
    """Bytes changed, cut off or repeated at random: an answer of numbers or one of our errors."""
    rng = np.random.default_rng(0)
    data, labels = rng.normal(size=(6, 2)), np.array([1, -1] * 3)
    whole = tmp_path / f"whole.{suffix}"
    if suffix == "npz":
        np.savez_compressed(whole, X=data, y=labels)
    elif suffix == "csv":
        rows = [f"{a!r},{b!r},{c}" for (a, b), c in zip(data.tolist(), labels, strict=True)]
        whole.write_text("\n".join(["a,b,label", *rows]))
    else:
        write_parquet(whole, a=data[:, 0], b=data[:, 1], label=labels)
    content, refused = whole.read_bytes(), 0
    path = tmp_path / f"data.{suffix}"
    for _ in range(400):
        damaged = bytearray(content)
        kind = rng.integers(4)
        at = int(rng.integers(len(damaged)))
        if kind == 0:
            damaged[at] = int(rng.integers(256))
        elif kind == 1:
            damaged[at] ^= 1 << int(rng.integers(8))
        elif kind == 2:
            del damaged[at:]
        else:
            damaged[at:at] = damaged[at : at + int(rng.integers(1, 40))]
        path.write_bytes(bytes(damaged))
        try:
            read = datasets.from_file(path)
        except InvalidInputError:
            refused += 1
            continue
        assert np.isfinite(read.X).all()
        assert len(read.X) == len(read.y)
    assert refused > 50


def test_missing_things_are_named(tmp_path):
    with pytest.raises(InvalidInputError, match=r"missing\.csv: there is no such file"):
        datasets.from_file(tmp_path / "missing.csv")
    path = tmp_path / "data.csv"
    write_csv(path)
    with pytest.raises(InvalidInputError, match=r"data\.csv: there is no column 'target'; .* a, b, label"):
        datasets.from_file(path, label="target")
    (tmp_path / "data.xlsx").write_text("")
    with pytest.raises(InvalidInputError, match=r"data\.xlsx: .*end in \.csv, .* or \.parquet, got \.xlsx"):
        datasets.from_file(tmp_path / "data.xlsx")


def test_a_name_wins_over_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_csv(tmp_path / "wine")
    write_csv(tmp_path / "data.csv")
    assert datasets.resolve("wine").X.shape == (178, 14)
    np.testing.assert_array_equal(datasets.resolve("data.csv", label="label").y, CODES)
    np.testing.assert_array_equal(datasets.resolve(tmp_path / "data.csv").X, X)
    with pytest.raises(InvalidInputError, match=r"nothing\.csv: there is no such file, .*wine-0-1"):
        datasets.resolve("nothing.csv")
    with pytest.raises(InvalidInputError, match="label column is for files"):
        datasets.resolve("wine", label="label")


EUROPEAN = """\
id;width;"height, cm";kind
P1;1,5;-2;no
P2;0,1;1e-300;yes
P3;3;4,0;yes
"""


@pytest.mark.parametrize("sep", [None, ";"])
def test_semicolons_and_decimal_commas(tmp_path, sep):
    (tmp_path / "data.csv").write_text(EUROPEAN)
    data = datasets.from_file(tmp_path / "data.csv", drop=["id"], sep=sep)
    np.testing.assert_array_equal(data.X, X)
    assert data.classes == ("no", "yes")
    targets = datasets.task_from_file(tmp_path / "data.csv", target="width", drop=["id", "kind"])
    np.testing.assert_array_equal(targets.y, X[:, 0])


@pytest.mark.parametrize("name", ["data.tsv", "data.csv"])
def test_tabs_and_an_index_without_a_name(tmp_path, name):
    (tmp_path / name).write_text("\ta\tb\tlabel\n0\t1.5\t-2\tno\n1\t0,1\t1e-300\tyes\n2\t3\t4\tyes\n")
    np.testing.assert_array_equal(datasets.from_file(tmp_path / name).X, X)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,a,label\nP1,1,0\nP2,2,1\n", "'id' .*got 'P1' at line 2, and 1 more like it: leave .*--drop id"),
        ("a,my b,label\n1,NA,0\n2,3,1\n", "got 'NA' at line 2: a value is missing.*--drop 'my b'"),
        ("a,b,label\n1,,0\n2,3,1\n", "an empty entry at line 2: a value is missing. Fill it in"),
        ("a;b;label\n1;1.234,5;0\n2;3;1\n", "got '1.234,5' at line 2: write it as a plain number"),
        ('a,b,label\n1,"1,5",0\n2,3,1\n', "got '1,5' at line 2: write it as a plain number"),
    ],
)
def test_what_is_no_number_is_said_with_what_to_do(tmp_path, text, said):
    (tmp_path / "data.csv").write_text(text)
    with pytest.raises(InvalidInputError, match=said):
        datasets.from_file(tmp_path / "data.csv")


def test_columns_to_drop_must_be_there(tmp_path):
    (tmp_path / "data.csv").write_text("a,b,label\n1,2,0\n2,3,1\n")
    with pytest.raises(InvalidInputError, match=r"no column 'a, b' to drop: .* --drop a --drop b"):
        datasets.from_file(tmp_path / "data.csv", drop="a, b")
    with pytest.raises(InvalidInputError, match="no column 'c' to drop; the columns are a, b, label"):
        datasets.from_file(tmp_path / "data.csv", drop=["c"])
    with pytest.raises(InvalidInputError, match="one character"):
        datasets.from_file(tmp_path / "data.csv", sep=";;")
    np.savez(tmp_path / "data.npz", X=X, y=LABELS)
    np.testing.assert_array_equal(datasets.from_file(tmp_path / "data.npz", drop=["x1"]).X, X[:, 1:])


MISSING = "nr;a;b;kind\n1;1,5;2;no\n2;;3;yes\n3;4;NA;no\n4;5;6;\n5;7;8;none\n"


def test_rows_with_a_missing_value_are_refused_or_left_out(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text(MISSING)
    with pytest.raises(InvalidInputError, match=r"line 3: a value is missing.*skip_missing"):
        datasets.from_file(path, drop="nr")
    data = datasets.from_file(path, drop="nr", skip_missing=True)
    assert data.X.tolist() == [[1.5, 2.0], [7.0, 8.0]]
    assert data.classes == ("no", "none")  # a class may be called so
    assert "3 rows with a missing value left out (line 3, line 4, line 5)" in data.description
    # what is missing in a column that is not used does not matter
    assert len(datasets.from_file(path, drop=["nr", "b"], skip_missing=True).X) == 3
    task = datasets.task_from_file(path, target="a", drop=("b", "kind"), skip_missing=True)
    assert task.y.tolist() == [1.5, 4.0, 5.0, 7.0]
    path.write_text("a;b\n;yes\nNA;no\n")
    with pytest.raises(InvalidInputError, match="missing in every row"):
        datasets.from_file(path, skip_missing=True)


def test_missing_numbers_of_parquet_and_npz_are_left_out(tmp_path):
    np.savez(tmp_path / "data.npz", X=[[1.0, 2.0], [np.nan, 3.0], [4.0, 5.0]], y=[0, 1, 1])
    assert datasets.from_file(tmp_path / "data.npz", skip_missing=True).X.tolist() == [[1, 2], [4, 5]]
    write_parquet(tmp_path / "data.parquet", a=[1.0, None, 3.0], label=["x", "y", "y"])
    assert datasets.from_file(tmp_path / "data.parquet", skip_missing=True).X.tolist() == [[1], [3]]


def test_a_column_to_drop_may_be_given_alone(tmp_path):
    write_csv(tmp_path / "data.csv", header="a,b b,label")
    assert datasets.from_file(tmp_path / "data.csv", drop="b b").X.shape == (3, 1)


def test_the_line_that_tells_excel_the_separator_is_read_as_that(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("sep=|\na,x|b|label\n1|2|no\n3|4|yes\n5|oops|no\n")
    with pytest.raises(InvalidInputError, match="'b' must hold finite numbers, got 'oops' at line 5"):
        datasets.from_file(path)
    path.write_text("sep=|\r\na,x|b|label\r\n1|2|no\r\n3|4|yes\r\n")
    assert datasets.from_file(path).X.tolist() == [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"drop": ["A"]}, "is 'a' meant"),
        ({"label": "lable"}, "is 'label' meant"),
        ({"drop": "xyz"}, "; the col"),
    ],
)
def test_a_column_that_is_not_there_may_be_another(tmp_path, arguments, said):
    write_csv(tmp_path / "data.csv")
    with pytest.raises(InvalidInputError, match=said):
        datasets.from_file(tmp_path / "data.csv", **arguments)


@pytest.mark.parametrize(("name", "said"), [("a.xlsx", "save it as CSV"), ("a.csv.gz", "unpack it first")])
def test_other_endings_say_what_to_do(tmp_path, name, said):
    (tmp_path / name).write_text("x")
    with pytest.raises(InvalidInputError, match=said):
        datasets.from_file(tmp_path / name)
