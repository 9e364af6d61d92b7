"""Columns that say of what condition a row is: rows, words and numbers stay what they are."""

from pathlib import Path

import numpy as np
import pytest

from brenier.io import read_conditions, read_points


def lines(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(rows) + "\n")
    return path


def test_a_row_whose_first_cell_begins_with_a_hash_is_a_row(tmp_path):
    path = lines(tmp_path / "x.csv", "kind,a", "#1,1.0", "#2,2.0", "b,3.0")
    (kinds,), names, others = read_conditions(path, ["kind"])
    assert (kinds.tolist(), names) == (["#1", "#2", "b"], ("kind",))
    assert len(kinds) == len(read_points(path, others).values)


def test_what_is_a_number_as_in_points(tmp_path):
    path = lines(tmp_path / "x.csv", "well,dose,a", "1_2,1e1,0.5", "3_4,5,0.5")
    (wells, doses), names, others = read_conditions(path, ["well", "dose"])
    assert wells.tolist() == ["1_2", "3_4"]  # Python's float() takes them for 12 and 34
    assert doses.tolist() == [10.0, 5.0]
    assert (names, others) == (("well", "dose"), ("a",))


def test_columns_without_names_are_places(tmp_path):
    path = lines(tmp_path / "x.csv", "0.5,u,1.5", "2.5,v,3.5", "1.5,u,2.5")
    (kinds,), names, others = read_conditions(path, ["1"])
    assert (kinds.tolist(), names) == (["u", "v", "u"], None)
    assert read_points(path, others).values.tolist() == [[0.5, 1.5], [2.5, 3.5], [1.5, 2.5]]


def test_parquet_says_itself_what_numbers_are(tmp_path):
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame(
        {"batch": ["1", "2"], "day": [1, 2], "seen": [True, False], "a": [0.5, 1.5]},
        index=pd.Index(["r0", "r1"], name="row"),
    )
    frame.to_parquet(tmp_path / "x.parquet")
    columns, names, others = read_conditions(tmp_path / "x.parquet", ["batch", "day", "seen"])
    assert [own.tolist() for own in columns] == [["1", "2"], [1.0, 2.0], ["True", "False"]]
    assert names == ("batch", "day", "seen")
    assert others == ("a",)  # an index is no coordinate
    assert read_points(tmp_path / "x.parquet", others).values.tolist() == [[0.5], [1.5]]


@pytest.mark.parametrize("cell", ["", "  "])
def test_a_missing_entry_is_named(tmp_path, cell):
    path = lines(tmp_path / "x.csv", "kind,a", "u,1.0", f"{cell},2.0")
    with pytest.raises(ValueError, match=r"x.csv, column 'kind': got no entry in row 1"):
        read_conditions(path, ["kind"])


def test_other_endings_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.eye(2))
    with pytest.raises(ValueError, match=r"got the ending '.npy'; wants .csv or .parquet"):
        read_conditions(tmp_path / "x.npy", ["0"])


def test_a_place_is_called_by_the_name_that_stands_there(tmp_path):
    path = lines(tmp_path / "x.csv", "kind,a,day", "u,1.0,2", "v,2.0,3")
    (days, kinds), names, others = read_conditions(path, ["2", "kind"])
    assert (days.tolist(), kinds.tolist()) == ([2.0, 3.0], ["u", "v"])
    assert (names, others) == (("day", "kind"), ("a",))


def test_dates_of_parquet_are_no_conditions(tmp_path):
    pd = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    days = pd.to_datetime(["2024-01-01", "2024-01-02"])
    frame = pd.DataFrame({"day": days, "span": days - days[0], "a": [0.5, 1.5]})
    frame.to_parquet(tmp_path / "x.parquet")
    for column, got in (("day", "the date 2024-01-01"), ("span", "the duration 0")):
        with pytest.raises(ValueError, match=rf"column '{column}': got {got}.*; wants numbers"):
            read_conditions(tmp_path / "x.parquet", [column])
