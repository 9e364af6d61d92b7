"""Parquet as people have it: kinds of columns, indices, chosen columns; and what is none."""

from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from brenier.io import Table, read_points, write_points

X = [1.5, 2.0]
KINDS = {
    "booleans": (pa.array([True, False]), [1.0, 0.0]),
    "decimals": (pa.array([Decimal("1.25"), Decimal("2.5")]), [1.25, 2.5]),
    "a dictionary of integers": (pa.array([7, 7]).dictionary_encode(), [7.0, 7.0]),
    "a dictionary of floats": (pa.array(X).dictionary_encode(), X),
    "halves": (pa.array(np.array(X, np.float16)), X),
    "unsigned": (pa.array([2**53, 0], pa.uint64()), [2.0**53, 0.0]),
    "chunks": (pa.chunked_array([[1.5], [2.0]]), X),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_number_is_read(kind, tmp_path):
    column, values = KINDS[kind]
    pq.write_table(pa.table({"a": column, "b": X}), tmp_path / "a.parquet")
    table = read_points(tmp_path / "a.parquet")
    np.testing.assert_array_equal(table.values, np.column_stack([values, X]))
    assert table.names == ("a", "b")


INDICES = {
    "named": pd.Index([5, 6], name="k"),
    "of words": pd.Index(["p", "q"]),
    "of two levels": pd.MultiIndex.from_tuples([(1, 2), (3, 4)]),
}


@pytest.mark.parametrize("index", INDICES)
def test_an_index_of_pandas_is_no_coordinate(index, tmp_path):
    frame = pd.DataFrame({"a": X, "b": pd.array([1, 2], "Int64")}, index=INDICES[index])
    frame.to_parquet(tmp_path / "a.parquet")
    table = read_points(tmp_path / "a.parquet")
    assert (table.names, table.values.tolist()) == (("a", "b"), [[1.5, 1.0], [2.0, 2.0]])


def test_a_folder_named_like_a_partition_adds_no_column(tmp_path):
    (tmp_path / "year=2020").mkdir()
    pq.write_table(pa.table({"a": X}), tmp_path / "year=2020" / "a.parquet")
    assert read_points(tmp_path / "year=2020" / "a.parquet").names == ("a",)


def test_many_row_groups_make_one_table(tmp_path, monkeypatch):
    monkeypatch.setattr("brenier.io.points._parquet._BLOCK", 8)
    values = np.random.default_rng(0).normal(size=(50, 3))
    write_points(tmp_path / "a.parquet", values)
    assert pq.ParquetFile(tmp_path / "a.parquet").num_row_groups == 7
    np.testing.assert_array_equal(read_points(tmp_path / "a.parquet").values, values)


def _table():
    words = pa.array(["x", "y"])
    return pa.table({"a": X, " b": [3, 4], "word": words, "c.d": X, "none": pa.nulls(2)})


def test_columns_are_chosen_by_name_or_place(tmp_path):
    pq.write_table(_table(), tmp_path / "a.parquet")
    table = read_points(tmp_path / "a.parquet", ["c.d", "b", "0"])
    assert table.names == ("c.d", "b", "a")
    assert table.values.tolist() == [[1.5, 3.0, 1.5], [2.0, 4.0, 2.0]]


@pytest.mark.parametrize(
    ("columns", "phrase"),
    [
        (None, "column 'word': got entries of type .*string; wants numbers .--columns"),
        (["word"], "column 'word': got entries of type .*string"),
        (["none"], "column 'none': got entries of type null"),
        (["e"], r"got no columns \['e'\]; wants some of \['a', 'b', 'word', 'c.d', 'none'\]"),
        (["a", "0"], r"got the columns \['a', '0'\]; wants each once"),
        ([], r"got no columns \[\]"),
    ],
)
def test_columns_that_cannot_be_are_named(columns, phrase, tmp_path):
    pq.write_table(_table(), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=rf"a\.parquet.*{phrase}"):
        read_points(tmp_path / "a.parquet", columns)


BAD_ENTRIES = {
    "NaN": (pa.array([1.0, float("nan")]), "at row 1, column 'b'"),
    "missing": (pa.array([None, 1]), "at row 0, column 'b'"),
    "infinite": (pa.array([1.0, float("inf")], pa.float32()), "at row 1, column 'b'"),
    "too large": (pa.array([1.0, 1e200]), "at row 1, column 'b'"),
    "an integer": (pa.array([2**53 + 1, 1]), "column 'b': got int64 integers beyond"),
    "one of a dictionary": (
        pa.array([2**53 + 1, 1]).dictionary_encode(),
        "column 'b': got int64 integers beyond",
    ),
    "one among missing": (pa.array([2**53 + 1, None]), "column 'b'"),
    "a decimal": (
        pa.array([Decimal(2**53 + 1), Decimal(1)], pa.decimal128(30, 0)),
        "column 'b': got the integer 9007199254740993",
    ),
}


@pytest.mark.parametrize("case", BAD_ENTRIES)
def test_a_bad_entry_is_told_by_the_column(case, tmp_path):
    column, phrase = BAD_ENTRIES[case]
    pq.write_table(pa.table({"a": X, "b": column}), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=rf"a\.parquet.*{phrase}"):
        read_points(tmp_path / "a.parquet")


REFUSED = {
    "the same name twice": pa.Table.from_arrays([pa.array(X)] * 2, names=["a", "a"]),
    "names alike but for spaces": pa.table({"a": X, "a ": X}),
    "lists": pa.table({"a": [[1.0, 2.0]]}),
    "records": pa.table({"a": [{"x": 1.0}]}),
    "missing": pa.table({"a": [1, None]}),
    "missing booleans": pa.table({"a": [True, None]}),
    "no rows": pa.table({"a": pa.array([], pa.float64())}),
    "no columns": pa.table({}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_table_of_numbers_is_one_line(case, tmp_path, read_or_refused):
    path = tmp_path / "a.parquet"
    pq.write_table(REFUSED[case], path)
    assert read_or_refused(lambda: read_points(path), path) is None


def test_a_few_bytes_that_make_a_huge_table_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("brenier.io._refusals._UNPACKED", 2**20)
    write_points(tmp_path / "a.parquet", np.zeros((2**17 + 1, 1)))
    with pytest.raises(ValueError, match=r"a\.parquet: got 1,048,584 bytes packed into"):
        read_points(tmp_path / "a.parquet")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_blocks_come_back_bit_for_bit(dtype, tmp_path, monkeypatch):
    monkeypatch.setattr("brenier.io.points._parquet._BLOCK", 8)
    values = np.random.default_rng(0).normal(size=(21, 2)).astype(dtype)
    write_points(tmp_path / "a.parquet", values, Table(values, names=("p", "q")))
    table = read_points(tmp_path / "a.parquet")
    assert table.values.dtype == dtype
    assert table.values.tobytes() == values.tobytes()


@pytest.mark.parametrize(
    "index",
    [
        pytest.param(["id0", "id1", "id2"], id="names"),
        pytest.param([5, 3, 9], id="numbers"),
        pytest.param([("a", 1), ("a", 2), ("b", 1)], id="levels"),
    ],
)
@pytest.mark.parametrize("named", [False, True])
def test_the_names_of_rows_come_back(tmp_path, index, named):
    pd = pytest.importorskip("pandas")
    rows = pd.MultiIndex.from_tuples(index) if isinstance(index[0], tuple) else pd.Index(index)
    if named:
        rows = rows.set_names([f"level {i}" for i in range(rows.nlevels)])
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [4.0, 5.0, 6.0]}, index=rows)
    path, out = str(tmp_path / "x.parquet"), str(tmp_path / "out.parquet")
    frame.to_parquet(path)
    table = read_points(path)
    assert table.names == ("a", "b")
    for one in (table, table.aligned(("b", "a"), "a map"), read_points(path, ["b"])):
        write_points(out, one.values + 1.0, one)
        written = pd.read_parquet(out)
        pd.testing.assert_index_equal(written.index, rows)
        assert list(written.columns) == list(one.names)
    # Of other rows there are no names.
    write_points(out, np.ones((2, 2)), table)
    assert pd.read_parquet(out).index.tolist() == [0, 1]
