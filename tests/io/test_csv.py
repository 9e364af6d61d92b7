"""CSV as people have it: names of columns that are numbers, other separators, faults by line."""

import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brenier.io import Table, read_points, write_points

POINTS = np.random.default_rng(0).normal(size=(5, 3))


@pytest.mark.parametrize("width", [2, 3, 12])
def test_names_that_pandas_counts_are_names(width, tmp_path):
    import pandas as pd

    values = np.random.default_rng(0).normal(size=(4, width))
    values[0, 1:] = 7.0  # whole numbers are written "7.0"
    pd.DataFrame(values).to_csv(tmp_path / "a.csv", index=False)
    table = read_points(tmp_path / "a.csv")
    assert table.names == tuple(str(i) for i in range(width))
    np.testing.assert_array_equal(table.values, values)
    mixed = pd.DataFrame(values).assign(**{"1": 3}).rename(columns={"1": width})
    mixed.to_csv(tmp_path / "a.csv", index=False)
    assert len(read_points(tmp_path / "a.csv").values) == 4


AMBIGUOUS = {"counts": "0,1\n5,3\n0,1\n", "one column": "0\n0.5\n", "one whole": "0\n1\n"}


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_what_may_be_a_point_or_names_is_refused(case, tmp_path):
    (tmp_path / "a.csv").write_text(AMBIGUOUS[case])
    with pytest.raises(ValueError, match=r"a\.csv: got a first row \['0'.* may be a point, or nam"):
        read_points(tmp_path / "a.csv")


POINTS_FIRST = {
    "fractions": ("0.0,1.0\n0.5,0.2\n", 2),
    "one row": ("0,1\n", 1),
    "whole": ("1,2\n3,0.2\n", 2),
    "alike": ("7,7\n0.5,0.2\n", 2),
    "all quoted": ('"1","2"\n"3","4"\n', 2),
}


@pytest.mark.parametrize("case", POINTS_FIRST)
def test_a_first_point_stays_a_point(case, tmp_path):
    text, rows = POINTS_FIRST[case]
    (tmp_path / "a.csv").write_text(text)
    table = read_points(tmp_path / "a.csv")
    assert (table.names, len(table.values)) == (None, rows)


def test_a_whole_number_among_the_fractions_hides_no_warning(tmp_path):
    (tmp_path / "a.csv").write_text("1,2,3\n.5,.7,.1\n1.5,2.5,1\n")
    with pytest.warns(UserWarning, match=r"a\.csv: got a first row \['1', '2', '3'\] of whole"):
        assert len(read_points(tmp_path / "a.csv").values) == 3


@pytest.mark.parametrize("first", ["1,2", "1,0", "2019,2020"])
def test_whole_numbers_above_fractions_are_a_point_with_a_word(first, tmp_path):
    (tmp_path / "a.csv").write_text(f"{first}\n0.5,0.2\n")
    with pytest.warns(UserWarning, match=r"a\.csv: got a first row \['\d+', '\d+'\] of whole .*"):
        table = read_points(tmp_path / "a.csv")
    assert (table.names, len(table.values)) == (None, 2)
    assert read_points(_written(tmp_path, f'"{first.replace(",", chr(34) + "," + chr(34))}"')).names


def _written(folder, header):
    (folder / "b.csv").write_text(f"{header}\n0.5,0.2\n")
    return folder / "b.csv"


_NAMES = st.lists(
    st.one_of(
        st.integers(-5, 2030).map(str),
        st.floats().map(str),
        st.sampled_from(["nan", "inf", "a", "a,b", 'a"b', "a\nb", "1e3", "ε", "#", ";"]),
    ),
    min_size=1,
    max_size=4,
    unique=True,
)


@settings(max_examples=60, deadline=None)
@given(names=_NAMES, kind=st.sampled_from(["csv", "parquet"]))
def test_any_names_come_back_through_our_own_files(names, kind, tmp_path_factory):
    path = tmp_path_factory.mktemp("names") / f"a.{kind}"
    values = np.arange(2.0 * len(names)).reshape(2, -1)
    write_points(path, values, Table(values, names=tuple(names)))
    table = read_points(path)
    again = path.with_name("b.csv")
    write_points(again, table.values, table)
    for read in (table, read_points(again)):
        assert read.names == tuple(names)
        np.testing.assert_array_equal(read.values, values)


