"""Tensor trains against full arrays, and lattices of Gaussians against functions."""

import jax
import numpy as np
import pytest

from brenier.numerics._gaussian_lattice import fit_lattice, gaussian_rows, unresolved, upsample
from brenier.numerics._random import host_seed
from brenier.numerics._tensor_train import (
    tensor_train_change_axes,
    tensor_train_contract,
    tensor_train_entries,
    tensor_train_from_array,
    tensor_train_ranks,
    tensor_train_round,
)
from brenier.numerics._tensor_train_cross import tensor_train_cross

RANDOM = np.random.default_rng(0)


def _array(cores):
    whole = np.ones((1, 1))
    for core in cores:
        whole = np.tensordot(whole, core, axes=1).reshape(-1, core.shape[2])
    return whole.reshape([core.shape[1] for core in cores])


def _sum(first, second):
    """The cores of a sum, whose ranks add up."""
    out = []
    for axis, (one, two) in enumerate(zip(first, second, strict=True)):
        (a, n, b), (c, _, e) = one.shape, two.shape
        core = np.zeros((a + c, n, b + e))
        core[:a, :, :b], core[a:, :, b:] = one, two
        core = core.sum(axis=0, keepdims=True) if axis == 0 else core
        out.append(core.sum(axis=2, keepdims=True) if axis == len(first) - 1 else core)
    return tuple(out)


def _random_cores(*shape, rank=3):
    ranks = [1, *[rank] * (len(shape) - 1), 1]
    return tuple(
        RANDOM.normal(size=(a, n, b)) for a, n, b in zip(ranks, shape, ranks[1:], strict=False)
    )


def test_cores_of_an_array_and_back():
    array = _array(_random_cores(5, 6, 7, 4))
    cores = tensor_train_from_array(array, 1e-13)
    assert tensor_train_ranks(cores) == (3, 3, 3)
    np.testing.assert_allclose(_array(cores), array, atol=1e-11)
    index = np.stack([RANDOM.integers(0, n, 20) for n in array.shape], axis=1)
    np.testing.assert_allclose(
        tensor_train_entries(cores, index), array[tuple(index.T)], atol=1e-11
    )
    rows = [RANDOM.normal(size=(1, n)) for n in array.shape]
    exact = np.einsum("abcd,a,b,c,d->", array, *(row[0] for row in rows))
    np.testing.assert_allclose(tensor_train_contract(cores, rows), [exact], rtol=1e-10)


@pytest.mark.parametrize("tolerance", [1e-12, 1e-3, 1e-1])
def test_rounding_keeps_to_its_tolerance(tolerance):
    one = _random_cores(8, 9, 7)
    two = tuple(1e-2 * core for core in _random_cores(8, 9, 7, rank=2))
    both = _sum(one, _sum(one, two))
    exact = _array(both)
    rounded = tensor_train_round(both, tolerance)
    error = np.linalg.norm(_array(rounded) - exact) / np.linalg.norm(exact)
    assert error <= tolerance
    assert max(tensor_train_ranks(rounded)) <= 5
    # An array whose singular values fall gets ranks that fall with the tolerance.
    smooth = 1.0 / (1.0 + np.add.outer(np.add.outer(np.arange(9.0), np.arange(8.0)), np.arange(7)))
    cores = tensor_train_from_array(smooth, 1e-14)
    cut = tensor_train_round(cores, tolerance)
    error = np.linalg.norm(_array(cut) - smooth) / np.linalg.norm(smooth)
    assert error <= tolerance
    assert tensor_train_ranks(cut) <= tensor_train_ranks(cores)


def test_a_map_of_an_axis():
    cores = _random_cores(5, 6, 7)
    matrices = [RANDOM.normal(size=(4, n)) for n in (5, 6, 7)]
    found = tensor_train_change_axes(
        cores, lambda axis, _: lambda values: matrices[axis] @ values, 1e-13
    )
    exact = np.einsum("abc,ia,jb,kc->ijk", _array(cores), *matrices)
    np.testing.assert_allclose(_array(found), exact, atol=1e-9)


def test_the_key_chooses_where_a_cross_begins():
    drawn = []

    def entries(index):
        drawn.append(index)
        return np.exp(-0.1 * np.sum(index, axis=1) ** 2)

    def first(key):
        drawn.clear()
        tensor_train_cross(entries, (9, 8, 7), 1e-6, 20, key=key)
        return drawn[0]

    default = first(None)
    np.testing.assert_array_equal(first(jax.random.key(0)), default)
    assert any(not np.array_equal(first(jax.random.key(k)), default) for k in (1, 2, 3))


@pytest.mark.parametrize("key", [jax.random.key(7), jax.random.PRNGKey(7)])
def test_the_seed_of_a_key_is_its_number(key):
    assert host_seed(key) == 7
    assert len({host_seed(part) for part in jax.random.split(key, 100)}) == 100


def test_cross_of_a_function():
    shape = (12, 13, 11, 12)

    def entries(index):
        return 1.0 / (1.0 + np.sum(index * np.arange(1.0, 5.0), axis=1))

    found = tensor_train_cross(entries, shape, 1e-7, 20)
    exact = entries(np.indices(shape).reshape(4, -1).T).reshape(shape)
    error = np.linalg.norm(_array(found) - exact) / np.linalg.norm(exact)
    assert error < 1e-6
    with pytest.raises(ValueError, match="max_rank: got 3; wants at least"):
        tensor_train_cross(entries, shape, 1e-7, 3)


@pytest.mark.parametrize("tolerance", [1e-12, 1e-9, 1e-6])
def test_a_lattice_fits_between_the_nodes_too(tolerance):
    def f(x):
        return np.exp(-0.1 * (x - 1.0) ** 4) * (2.0 + np.sin(3.0 * x))

    y = np.linspace(-6.0, 6.0, 150)
    lattice = fit_lattice(y, f(y)[:, None], tolerance)
    assert lattice.error <= tolerance
    weights = lattice.weights(f(y)[:, None])
    x = np.linspace(-12.0, 12.0, 777)
    found = gaussian_rows(x, lattice.centres, lattice.width) @ weights
    # Beyond the box as well, where it is 0.
    np.testing.assert_allclose(found[:, 0], f(x), atol=30.0 * tolerance)


def test_coarser_lattices_for_larger_tolerances_and_what_nodes_cannot_tell():
    y = np.linspace(-6.0, 6.0, 150)
    f = np.exp(-2.0 * y[:, None] ** 2)
    sizes = [fit_lattice(y, f, tolerance).centres.size for tolerance in (1e-12, 1e-8, 1e-4)]
    assert sizes[0] > sizes[1] > sizes[2]
    finer, more = upsample(y, f)
    np.testing.assert_allclose(more[:, 0], np.exp(-2.0 * finer**2), atol=1e-13)
    assert unresolved(f) < 1e-14
    assert unresolved(np.where(np.abs(y[:, None]) < 2.0, 1.0, 0.0)) > 1e-4
