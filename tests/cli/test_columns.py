"""``--columns``: the columns of a table that a command reads, beside others that hold anything."""

import json
import warnings

import jax.numpy as jnp
import numpy as np
import pytest

import brenier
from brenier.cli import main
from brenier.io import Table, read_points
from brenier.maps import GradientMap
from brenier.potentials import Quadratic

RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(40, 2)), 2.0 * RANDOM.normal(size=(50, 2)) + 1.0
DOUBLE = GradientMap(Quadratic.from_matrix(2.0 * jnp.eye(2), jnp.zeros(2)))


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A folder with two tables that have a column of words, and a map of the others."""
    import pandas as pd

    monkeypatch.chdir(tmp_path)
    for name, points in (("x", X), ("y", Y)):
        words = [f"cell {i}, kept" for i in range(len(points))]
        frame = pd.DataFrame({"label": words, "a": points[:, 0], "b, mm": points[:, 1]})
        frame.to_csv(f"{name}.csv", index=False)
        frame.to_parquet(f"{name}.parquet")
    brenier.save("map.brenier", DOUBLE, names=("a", "b, mm"))
    return tmp_path


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("columns", ['a,"b, mm"', "1,2", '"b, mm",a'])
def test_transport_reads_the_chosen_columns(columns, ending, home, capsys):
    command = ["transport", "map.brenier", f"x.{ending}", "-o", "out.csv"]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert "column 'label': got " in said
    assert "--columns" in said
    assert main([*command, "--columns", columns]) == 0
    table = read_points("out.csv")
    assert table.names == ("a", "b, mm")
    np.testing.assert_allclose(table.values, 2.0 * X, rtol=1e-12)


COMMANDS = {
    "fit": ["fit", "x.csv", "y.parquet", "-o", "new.brenier", "--effort", "quick"],
    "audit": ["audit", "map.brenier", "x.csv", "y.csv", "--budget", "1"],
    "generate": ["generate", "x.csv", "-n", "5", "-o", "made.csv", "--effort", "quick"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_that_reads_tables_takes_columns(command, home, capsys):
    assert main(COMMANDS[command]) == 2
    assert "column 'label': got the entry 'cell 0, kept'" in capsys.readouterr().err
    assert main([*COMMANDS[command], "--columns", "a,c"]) == 2
    assert "x.csv: got no columns ['c']" in capsys.readouterr().err


@pytest.mark.slow
def test_fit_audit_and_generate_read_the_chosen_columns(home, capsys):
    chosen = ["--columns", 'a,"b, mm"', "--json"]
    assert main([*COMMANDS["fit"], *chosen]) == 0
    assert json.loads(capsys.readouterr().out)["columns"] == ["a", "b, mm"]
    assert main([*COMMANDS["audit"], *chosen]) == 0
    assert json.loads(capsys.readouterr().out)["how"]["names"] == ["a", "b, mm"]
    assert main([*COMMANDS["generate"], *chosen]) == 0
    assert read_points("made.csv").names == ("a", "b, mm")


@pytest.mark.parametrize(
    ("file", "columns", "phrase"),
    [
        ("x.csv", "a,c", r"x.csv: got no columns ['c']; wants some of ['label', 'a', 'b, mm']"),
        ("x.csv", "a,7", "x.csv: got no columns ['7']"),
        ("x.csv", "", "x.csv: got no columns []"),
        ("x.csv", "a,1", "x.csv: got the columns ['a', '1']; wants each once"),
        ("x.csv", "label,a", "column 'label': got the entry 'cell 0, kept' in row 0 (line 2"),
        ("x.npy", "0,5", "x.npy: got no columns ['5']; wants some of places from 0 to 2"),
        ("x.png", "0,1", "x.png: got columns to choose of a picture"),
        ("x.h5ad", "0,1", "x.h5ad: got --columns, which are of tables"),
    ],
)
def test_columns_that_cannot_be_read_are_named(file, columns, phrase, home, capsys):
    from PIL import Image

    np.save("x.npy", RANDOM.normal(size=(4, 3)))
    Image.new("RGB", (4, 4)).save("x.png")
    assert main(["transport", "map.brenier", file, "-o", "out.csv", "--columns", columns]) == 2
    said = capsys.readouterr().err
    assert phrase in said
    assert said.count("\n") == 1


def test_a_warning_of_a_reader_is_one_line(home, capsys):
    (home / "years.csv").write_text("2019,2020\n0.5,0.7\n")
    brenier.save("map.brenier", DOUBLE)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert main(["transport", "map.brenier", "years.csv", "-o", "out.npy"]) == 0
    said = capsys.readouterr().err
    assert said.startswith("brenier: years.csv: got a first row ['2019', '2020'] of whole numbers")
    assert said.count("\n") == 1


def test_arrays_are_chosen_from_by_place(tmp_path):
    values = RANDOM.normal(size=(4, 3))
    np.save(tmp_path / "a.npy", values)
    np.savez(tmp_path / "a.npz", x=values)
    for name in ("a.npy", "a.npz", "a.npz:x"):
        table = read_points(f"{tmp_path}/{name}", ["2", "0"])
        np.testing.assert_array_equal(table.values, values[:, [2, 0]])
        assert isinstance(table, Table)