def test_a_hundred_thousand_columns_are_read_and_matched_at_once(tmp_path):
    names = [f"g{i}" for i in range(100_000)]
    (tmp_path / "a.csv").write_text(",".join(names) + "\n" + ",".join(["0.5"] * 100_000) + "\n")
    began = time.perf_counter()
    table = read_points(tmp_path / "a.csv")
    turned = table.aligned(names[::-1], "b.csv")
    assert time.perf_counter() - began < 10.0  # a second or less; a square took 90
    assert turned.names == tuple(names[::-1])


FAULTS = {
    "line": ("a,b\n1,2\n\n3,x\n", r"column 'b': got the entry 'x' in row 1 \(line 4"),
    "line of a ragged row": ("a,b\n1,2\n3\n", r"got 1 cells in row 1; wants 2, as above \(line 3"),
    "line of nan": ("a,b\n1,2\n3,nan\n", r"at row 1, column 'b' \(line 3"),
    "line without header": ("1,2\n3,inf\n", r"at row 1, column 1 \(line 2"),
    "line break in the header": ('"a\nb",c\n1,2\n3,x\n', r"column 'c': .* in row 1 \(line 3"),
    "semicolons": ("a;b\n1;2\n3;4\n", "cells separated by semicolons; wants commas"),
    "decimal commas": ("1,5;2,5\n3,5;4,5\n", "separated by semicolons; wants .* points as decimal"),
    "tabs": ("a\tb\n1\t2\n", "separated by tabs"),
    "bars": ("1|2\n3|4\n", "separated by bars"),
    "spaces": ("1.0 2.0\n3.0 4.0\n", "separated by spaces"),
    "many digits": ("a\n1\n" + "9" * 5000 + "\n", r"integer of 5,000 digits in row 1 \(line 3"),
    "many digits, small": ("a\n1.5\n" + "9" * 300 + "\n", r"integer 9+… \(300 digits\) in row 1"),
    "a long cell": ("a\n1\n" + "x" * 1000 + "\n", r"'x+'… \(1,000 letters\) in row 1 \(line 3"),
    "a longer cell": ("a\n1\n" + "x" * 200_000 + "\n", r"field larger .* in line 3"),
    "an integer at the edge": (f"a,b\n{2**53 + 1},2\n", rf"the integer {2**53 + 1} in row 0"),
    "a negative one": (f"a,b\n1,-{2**53 + 1}\n", rf"column 'b': got the integer -{2**53 + 1}"),
    "HTML": ("<html><body>404</body></html>\n", r"no rows below the first, \['<html>"),
    "JSON": ("[[1,2],[3,4]]", r"no rows below the first, \['\[\[1', '2\]', "),
    "JSON of records": ('[{"a":1,"b":2}]', "got .* in line 1; wants a table of numbers"),
    "a longer header": ("x" * 200_000 + "\n1\n", r"field larger .* in line 1"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_faults_name_the_file_the_line_and_the_cause(case, tmp_path):
    text, phrase = FAULTS[case]
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=rf"(?s)a\.csv.*{phrase}") as raised:
        read_points(tmp_path / "a.csv")
    assert len(str(raised.value)) < 400


def test_a_line_break_in_the_header_loses_no_point(tmp_path):
    (tmp_path / "a.csv").write_text('"height\n(cm)",b\n1,2\n3,4\n')
    table = read_points(tmp_path / "a.csv")
    assert table.names == ("height\n(cm)", "b")
    np.testing.assert_array_equal(table.values, [[1.0, 2.0], [3.0, 4.0]])


NOTES = [b"no json", b"[1]", b'"a"', b"5", b'{"index_columns": 5}', b"\xff"]


@pytest.mark.parametrize("notes", NOTES)
def test_notes_of_pandas_that_are_none_are_named(notes, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"a": [1.0]}).replace_schema_metadata({b"pandas": notes})
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"a\.parquet: got pandas' notes"):
        read_points(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    "notes", [b'{"index_columns": null}', b'{"index_columns": ["gone"]}', b"{}"]
)
def test_an_index_that_is_not_there_is_none(notes, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({"a": [1.0]}).replace_schema_metadata({b"pandas": notes})
    pq.write_table(table, tmp_path / "a.parquet")
    assert read_points(tmp_path / "a.parquet").names == ("a",)


@pytest.mark.parametrize("whole", [2**53, -(2**53), 2**53 + 2, 2**60])
def test_integers_that_float64_holds_are_read(whole, tmp_path):
    (tmp_path / "a.csv").write_text(f"a,b\n{whole},2\n{2**53 + 1}.0,1\n")
    assert int(read_points(tmp_path / "a.csv").values[0, 0]) == whole


_TEXT = "a,b\n1.5,2\n-3,4e2\n"
SOUND = {
    "no line break at the end": _TEXT[:-1].encode(),
    "the mark of UTF-8": _TEXT.encode("utf-8-sig"),
    "UTF-16": _TEXT.encode("utf-16"),
    "UTF-16, big-endian": b"\xfe\xff" + _TEXT.encode("utf-16-be"),
    "line breaks of Windows": _TEXT.replace("\n", "\r\n").encode(),
    "of old Macs": _TEXT.replace("\n", "\r").encode(),
    "empty lines": b"\n" + _TEXT.replace("\n", "\n  \n").encode(),
    "spaces": b" a , b\n 1.5 , 2\n-3,\t4e2 \n",
    "all quoted": b'"a","b"\n"1.5","2"\n"-3","4e2"\n',
    "signs": b"a,b\n+1.5,2.\n-3,+.4E+03\n",
    "a remark above": b"# made by a machine\n#\n" + _TEXT.encode(),
    "remarks among and below": _TEXT.replace("-3", "# 7,7,7\n#\n-3").encode() + b"#end",
    "names as savetxt writes them": b"# 2020\n# a,b\n" + _TEXT[4:].encode(),
    "names behind a mark": b"#a,b\n" + _TEXT[4:].encode(),
}


@pytest.mark.parametrize("case", SOUND)
def test_odd_but_sound_files_are_read(case, tmp_path):
    (tmp_path / "a.csv").write_bytes(SOUND[case])
    table = read_points(tmp_path / "a.csv")
    assert table.names == ("a", "b")
    np.testing.assert_array_equal(table.values, [[1.5, 2.0], [-3.0, 400.0]])


def test_names_that_begin_as_remarks_come_back(tmp_path):
    values = np.array([[1.0, 2.0]])
    write_points(tmp_path / "a.csv", values, Table(values, names=("# a", "#")))
    assert read_points(tmp_path / "a.csv").names == ("# a", "#")


HASHES = {
    "ids": ("id,a,b\n#12,1,2\n13,3,4\n", ["a", "b"], [[1, 2], [3, 4]]),
    "ids, by place": ("id,a,b\n12,1,2\n#13,3,4\n", ["1", "2"], [[1, 2], [3, 4]]),
    "colours": ("hex,r\n#ff0000,1\n#00ff00,2\nred,3\n", ["r"], [[1], [2], [3]]),
    "quoted": ('hex,r\n"#ff0000",1\nred,3\n', ["r"], [[1], [3]]),
    "a comma in quotes": ('id,n,r\n#1,"x, y",1\n#2,z,2\n', ["r"], [[1], [2]]),
    "a line break in quotes": ('id,n,r\n#1,"x\n#y",1\n#2,z,2\n', ["r"], [[1], [2]]),
    "a remark of three cells": ("a,b\n1,2\n#x,y,z\n3,4\n", None, [[1, 2], [3, 4]]),
    "a remark with a quote": ('a,b\n1,2\n# 5" pipes\n3,4\n', None, [[1, 2], [3, 4]]),
    "remarks in one column": ("a\n1\n# half\n#\n3\n# the end", None, [[1], [3]]),
    "a footer of savetxt": ("# a,b\n1,2\n3,4\n# 2 rows\n", None, [[1, 2], [3, 4]]),
}


@pytest.mark.parametrize("case", HASHES)
def test_rows_that_begin_with_a_hash_are_rows(case, tmp_path):
    text, columns, values = HASHES[case]
    (tmp_path / "a.csv").write_text(text)
    np.testing.assert_array_equal(read_points(tmp_path / "a.csv", columns).values, values)


LOST_HASHES = {
    "N/A": ("a,b\n#N/A,2\n3,4\n", r"column 'a': got the entry '#N/A' in row 0 \(line 2"),
    "DIV/0": ("a,b\n1,2\n#DIV/0!,1\n", r"column 'a': got the entry '#DIV/0!' in row 1 \(line 3"),
    "one column": ("a\n1\n#REF!\n3\n", r"column 'a': got the entry '#REF!' in row 1 \(line 3"),
    "a row taken out": ("a,b\n1,2\n# 7,7\n3,4\n", r"got the entry '# 7' .*\(line 3.*remark"),
    "no header": ("1,2\n#N/A,2\n3,4\n", r"column 0: got the entry '#N/A' in row 1 \(line 2"),
    "above, no header": ("#N/A,2\n3,4\n", r"got the line '#N/A,2' above the first row"),
    "one of several above": ("#12,1,2\n# so\n13,3,4\n", r"got the line '#12,1,2' above the first"),
    "ids above, no header": ("#12,1,2\n13,3,4\n", r"got the line '#12,1,2' above the first row"),
}


@pytest.mark.parametrize("case", LOST_HASHES)
def test_no_row_is_lost_to_a_hash(case, tmp_path):
    text, phrase = LOST_HASHES[case]
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=rf"a\.csv.*{phrase}"):
        read_points(tmp_path / "a.csv")


