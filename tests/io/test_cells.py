"""AnnData as points: what is read, what is refused, and how it is written."""

import sys

import anndata
import numpy as np
import pytest
from scipy import sparse

from brenier.io import (
    cells_of,
    check_cells_output,
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
    monkeypatch.setattr("brenier.io._backed._BLOCK_FLOATS", 8)
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
    with pytest.raises(ValueError, match=r"no\.h5ad: got no such file"):
        read_cells(tmp_path / "no.h5ad")
    (tmp_path / "bad.h5ad").write_text("no HDF5")
    with pytest.raises(ValueError, match=r"bad\.h5ad: got no \.h5ad file, or a damaged one"):
        read_cells(tmp_path / "bad.h5ad")
    with pytest.raises(ValueError, match=r"got the ending '\.csv'; wants \.h5ad"):
        check_cells_output(tmp_path / "o.csv")
    monkeypatch.setitem(sys.modules, "anndata", None)
    with pytest.raises(ValueError, match=r"needs anndata.*pip install brenier\[anndata\]"):
        read_cells(tmp_path / "a.h5ad")
    assert not is_cells(cells)


def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    (tmp_path / "a.h5ad").write_text("before")

    class Failing:
        def write_h5ad(self, path, compression):
            path.write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_cells(tmp_path / "a.h5ad", Failing())
    assert [path.name for path in tmp_path.iterdir()] == ["a.h5ad"]
    assert (tmp_path / "a.h5ad").read_text() == "before"
