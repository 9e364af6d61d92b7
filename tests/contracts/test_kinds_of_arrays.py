"""What looks like an array of numbers: read as it is meant, or refused by name."""

import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental import sparse as jax_sparse
from scipy import sparse

import brenier
from brenier import Generator, MongeMap
from brenier._checks import as_points
from brenier.exact import solve_assignment
from brenier.io import read_points
from brenier.maps import AffineMap
from brenier.measures import Empirical, StandardNormal

X = np.random.default_rng(0).normal(size=(12, 2)).astype(np.float32).astype(np.float64)

NATIVE = {
    "big-endian": X.astype(">f8"),
    "big-endian, single": X.astype(">f4"),
    "little-endian": X.astype("<f8"),
    "long double": X.astype(np.longdouble),
    "no mask": np.ma.masked_array(X),
    "an empty mask": np.ma.masked_array(X, mask=np.zeros_like(X, bool)),
    "matrix": np.matrix(X),
    "read-only": np.broadcast_to(X, X.shape),
    "backwards": X[::-1][::-1],
    "by columns": np.asfortranarray(X),
    "objects": X.astype(object),
}
_MASK = np.arange(24).reshape(12, 2) == 5
REFUSED = {
    "masked": (np.ma.masked_array(X, mask=_MASK), "got a masked array with 1 entries masked"),
    "masked, big-endian": (np.ma.masked_array(X.astype(">f8"), mask=_MASK), "got a masked array"),
    **{
        f"sparse {kind}": (getattr(sparse, kind)(X), f"got a sparse {kind} of shape")
        for kind in ("csr_matrix", "csc_matrix", "coo_array", "csr_array", "lil_matrix")
    },
    "sparse of JAX": (jax_sparse.BCOO.fromdense(jnp.asarray(X)), "got a sparse BCOO of shape"),
    "complex": (X.astype(">c16"), "got dtype complex128; wants real numbers"),
    "ragged": ([[1.0, 2.0], [3.0]], "got rows that make no array"),
    "a table of columns": ({"a": X[:, 0], "b": X[:, 1]}, "got entries that are not numbers"),
}
FITTED = MongeMap(effort=0, random_state=0).fit(X, 2.0 * X + 1.0)
MADE = Generator(random_state=0, epsilon=1.0).fit(X)
MAP = AffineMap(2.0 * jnp.eye(2), jnp.ones(2))
# Public doors that points go through.
DOORS = {
    "points": lambda x: as_points("X", x, 2),
    "a map": MAP,
    "a Jacobian": MAP.jacobian,
    "a density": StandardNormal(2).log_density,
    "a cloud": lambda x: Empirical(x).points,
    "MongeMap.fit": lambda x: MongeMap(effort=0, random_state=0).fit(x, X + 1.0).transform(X),
    "MongeMap.fit, target": lambda x: (
        MongeMap(effort=0, random_state=0).fit(X[::-1] ** 3, x).transform(X)
    ),
    "MongeMap.transform": FITTED.transform,
    "MongeMap.inverse_transform": FITTED.inverse_transform,
    "Generator.score": MADE.score,
    "solve_assignment": lambda x: solve_assignment(x, X[::-1] + 1.0).stats["cost"],
    "weights": lambda x: solve_assignment(X, X + 1.0, np.abs(x[:, 0])).stats["cost"],
}
_JAX = ("a map", "a Jacobian", "a density", "a cloud", "weights")


@pytest.mark.parametrize("kind", NATIVE)
def test_numbers_are_read_whatever_holds_them(kind):
    for name, door in DOORS.items():
        if kind in ("matrix", "objects", "long double") and name in _JAX:
            continue  # which JAX's own types leave out
        np.testing.assert_allclose(
            np.asarray(door(NATIVE[kind])), np.asarray(door(X)), rtol=1e-6, err_msg=name
        )


@pytest.mark.parametrize("kind", REFUSED)
def test_what_hides_numbers_is_refused_by_name(kind):
    value, phrase = REFUSED[kind]
    for name, door in DOORS.items():
        if name in _JAX:
            continue  # what the types that the suite checks refuse first
        with pytest.raises(ValueError, match=phrase):
            door(value)


def test_narrow_floats_become_single():
    for kind in (np.float16, jnp.bfloat16):
        given = jnp.asarray(X, kind)
        assert Empirical(np.asarray(given)).points.dtype == np.float32


@pytest.mark.parametrize("kind", [">f8", ">f4", ">i4", ">u2", "<f16", "<f2", "|b1"])
@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_files_are_read_whatever_holds_their_numbers(kind, ending, tmp_path):
    values = np.arange(6).reshape(3, 2).astype(kind)
    (np.save if ending == "npy" else np.savez)(tmp_path / f"a.{ending}", values)
    found = read_points(tmp_path / f"a.{ending}").values
    assert found.dtype.isnative
    assert found.dtype in (np.float32, np.float64)
    np.testing.assert_array_equal(found, values.astype(np.float64))
    np.testing.assert_array_equal(MAP(found), 2.0 * values.astype(np.float64) + 1.0)


def test_a_map_of_cells_refuses_a_sparse_matrix_by_name():
    anndata = pytest.importorskip("anndata")
    random = np.random.default_rng(0)
    x, y = (anndata.AnnData(random.poisson(2.0, (40, 30)).astype(np.float32)) for _ in range(2))
    fitted = brenier.MongeMap(effort=0, random_state=0, components=2).fit(x, y)
    with pytest.raises(ValueError, match="X: got a sparse csr_matrix of shape"):
        fitted.transform(sparse.csr_matrix(x.X))