def test_any_cells_in_the_first_column_lose_no_row(tmp_path):
    random = np.random.default_rng(0)
    words = ["#", "#1", "# 1", "#N/A", "#ff0000", "##", '#"', "x#", '"#q"', '#,"a', "1", "-", "#é"]
    for _ in range(200):
        first = random.choice(words, 6)
        cells = [
            f'"{word.replace(chr(34), chr(34) * 2)}"' if "," in word else word for word in first
        ]
        text = "id,a,b\n" + "".join(f"{cell},{i},{i}.5\n" for i, cell in enumerate(cells))
        (tmp_path / "a.csv").write_text(text)
        read = read_points(tmp_path / "a.csv", ["a", "b"]).values
        np.testing.assert_array_equal(read, [[i, i + 0.5] for i in range(6)])


REMARKS = {
    "too many": "# a,b,c",
    "too few": "# a",
    "none": "#",
    "numbers": "# 1,2",
    "empty": "# a,",
}


@pytest.mark.parametrize("case", REMARKS)
def test_a_remark_that_names_no_columns_is_left_out(case, tmp_path):
    (tmp_path / "a.csv").write_text(f"{REMARKS[case]}\n1.5,2\n")
    assert read_points(tmp_path / "a.csv").names is None


CHOSEN = {
    "words": "a,word,b\n1.5,x y,2\n-3,z,4e2\n",
    "separators in words": 'a,word,b\n1.5,"x,y",2\n-3,"",4e2\n',
    "line breaks in words": 'a,word,b\n1.5,"x\n# y",2\n-3,z,4e2\n',
    "missing elsewhere": "a,word,b\n1.5,,2\n-3,nan,4e2\n",
    "dates": "a,day,b\n1.5,2020-01-01,2\n-3,2020-01-02,4e2\n",
    "counted names": "0,1,2\n1.5,x,2.5\n-3.5,y,4e2\n",
    "no names": "1.5,x,2\n-3,x,4e2\n",
}


