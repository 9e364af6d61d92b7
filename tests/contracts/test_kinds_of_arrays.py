"""What looks like an array of numbers: read as it is meant, or refused by name."""

import functools
import re
from decimal import Decimal
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from jax.experimental import sparse as jax_sparse
from scipy import sparse

import brenier
from brenier import Generator, MongeMap
from brenier._checks import as_float_array, as_points, check_points
from brenier.exact import solve_assignment
from brenier.io import read_points
from brenier.maps import AffineMap
from brenier.measures import Empirical, StandardNormal
from brenier.numerics import Coordinates

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


@functools.cache
def fitted():
    return MongeMap(effort=0, random_state=0).fit(X, 2.0 * X + 1.0)


@functools.cache
def made():
    return Generator(random_state=0, epsilon=1.0).fit(X)


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
    "MongeMap.transform": lambda x: fitted().transform(x),
    "MongeMap.inverse_transform": lambda x: fitted().inverse_transform(x),
    "Generator.score": lambda x: made().score(x),
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


_BIG = 2**53 + 1
ROUNDED = {
    "integers": np.array([[_BIG, 1], [2, 3]]),
    "unsigned": np.array([[2**64 - 1, 1], [2, 3]], np.uint64),
    "lists of integers": [[_BIG, 1], [2, 3]],
    "lists that mix": [[_BIG, 0.5], [2, 3.0]],
    "tuples that mix": ((-_BIG, 0.5), (2, 3.0)),
    "NumPy's in a list": [[np.int64(_BIG), 0.5], [2, 3.0]],
    "arrays in a list": [np.array([_BIG, 1]), np.array([0.5, 3.0])],
    "series in a list": [pd.Series([_BIG, 1]), pd.Series([0.5, 3.0])],
    "both signs": [[2**63 + 1, -1], [2, 3]],
    "objects": np.array([[_BIG, 0.5], [2, 3.0]], object),
    "objects, the last": np.array([[1e300, 0.5], [2, -_BIG]], object),
    "decimals": np.array([[Decimal(_BIG), 0.5], [2, 3.0]], object),
    "fractions": np.array([[Fraction(_BIG), 0.5], [2, 3.0]], object),
    "beyond 64 bits": [[10**30 + 1, 0.5], [2, 3.0]],
    "beyond float64": [[10**400, 0.5], [2, 3.0]],
    "a frame": pd.DataFrame({"a": [_BIG, 2], "b": [0.5, 3.0]}),
    "a frame of integers": pd.DataFrame({"a": [_BIG, 2], "b": [1, 3]}),
    "a frame, single": pd.DataFrame({"a": [2, _BIG], "b": np.array([0.5, 3.0], np.float32)}),
    "a frame of nullables": pd.DataFrame({"a": pd.array([_BIG, 2], "Int64"), "b": [0.5, 3.0]}),
    "a frame, unsigned": pd.DataFrame({"a": np.array([2**63 + 1, 2], np.uint64), "b": [-1, 3]}),
    "a frame of objects": pd.DataFrame({"a": [_BIG, 0.5], "b": [1, 2.0]}, dtype=object),
}


@pytest.mark.parametrize("kind", ROUNDED)
def test_no_integer_is_rounded_whatever_holds_it(kind):
    for name, door in DOORS.items():
        if name not in _JAX and name != "solve_assignment":
            with pytest.raises(ValueError, match="float64"):
                door(ROUNDED[kind])


def test_large_frames_round_no_integer_either(monkeypatch):
    monkeypatch.setattr("brenier.estimators.data._cloud.MOST_POINTS", 5)
    frame = pd.DataFrame({"a": [_BIG, *range(9)], "b": np.linspace(0.0, 1.0, 10)})
    with pytest.raises(ValueError, match=f"X, column 'a': got the integer {_BIG}"):
        MongeMap(effort=0).fit(frame, X)


HELD = {
    "a power": [[2**60, 0.5], [2, 3.0]],
    "the edge": np.array([[2**53, 0.5], [-(2**53), 3.0]], object),
    "floats": [[1e300, 9007199254740993.0], [2.0, 3.0]],
    "a large frame": pd.DataFrame({"a": [2**60, 2], "b": [0.5, 3e200]}),
    "half a decimal": np.array([[Decimal("9007199254740993.5"), 0.5], [2, 3.0]], object),
}


