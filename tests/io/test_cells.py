"""AnnData as points: what is read, what is refused, and how it is written."""

import os
import subprocess
import sys
import time
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from brenier.io import (
    cells_of,
    check_cells_output,
    check_name,
    is_cells,
    read_cells,
    rows_of_condition,
    write_cells,
)

RANDOM = np.random.default_rng(0)


def small(n=6, genes=4):
    """Counts, sparse; two conditions; a layer and an embedding."""
    counts = RANDOM.poisson(1.0, (n, genes)).astype(np.float32)
    cells = anndata.AnnData(sparse.csr_matrix(counts))
    cells.obs["condition"] = ["control", "ifnb"] * (n // 2)
    cells.var_names = [f"gene{i}" for i in range(genes)]
    cells.layers["logged"] = np.log1p(counts)
    cells.obsm["X_pca"] = RANDOM.normal(size=(n, 2))
    return cells


def test_x_a_layer_and_an_embedding():
    cells = small()
    x, layer, embedding = (
        cells_of(cells, "c", **which) for which in ({}, {"layer": "logged"}, {"obsm": "X_pca"})
    )
    assert sparse.issparse(x.values)
    assert x.values.dtype == np.float32
    np.testing.assert_array_equal(x.values.toarray(), cells.X.toarray())
    np.testing.assert_array_equal(layer.values, cells.layers["logged"])
    assert layer.names == ("gene0", "gene1", "gene2", "gene3")
    np.testing.assert_array_equal(embedding.values, cells.obsm["X_pca"])
    assert embedding.names == ("X_pca[0]", "X_pca[1]")
    rows = rows_of_condition(cells, "c", "condition", "ifnb")
    assert rows.tolist() == [1, 3, 5]
    np.testing.assert_array_equal(
        cells_of(cells, "c", rows=rows).values.toarray(), cells.X[[1, 3, 5]].toarray()
    )


def test_genes_are_matched_by_name_and_a_missing_one_is_named():
    cells = cells_of(small(), "new.h5ad")
    turned = cells.aligned(("gene3", "gene0"), "map.brenier")
    np.testing.assert_array_equal(turned.values.toarray(), cells.values.toarray()[:, [3, 0]])
    with pytest.raises(ValueError, match=r"no column for \['gene9'\]; wants the 2 of map\.brenier"):
        cells.aligned(("gene0", "gene9"), "map.brenier")


def _double():
    cells = small()
    cells.var_names = ["a", "b", "a", "c"]
    return cells


def _infinite():
    cells = small()
    cells.X.data[0] = np.inf
    return cells


@pytest.mark.parametrize(
    ("make", "which", "message"),
    [
        (small, {"layer": "raw"}, r"c: got no layer 'raw'; wants one of \['logged'\]"),
        (small, {"obsm": "X_umap"}, r"c: got no obsm 'X_umap'; wants one of \['X_pca'\]"),
        (small, {"layer": "logged", "obsm": "X_pca"}, "layer: got 'logged' beside obsm"),
        (_double, {}, r"c: got genes \['a'\] more than once"),
        (_infinite, {}, "c: got 1 NaN or infinite entries"),
        (lambda: small()[:0], {}, "c: got 0 cells of 4 genes"),
        (lambda: anndata.AnnData(obs={"a": [1, 2]}), {}, "an AnnData without X"),
    ],
)
def test_refused(make, which, message):
    with pytest.raises(ValueError, match=message):
        cells_of(make(), "c", **which)


def test_backed_cells_stay_on_the_disk_and_are_read_by_rows(tmp_path, monkeypatch):
    cells = small()
    write_cells(tmp_path / "b.h5ad", cells)
    backed = read_cells(tmp_path / "b.h5ad", backed=True)
    monkeypatch.setattr("brenier.io.cells._backed._BLOCK_FLOATS", 8)
    rows = np.array([1, 3, 5])
    found = cells_of(backed, "c", rows=rows).aligned(("gene3", "gene0"), "map.brenier")
    wanted = cells.X.toarray()[rows][:, [3, 0]]
    assert found.values.shape == (3, 2)
    blocks = [block.toarray() for block in found.blocks()]
    assert [len(block) for block in blocks] == [2, 1]
    np.testing.assert_array_equal(np.concatenate(blocks), wanted)
    np.testing.assert_array_equal(found.in_memory().values.toarray(), wanted)
    # A view of a backed AnnData is backed too, and embeddings are in memory all the same.
    view = cells_of(backed[rows], "c")
    np.testing.assert_array_equal(view.in_memory().values.toarray(), cells.X.toarray()[rows])
    embedding = cells_of(backed, "c", obsm="X_pca").values
    np.testing.assert_array_equal(embedding, cells.obsm["X_pca"])


def test_a_bad_entry_on_the_disk_is_named_when_it_is_read(tmp_path):
    cells = small()
    cells.X.data[0] = np.nan
    write_cells(tmp_path / "b.h5ad", cells)
    found = cells_of(read_cells(tmp_path / "b.h5ad", backed=True), "c")
    with pytest.raises(ValueError, match="c: got"):
        found.in_memory()


def test_a_missing_condition_or_value_lists_those_there_are():
    with pytest.raises(ValueError, match=r"no column 'treatment' in obs; wants one of \['condit"):
        rows_of_condition(small(), "c", "treatment", "ifnb")
    with pytest.raises(ValueError, match=r"'condition' is 'x'; wants one of \['control', 'ifnb'\]"):
        rows_of_condition(small(), "c", "condition", "x")


def test_files(tmp_path, monkeypatch):
    cells = small()
    write_cells(tmp_path / "a.h5ad", cells)
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5ad"]
    back = read_cells(tmp_path / "a.h5ad")
    assert is_cells(back)
    np.testing.assert_array_equal(back.layers["logged"], cells.layers["logged"])
    with h5py.File(tmp_path / "a.h5ad") as file:
        assert "raw" not in file
    cells.write_h5ad(tmp_path / "theirs.h5ad", compression="gzip")
    ours, theirs = ((tmp_path / name).stat().st_size for name in ("a.h5ad", "theirs.h5ad"))
    assert abs(ours - theirs) < 0.05 * theirs
    (tmp_path / "theirs.h5ad").unlink()
    without = anndata.AnnData(obs=cells.obs, obsm=dict(cells.obsm))
    write_cells(tmp_path / "without.h5ad", without)
    assert read_cells(tmp_path / "without.h5ad").X is None
    with pytest.raises(ValueError, match=r"no\.h5ad: got no such file"):
        read_cells(tmp_path / "no.h5ad")
    (tmp_path / "bad.h5ad").write_text("no HDF5")
    with pytest.raises(ValueError, match=r"bad\.h5ad: got no \.h5ad file, or a damaged one"):
        read_cells(tmp_path / "bad.h5ad")
    with pytest.raises(ValueError, match=r"got the ending '\.csv'; wants \.h5ad"):
        check_cells_output(tmp_path / "o.csv")
    monkeypatch.setitem(sys.modules, "anndata", None)
    with pytest.raises(ValueError, match=r'no anndata.*pip install "brenier\[cells\]"'):
        read_cells(tmp_path / "a.h5ad")
    assert not is_cells(cells)


def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    (tmp_path / "a.h5ad").write_text("before")

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_cells(tmp_path / "a.h5ad", small())
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5ad"]
    assert (tmp_path / "a.h5ad").read_text() == "before"


_FULL = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a file past the limit is then an error: EFBIG
from brenier.io import read_cells, write_cells
cells = read_cells("c.h5ad")
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    write_cells("o.h5ad", cells)
except OSError as error:
    print(error)
"""


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path):
    """HDF5 itself says it in 24 tracebacks, and dies of SIGSEGV when Python ends."""
    write_cells(tmp_path / "c.h5ad", small(600))
    write_cells(tmp_path / "o.h5ad", small())
    before = (tmp_path / "o.h5ad").read_bytes()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    run = subprocess.run(
        [sys.executable, "-c", _FULL],
        cwd=tmp_path,
        env=environment,
        text=True,
        capture_output=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout == "[Errno 27] File too large: 'o.h5ad'\n"
    assert (tmp_path / "o.h5ad").read_bytes() == before
    assert {f.name for f in tmp_path.iterdir()} == {"c.h5ad", "o.h5ad"}


_REWRITTEN = """
from brenier.io import read_cells, write_cells
first, second = read_cells("first.h5ad"), read_cells("second.h5ad")
print("started", flush=True)
for _ in range(1000):
    write_cells("o.h5ad", first)
    write_cells("o.h5ad", second)
"""


@pytest.mark.slow
def test_cells_are_the_old_or_the_new_whenever_the_writer_is_killed(tmp_path):
    """HDF5 writes in C, where no call can be counted: SIGKILL at many moments."""
    wanted = []
    for name, n in (("first", 2000), ("second", 3000)):
        cells = small(n)
        write_cells(tmp_path / f"{name}.h5ad", cells)
        wanted.append(cells.layers["logged"])
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "src")}
    moments = np.random.default_rng(0).uniform(0.0, 0.4, 25)
    for moment in moments:
        with subprocess.Popen(
            [sys.executable, "-c", _REWRITTEN],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(moment)
            process.kill()
        if (tmp_path / "o.h5ad").exists():
            found = read_cells(tmp_path / "o.h5ad").layers["logged"]
            assert any(np.array_equal(found, layer) for layer in wanted)
    assert (tmp_path / "o.h5ad").exists()


@pytest.mark.parametrize("make", [sparse.csr_matrix, sparse.csc_matrix, sparse.csr_array])
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64", "int8", "uint16", "bool"])
@pytest.mark.parametrize("backed", [False, True])
def test_matrices_of_any_form_are_read_by_value(make, dtype, backed, tmp_path):
    counts = RANDOM.poisson(0.7, (7, 3)).astype(dtype)
    cells = anndata.AnnData(make(counts), layers={"l": make(counts)}, obsm={"e": make(counts)})
    cells.write_h5ad(tmp_path / "a.h5ad")
    read = read_cells(tmp_path / "a.h5ad", backed=backed)
    for which in ({}, {"layer": "l"}, {"obsm": "e"}):
        for rows in (None, np.array([4, 1])):
            found = cells_of(read, "c", rows=rows, **which).in_memory().values
            assert found.dtype == (dtype if dtype.startswith("float") else "float64")
            wanted = counts if rows is None else counts[rows]
            np.testing.assert_array_equal(found.toarray(), wanted)
    assert cells_of(read, "c", obsm="e").names == ("e[0]", "e[1]", "e[2]")


def test_odd_but_sound_cells_are_read(tmp_path):
    counts = RANDOM.poisson(1.0, (6, 2)).astype(np.float32)
    tables = {
        "duplicates are summed": sparse.csr_matrix(
            (np.ones(3, np.float32), [1, 1, 0], [0, 2, 3]), (2, 2)
        ),
        "unsorted": sparse.csr_matrix((np.array([1.0, 2.0]), [1, 0], [0, 2, 2]), (2, 2)),
        "nothing stored": sparse.csr_matrix((3, 2), dtype=np.float32),
        "by coordinates": sparse.coo_matrix(counts),
        "integers": counts.astype(int),
        "half": counts.astype(np.float16),
        "big-endian": counts.astype(">f8"),
        "by columns": np.asfortranarray(counts),
    }
    for name, matrix in tables.items():
        cells = anndata.AnnData(matrix) if name != "by coordinates" else None
        if cells is None:
            cells = anndata.AnnData(counts, obsm={"e": counts})
            cells.obsm["e"] = sparse.csr_matrix(matrix)
        found = cells_of(cells, name).values
        dense = matrix.toarray() if sparse.issparse(matrix) else matrix
        np.testing.assert_array_equal(found.toarray() if sparse.issparse(found) else found, dense)
    cells = anndata.AnnData(counts)
    cells.obs["nullable"] = pd.array([True, None] * 3, dtype="boolean")
    cells.obs["whole"] = pd.array([1, 2, None] * 2, dtype="Int64")
    cells.obs["kind"] = pd.Categorical(["a", "b", None] * 2)
    cells.obs["number"] = [0.5, 1.0, np.nan] * 2
    cells.obsm["table"] = pd.DataFrame(counts, index=cells.obs_names, columns=["x", "y"])
    cells.uns["anything"] = {"deep": {"er": np.arange(3)}}
    write_cells(tmp_path / "a.h5ad", cells)
    back = read_cells(tmp_path / "a.h5ad")
    for column, value, wanted in (
        ("nullable", "True", [0, 2, 4]),
        ("whole", "2", [1, 4]),
        ("kind", "b", [1, 4]),
        ("number", "0.5", [0, 3]),
    ):
        assert rows_of_condition(back, "c", column, value).tolist() == wanted
    table = cells_of(back, "c", obsm="table", rows=np.array([5, 0])).values
    np.testing.assert_array_equal(table, counts[[5, 0]])


def _old(file):
    """As anndata wrote before it noted encodings: tables as records, no attributes."""
    for name in ("obs", "var"):
        del file[name]
    file["obs"] = np.array([(b"c0", 1.0), (b"c1", 2.0)], [("index", "S2"), ("n", "f8")])
    file["var"] = np.array([(b"g0",), (b"g1",)], [("index", "S2")])
    for item in (file, file["X"]):
        for key in list(item.attrs):
            del item.attrs[key]


def _soft(file):
    file.move("X", "uns/elsewhere")
    file["X"] = h5py.SoftLink("/uns/elsewhere")


def _here(file):
    """Virtual data of the same file."""
    file.move("X", "uns/parts")
    layout = h5py.VirtualLayout((2, 2), "f8")
    layout[:] = h5py.VirtualSource(".", "uns/parts", (2, 2))
    file.create_virtual_dataset("X", layout)
    file["X"].attrs.update(file["uns/parts"].attrs)


@pytest.mark.parametrize("change", [_old, _soft, _here, lambda file: None])
@pytest.mark.parametrize("backed", [False, True])
def test_files_of_other_writers_are_read_by_value(change, backed, tmp_path):
    values = np.array([[1.0, 2.0], [3.0, 4.0]])
    anndata.AnnData(values).write_h5ad(tmp_path / "a.h5ad")
    with h5py.File(tmp_path / "a.h5ad", "r+") as file:
        change(file)
    found = cells_of(read_cells(tmp_path / "a.h5ad", backed=backed), "c")
    np.testing.assert_array_equal(found.in_memory().values, values)


def _sparse(part, **changes):
    """The same three cells and two genes, of which one array of a sparse matrix is another."""

    def change(file):
        group = file[part]
        for name, value in changes.items():
            del group[name]
            group[name] = np.asarray(value)

    return change


def _outside(file):
    del file["X"]
    file["X"] = h5py.ExternalLink("other.h5", "X")


def _outside_by_a_soft_link(file):
    del file["X"]
    file["uns/other"] = h5py.ExternalLink("other.h5", "/")
    file["X"] = h5py.SoftLink("/uns/other/X")


def _outside_virtually(file):
    del file["X"]
    layout = h5py.VirtualLayout((3, 2), "f8")
    layout[:] = h5py.VirtualSource("other.h5", "X", (3, 2))
    file.create_virtual_dataset("X", layout)


def _outside_storage(file):
    del file["X"]
    file.create_dataset("X", (3, 2), "f8", external=[("other.h5", 0, 48)])


def _outside_layer(file):
    file["layers"].create_dataset("x", (3, 2), "u1", external=[("/etc/passwd", 0, 6)])


def _unallocated(file):
    del file["X"]
    file.create_dataset("X", (3 * 10**8, 2), "f4", chunks=(10**4, 2))


def _unallocated_names(file):
    for name in ("obs/_index", "obs/none"):
        if name in file:
            del file[name]
        file.create_dataset(name, (3 * 10**8,), "i8", chunks=(10**4,))


def _nonsense(file):
    file["X"].attrs["encoding-type"] = "nonsense"


def _circle(file):
    file["uns/again"] = file["/"]


BROKEN = {
    "a column past the end": (_sparse("X", indices=[0, 3, 0]), "X: got column 3 in row 1; wants 0"),
    "a column before the first": (_sparse("X", indices=[0, -5, 0]), "X: got column -5 in row 1"),
    "a column far away": (_sparse("X", indices=[0, 10**9, 0]), "column 1000000000 in row 1"),
    "a layer": (_sparse("layers/l", indices=[0, 1, 7]), r"layers\['l'\]: got row 7 in column 1"),
    "an embedding": (_sparse("obsm/e", indices=[0, 3, 0]), r"obsm\['e'\]: got column 3 in row 1"),
    "a graph": (_sparse("obsp/g", indices=[0, 3, 0]), r"obsp\['g'\]: got column 3 in row 1"),
    "raw": (_sparse("raw/X", indices=[0, 3, 0]), r"raw\.X: got column 3 in row 1"),
    "bounds that fall": (_sparse("X", indptr=[0, 2, 1, 3]), "got row 1 that ends before"),
    "bounds past the end": (_sparse("X", indptr=[0, 1, 2, 9]), "bad.h5ad"),
    "too few bounds": (_sparse("X", indptr=[0, 1, 3]), "bad.h5ad"),
    "bounds that start late": (_sparse("X", indptr=[1, 1, 2, 3]), "bad.h5ad"),
    "fewer entries": (_sparse("X", data=[1.0]), "bad.h5ad"),
    "text as indices": (_sparse("X", indices=[b"a", b"b", b"c"]), "bad.h5ad"),
    "an external link": (_outside, "data of another file, at /X"),
    "by a soft link": (_outside_by_a_soft_link, "of another file, at /uns/other"),
    "virtual data": (_outside_virtually, "of another file, at /X"),
    "external storage": (_outside_storage, "of another file, at /X"),
    "a layer of another file": (_outside_layer, "of another file, at /layers/x"),
    "3e8 rows of nothing": (_unallocated, r"got 2,400,.* bytes packed into"),
    "3e8 names": (_unallocated_names, "bytes packed into"),
    "nonsense": (_nonsense, "damaged one .*nonsense"),
    "a circle": (_circle, "groups in each other without end, at /uns/again"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_file_that_is_not_sound_or_not_alone_is_refused(case, tmp_path):
    change, phrase = BROKEN[case]
    matrix = sparse.csr_matrix(np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]]))
    graph = sparse.csr_matrix(np.eye(3))
    cells = anndata.AnnData(matrix, layers={"l": sparse.csc_matrix(matrix)}, obsp={"g": graph})
    cells.obsm["e"] = matrix.copy()
    cells.raw = cells
    path = tmp_path / "bad.h5ad"
    cells.write_h5ad(path)
    anndata.AnnData(np.ones((3, 2))).write_h5ad(tmp_path / "other.h5")
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(ValueError, match=phrase) as refusal:
        read_cells(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)
    if case not in ("a graph", "raw"):  # what stays on the disk is refused when it is read
        with pytest.raises(ValueError, match=r"bad\.h5ad"):
            cells_of(read_cells(path, backed=True), f"{path}").in_memory()


@pytest.mark.parametrize("form", [np.asarray, sparse.csr_matrix, sparse.csc_matrix])
@pytest.mark.parametrize("place", ["X", "layer", "obsm", "backed"])
def test_a_bad_entry_is_told_by_cell_and_gene(form, place, tmp_path):
    values = np.arange(12.0).reshape(6, 2) + 1.0
    values[3, 1], values[5, 0] = np.nan, np.inf
    cells = anndata.AnnData(form(values), layers={"l": form(values)}, obsm={"e": form(values)})
    cells.obs_names, cells.var_names = list("ABCDEF"), ["left", "right"]
    which = {"layer": {"layer": "l"}, "obsm": {"obsm": "e"}}.get(place, {})
    if place == "backed":
        cells.write_h5ad(tmp_path / "a.h5ad")
        cells = read_cells(tmp_path / "a.h5ad", backed=True)
    gene = "e[1]" if place == "obsm" else "right"
    for rows, count in ((None, 2), (np.array([4, 3]), 1)):
        with pytest.raises(ValueError, match="NaN or infinite") as refusal:
            cells_of(cells, "c", rows=rows, **which).in_memory()
        said = str(refusal.value)
        first = "'D'" if form is not sparse.csc_matrix else "'"
        assert f"got {count} NaN or infinite entries, the first in cell {first}" in said
        if form is not sparse.csc_matrix:
            assert f"gene {gene!r}" in said


@pytest.mark.parametrize("name", ["a/b", "/", "", ".", "..", "a\0b", "/a"])
def test_names_that_are_paths_are_refused(name):
    with pytest.raises(ValueError, match="--into: got"):
        check_name("--into", name)


def test_what_cannot_be_written_is_said_and_nothing_is_left(tmp_path):
    cells = small()
    cells.uns["a function"] = print
    with pytest.raises(ValueError, match=r"a\.h5ad: got cells that cannot be written"):
        write_cells(tmp_path / "a.h5ad", cells)
    assert not list(tmp_path.iterdir())