@pytest.mark.parametrize("columns", [["0"], ["2", "0"]])
def test_fractions_beside_a_word_are_a_point_with_a_word(columns, tmp_path):
    (tmp_path / "a.csv").write_text("1.5,x,2\n-3,y,4e2\n")
    with pytest.warns(UserWarning, match=r"a\.csv: got a first row \['1.5', 'x', '2'\] .* a point"):
        table = read_points(tmp_path / "a.csv", columns)
    assert table.names is None
    assert table.values[0].tolist() == ([1.5] if len(columns) == 1 else [2.0, 1.5])


@pytest.mark.parametrize("case", CHOSEN)
def test_columns_are_chosen_beside_anything(case, tmp_path):
    (tmp_path / "a.csv").write_text(CHOSEN[case])
    first, last = (
        read_points(tmp_path / "a.csv", ["0"]),
        read_points(tmp_path / "a.csv", ["2", "0"]),
    )
    np.testing.assert_allclose(last.values[:, 1:], first.values)
    assert last.values[1].tolist() == [400.0, -3.5 if case == "counted names" else -3.0]
    if CHOSEN[case].startswith("a,"):
        assert read_points(tmp_path / "a.csv", ["b", "a"]).names == ("b", "a")


NAMED = {
    "an unknown name": (
        "id,a,2020\nx,1,2\n",
        ["zz"],
        r"got no columns \['zz'\]; wants some of \['id', 'a",
    ),
    "unknown beside known": ("id,a,2020\nx,1,2\n", ["a", "zz"], r"no columns \['zz'\]; wants some"),
    "no names": (
        "1,2\n3,4\n",
        ["zz"],
        r"got no columns \['zz'\]; wants some of places from 0 to 1",
    ),
    "an unknown year": (
        "id,2019\nx,1\n",
        ["2021"],
        r"got no columns \['2021'\]; wants some of \['id'",
    ),
}