@pytest.mark.parametrize("kind", HELD)
def test_numbers_that_float64_holds_are_read(kind):
    np.testing.assert_array_equal(
        as_float_array("X", HELD[kind]), np.asarray(HELD[kind], dtype=object).astype(float)
    )


NARROW = ["float8_e4m3fn", "float8_e5m2", "bfloat16", "float16", "int4", "uint4", "int8", "bool"]


@pytest.mark.parametrize("kind", NARROW)
@pytest.mark.parametrize("as_numpy", [False, True])
def test_narrow_numbers_are_mapped(kind, as_numpy):
    given = np.ones((3, 2), jnp.dtype(kind))
    given = given if as_numpy else jnp.asarray(given)
    np.testing.assert_array_equal(as_points("X", given, 2) * jnp.ones(2), 1.0)
    np.testing.assert_array_equal(as_float_array("X", given), 1.0)
    if jnp.issubdtype(kind, np.floating):
        np.testing.assert_array_equal(MAP(given), 3.0)


def test_a_map_takes_tracers_in_a_list():
    mapped = jax.jit(lambda a, b: as_points("x", [a, b], 2))(1.0, 2.0)
    np.testing.assert_array_equal(mapped, [1.0, 2.0])


def test_the_advice_about_records_can_be_followed(tmp_path):
    records = np.array([(1.0, 2), (3.0, 4)], [("a", "f8"), ("b", "i4")])
    np.save(tmp_path / "a.npy", records)
    doors = (
        lambda: check_points("X", records),
        lambda: check_points("X", records.view(np.recarray)),
        lambda: as_points("X", records, 2),
        lambda: read_points(tmp_path / "a.npy"),
    )
    for door in doors:
        with pytest.raises(ValueError, match=r"records.*wants real numbers \(.*\)") as raised:
            door()
        advice = re.search(r"\((np.*)\)\.$", str(raised.value)).group(1)
        assert eval(advice, {"np": np, "x": records}).tolist() == [[1.0, 2.0], [3.0, 4.0]]


@pytest.mark.parametrize(
    ("fault", "phrase"),
    [
        ({"b mm": [1.0, np.nan]}, "row 1, column 'b mm'"),
        ({"b mm": [1.0, 1e200]}, "row 1, column 'b mm'"),
        ({"b mm": [7.0, 7.0]}, r"got constant columns \['b mm'\]"),
        ({"b mm": [7.0, 7.0], "a": [1.0, 1.0]}, r"got constant columns \['a', 'b mm'\]"),
        ({"b mm": [1e9, 1e9 + 1e-6]}, "got column 'b mm' around 1e"),
    ],
)
def test_columns_are_called_by_their_names(fault, phrase):
    frame = pd.DataFrame({"a": [1.0, 2.0], "b mm": [3.0, 4.0]} | fault)
    with pytest.raises(ValueError, match=f"X: .*{phrase}"):
        check_points("X", frame, allow_constant=False)
    with pytest.raises(ValueError, match=f"X: .*{phrase}"):
        MongeMap(effort=0).fit(frame, X)


def test_points_reach_jax_without_a_program_for_their_shape_and_are_a_copy(caplog):
    memory = np.zeros(8 * 211 + 64, np.uint8)
    start = -memory.ctypes.data % 64  # where JAX would share it
    x = memory[start : start + 8 * 210].view(np.float64).reshape(105, 2)
    with jax.log_compiles():
        found = [as_points("X", x, 2), Empirical(x).points]
    assert not [line for line in caplog.messages if "compil" in line.lower()]
    x[:] = 1.0
    assert not np.any(found)


def test_a_map_is_inverted_by_one_program(caplog):
    own = Coordinates.gaussian(np.zeros(2), np.eye(2), np.ones(2), 4.0 * np.eye(2))
    own.reversed()
    with jax.log_compiles():
        own.reversed()
    assert not [line for line in caplog.messages if "compil" in line.lower()]
