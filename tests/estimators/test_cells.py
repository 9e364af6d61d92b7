"""MongeMap on single cells, in principal components."""

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import brenier
from brenier import MongeMap
from brenier.estimators import principal_components
from brenier.io import cells_of
from brenier.maps import SubspaceMap
from brenier.measures import Gaussian

RANDOM = np.random.default_rng(0)
GENES = [f"gene{i}" for i in range(30)]


def _cells(n, shift):
    factors = RANDOM.normal(size=(n, 3)) @ RANDOM.normal(size=(3, 30))
    counts = np.maximum(factors + RANDOM.normal(size=(n, 30)) * 0.1 + 1.0 + shift, 0.0)
    cells = anndata.AnnData(sparse.csr_matrix(counts.astype(np.float32)))
    cells.var_names = GENES
    cells.obsm["X_pca"] = factors[:, :2]
    return cells


X, Y = _cells(90, 0.0), _cells(70, np.linspace(0.0, 1.0, 30))


def _small(**options):
    return MongeMap(candidates=["gaussian"], random_state=0, **options)


@pytest.fixture(scope="module")
def fitted():
    return _small(components=4).fit(X, Y)


def test_the_map_is_of_genes_and_moves_means_onto_means(fitted):
    assert isinstance(fitted.map_, SubspaceMap)
    assert fitted.n_features_in_ == 30
    assert fitted.feature_names_in_.tolist() == GENES
    moved = fitted.transform(X)
    assert moved.dtype == np.float32
    # Across the components by a shift, along them by the affine map.
    np.testing.assert_allclose(moved.mean(axis=0), np.asarray(Y.X.mean(axis=0))[0], atol=1e-5)
    np.testing.assert_allclose(fitted.inverse_transform(moved), X.X.toarray(), atol=1e-4)


def test_cells_on_the_disk_give_the_same_map(fitted, tmp_path, monkeypatch):
    monkeypatch.setattr("brenier.io.cells._backed._BLOCK_FLOATS", 30 * 25)
    on_disk = []
    for name, cells in (("x", X), ("y", Y)):
        cells.write_h5ad(tmp_path / f"{name}.h5ad")
        on_disk.append(anndata.read_h5ad(tmp_path / f"{name}.h5ad", backed="r"))
    found = _small(components=4).fit(*on_disk)
    np.testing.assert_allclose(found.map_.shift, fitted.map_.shift, atol=1e-6)
    np.testing.assert_allclose(found.transform(on_disk[0]), fitted.transform(X), atol=1e-3)


def test_components_of_cells_on_the_disk_are_those_of_a_sample(tmp_path, monkeypatch):
    monkeypatch.setattr("brenier.estimators.data._components._MOST_ROWS", 60)
    X.write_h5ad(tmp_path / "x.h5ad")
    on_disk = anndata.read_h5ad(tmp_path / "x.h5ad", backed="r")
    parts = [cells_of(cells, "c") for cells in (on_disk, Y)]
    space = principal_components(*parts, 2)
    assert space.x.shape == (90, 2)
    # The mean across the components is that of all cells, on the disk too.
    apart = np.asarray(Y.X.mean(axis=0) - X.X.mean(axis=0)).ravel()
    across = apart - space.basis @ (space.basis.T @ apart)
    np.testing.assert_allclose(space.shift, across, atol=1e-6)
    whole = principal_components(cells_of(X, "c"), parts[1], 2)
    kept, best = (np.concatenate([part.x, part.y]).var(axis=0).sum() for part in (space, whole))
    assert 0.9 * best < kept < (1.0 + 1e-9) * best
    assert not np.allclose(space.centre, whole.centre, atol=1e-6)  # of other cells


def test_sparse_dense_frames_and_saved_maps_agree(fitted, tmp_path):
    moved = fitted.transform(X)
    frame = pd.DataFrame(X.X.toarray(), columns=GENES)
    np.testing.assert_allclose(fitted.transform(frame[GENES[::-1]]), moved, atol=1e-5)
    more = X[:, GENES[::-1]].copy()
    np.testing.assert_allclose(fitted.transform(more), moved, atol=1e-5)
    brenier.save(tmp_path / "m.brenier", fitted.map_, names=GENES, about={"layer": None})
    again = brenier.load(tmp_path / "m.brenier")
    np.testing.assert_allclose(again(X.X.toarray()[:5]), moved[:5], atol=1e-5)
    with pytest.raises(ValueError, match=r"X: got no column for \['gene29'\]"):
        fitted.transform(X[:, :29])


def test_components_of_plain_arrays_are_those_of_scikit_learn():
    from sklearn.decomposition import PCA

    x, y = X.X.toarray().astype(np.float64), Y.X.toarray().astype(np.float64)
    space = principal_components(x, y, 3)
    pca = PCA(3, svd_solver="full").fit(np.concatenate([x, y]))
    np.testing.assert_allclose(np.abs(space.basis.T @ pca.components_.T), np.eye(3), atol=1e-9)
    np.testing.assert_allclose(space.share, pca.explained_variance_ratio_.sum(), rtol=1e-9)
    assert principal_components(x, y) is None


def test_a_key_wants_an_anndata():
    with pytest.raises(ValueError, match="X: got DataFrame beside the key 'X_pca'"):
        _small(obsm="X_pca").fit(pd.DataFrame(X.X.toarray()), Y)


@pytest.mark.slow
def test_an_embedding_is_taken_as_it_is():
    assert _small(obsm="X_pca").fit(X, Y).n_features_in_ == 2


@pytest.mark.parametrize(
    ("x", "y", "components", "message"),
    [
        (X, Y[:, :20], None, r"Y: got no column for \['gene20'.*and more; wants|Y: got no column"),
        (X, Y, 31, "components: got 31; wants at most 30"),
        (X, Y, 0, "components: got 0"),
        (X, Gaussian.standard(30), 3, "Y: got the measure Gaussian"),
        (X[:1], Y, None, "X: got 1 points; wants at least 2"),
        (np.ones((5, 3)), np.ones((5, 4)), 2, "Y: got dimension 4; wants dimension 3"),
    ],
)
def test_refused(x, y, components, message):
    with pytest.raises(ValueError, match=message):
        MongeMap(components=components).fit(x, y)