@pytest.mark.parametrize("case", NAMED)
def test_a_column_that_is_not_there_is_named_whatever_the_header(case, tmp_path):
    text, columns, phrase = NAMED[case]
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=rf"a\.csv: .*{phrase}"):
        read_points(tmp_path / "a.csv", columns)


YEARS = "id,2019,2020\nx,5,20\ny,4,40\n"
HEADERS = {
    "years by name": (YEARS, ["2019", "2020"], ("2019", "2020"), [[5, 20], [4, 40]]),
    "one year by name": (YEARS, ["2020"], ("2020",), [[20], [40]]),
    "a number among names": ("id,a,b,0\nu,1,2,9\n", ["a", "b"], ("a", "b"), [[1, 2]]),
    "a number among names, by place": ("id,a,b,0\nu,1,2,9\n", ["3"], ("0",), [[9]]),
    "words by place": ("id,a,b,0\nu,1,2,9\n", ["1"], ("a",), [[1]]),
    "all of them": ("a,b,7\n1,2,9\n", None, ("a", "b", "7"), [[1, 2, 9]]),
    "quoted years": ('"id","2019"\n"x",5\n', ["1"], ("2019",), [[5]]),
    "all quoted": ('"id","2019"\n"x","5"\n', ["2019"], ("2019",), [[5]]),
    "labels in quotes": ('"x","1"\n"x","3"\n', ["1"], None, [[1], [3]]),
    "counted beside words": ("0,1,2\nx,0.5,2\ny,4.5,4\n", ["1"], ("1",), [[0.5], [4.5]]),
    "a label that comes again": (
        "x,1,2\nx,3,4\ny,5,6\n",
        ["1", "2"],
        None,
        [[1, 2], [3, 4], [5, 6]],
    ),
    "nothing in the first row": ("1,,2\n3,x,4\n", ["0", "2"], None, [[1, 2], [3, 4]]),
    "NA in the first row": ("1,NA,2\n3,5,4\n", ["0", "2"], None, [[1, 2], [3, 4]]),
}


@pytest.mark.parametrize("case", HEADERS)
def test_the_whole_first_row_says_whether_it_is_a_header(case, tmp_path):
    text, columns, names, values = HEADERS[case]
    (tmp_path / "a.csv").write_text(text)
    table = read_points(tmp_path / "a.csv", columns)
    assert table.names == names
    np.testing.assert_array_equal(table.values, values)


UNTOLD = {
    "years beside a word": (YEARS, ["1", "2"]),
    "one year beside a word": (YEARS, ["2"]),
    "labels without a header": ("x,1,2\ny,3,4\n", ["1", "2"]),
    "a word that is chosen": ("1,oops,2\n3,5,4\n", ["1"]),
    "all quoted": ('"x","1"\n"y","3"\n', ["1"]),
    "years above words": ("2018,2019,2020\nx,5,20\ny,4,40\n", ["1", "2"]),
}


@pytest.mark.parametrize("case", UNTOLD)
def test_a_first_row_that_may_be_either_is_refused(case, tmp_path):
    text, columns = UNTOLD[case]
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=r"a\.csv: got a first row .* wants .*in quotes"):
        read_points(tmp_path / "a.csv", columns)


CHOSEN_FAULTS = {
    "a word in a chosen column": ("a,b\n1,2\nx,3\n", r"column 'a': got the entry 'x' in row 1"),
    "an empty cell": ("a,b\n1,2\n,3\n", r"column 'a': got the entry '' in row 1 \(line 3"),
    "a blank cell": ("a,b\n1,2\n  ,3\n", r"column 'a': got the entry '  ' in row 1"),
    "a cell of two": ('a,b\n"1,2",2\n', r"column 'a': got the entry '1,2' in row 0"),
    "a ragged row": ("a,b\n1,2\n3\n", r"got 1 cells in row 1; wants 2"),
    "an open quote": ('a,b\n1,"x\n3,y\n', "got unexpected end of data in line 3"),
    "nan": ("a,b\n1,2\nnan,3\n", r"at row 1, column 'a' \(line 3"),
    "a large integer": (f"a,b\n{2**60 + 1},x\n", "which float64 cannot hold exactly"),
}


@pytest.mark.parametrize("case", CHOSEN_FAULTS)
def test_faults_of_chosen_columns_are_named(case, tmp_path):
    text, phrase = CHOSEN_FAULTS[case]
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=rf"a\.csv.*{phrase}"):
        read_points(tmp_path / "a.csv", ["a"])


def test_a_text_column_says_how_to_leave_it_out(tmp_path):
    for text in ("a,word\n1,x\n", "1,x\n2,y\n"):
        (tmp_path / "a.csv").write_text(text)
        with pytest.raises(ValueError, match="--columns"):
            read_points(tmp_path / "a.csv")


NO_SEPARATORS = {
    "a space in a word": ("a,b\n1,2\n3,c 5\n", "column 'b': got the entry 'c 5'"),
    "spaces behind commas": ("1.5, 2.5\n3.5, x\n", "column 1: got the entry ' x'"),
    "words between semicolons": ("a;b\n1;x\n", "separated by semicolons"),
    "one underscore": ("a\n1_000\n", "column 'a': got the entry '1_000'"),
}


@pytest.mark.parametrize("case", NO_SEPARATORS)
def test_separators_are_told_from_words(case, tmp_path):
    text, phrase = NO_SEPARATORS[case]
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=phrase):
        read_points(tmp_path / "a.csv")


def test_blocks_write_the_same_bytes(tmp_path, monkeypatch):
    values = np.random.default_rng(0).normal(size=(57, 3)).astype(np.float32)
    write_points(tmp_path / "a.csv", values)
    monkeypatch.setattr("brenier.io.points._csv._WRITTEN", 10)
    write_points(tmp_path / "b.csv", values)
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()


@pytest.mark.slow
def test_a_table_of_a_hundred_million_numbers_is_written_in_blocks(tmp_path):
    """12 GB of memory, before."""
    program = """
import resource, sys, numpy as np
from brenier.io import write_points
values = np.random.default_rng(0).normal(size=(5 * 10**7, 2))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
write_points(sys.argv[1], values)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
np.testing.assert_array_equal(np.loadtxt(sys.argv[1], delimiter=",", max_rows=9), values[:9])
"""
    command = [sys.executable, "-c", program, str(tmp_path / "a.csv")]
    run = subprocess.run(command, check=True, capture_output=True, text=True, timeout=3600)
    assert int(run.stdout) < 200_000  # KiB
    with (tmp_path / "a.csv").open("rb") as handle:
        blocks = iter(lambda: handle.read(2**20), b"")
        assert sum(block.count(b"\n") for block in blocks) == 5 * 10**7


@pytest.mark.slow
def test_a_large_table_takes_little_more_memory_than_its_numbers(tmp_path):
    """2.4 GB of memory for 80 MB of numbers, before rows were read and written in blocks."""
    program = """
import resource, sys, numpy as np
from brenier.io import read_points, write_points
values = np.random.default_rng(0).normal(size=(10**6, 10))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
write_points(sys.argv[1], values)
assert (read_points(sys.argv[1]).values == values).all()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    command = [sys.executable, "-c", program, str(tmp_path / "a.csv")]
    run = subprocess.run(command, check=True, capture_output=True, text=True)
    assert int(run.stdout) < 400_000  # KiB: numbers, their growth while read, and one block


def test_beside_chosen_columns_others_need_no_name(tmp_path):
    path = tmp_path / "indexed.csv"
    path.write_text(",a,b,a2,a2\nid0,1,2,x,y\nid1,3,4,x,y\n")
    table = read_points(str(path), ["b", "a"])
    assert table.names == ("b", "a")
    assert table.values.tolist() == [[2.0, 1.0], [4.0, 3.0]]
    assert read_points(str(path), ["1", "2"]).names == ("a", "b")
    for chosen, message in (
        (None, "got no name for column 0"),
        (["a2"], r"got columns \['a2'\] more than once"),
        (["0", "1"], "got no name for column 0"),
    ):
        with pytest.raises(ValueError, match=message):
            read_points(str(path), chosen)
