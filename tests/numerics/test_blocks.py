"""A function over many points: block by block, and a part of them on each core."""

import threading
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brenier._progress import Progress
from brenier.maps import AffineMap
from brenier.numerics import _blocks
from brenier.numerics._blocks import in_blocks, on_all_cores, over_points

# Blocks of two points.
_FLOATS = 2**17


def _both(shift: jax.Array, x: jax.Array) -> dict[str, jax.Array]:
    return {"point": jnp.sin(x + shift), "sum": jnp.sum(x)}


@pytest.mark.parametrize("cores", [1, 2, 3, 5])
@pytest.mark.parametrize("shape", [(1, 3), (5, 3), (4, 2, 3), (23, 3), (0, 3), (3,)])
def test_parts_on_cores_are_the_whole(monkeypatch, cores, shape):
    monkeypatch.setattr(_blocks, "cpu_cores", lambda: cores)
    x = jnp.asarray(np.random.default_rng(0).normal(size=shape))
    function = eqx.Partial(_both, jnp.asarray([1.0, 2.0, 3.0]))
    found = on_all_cores(function, x, floats=_FLOATS)
    np.testing.assert_allclose(found["point"], jnp.sin(x + jnp.array([1.0, 2.0, 3.0])), rtol=1e-15)
    np.testing.assert_allclose(found["sum"], jnp.sum(x, axis=-1), atol=1e-15)
    whole = over_points(function, x, floats=_FLOATS)
    assert jax.tree.map(jnp.shape, found) == jax.tree.map(jnp.shape, whole)


@pytest.mark.skipif(_blocks.cpu_cores() < 2, reason="one core, or OMP_NUM_THREADS=1")
def test_two_cores_work_at_once(monkeypatch):
    monkeypatch.setattr(_blocks, "cpu_cores", lambda: 2)
    # Neither passes before both have come; not the first time, when one compiles for both.
    gates = [threading.Barrier(1), threading.Barrier(2, timeout=60.0)]

    def met(x: np.ndarray) -> np.ndarray:
        gates[0].wait()
        return x

    def through_the_host(x: jax.Array) -> jax.Array:
        return jax.pure_callback(met, x, x, vmap_method="expand_dims")

    x = jnp.arange(12.0).reshape(6, 2)
    np.testing.assert_array_equal(on_all_cores(through_the_host, x, floats=_FLOATS), x)
    gates.pop(0)
    np.testing.assert_array_equal(on_all_cores(through_the_host, x, floats=_FLOATS), x)


def test_threads_of_a_worker_are_limited_as_elsewhere(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    everything = _blocks.cpu_cores()
    for limit, cores in (("1", 1), ("0", 1), ("100000", everything), ("4,2", everything)):
        monkeypatch.setenv("OMP_NUM_THREADS", limit)
        assert _blocks.cpu_cores() == cores


def test_traced_points_are_one_call(monkeypatch):
    monkeypatch.setattr(_blocks, "cpu_cores", lambda: 4)
    x = jnp.asarray(np.random.default_rng(1).normal(size=(2**14, 2)))
    map = AffineMap(2.0 * jnp.eye(2), jnp.ones(2))
    expected = 2.0 * np.asarray(x) + 1.0
    np.testing.assert_allclose(eqx.filter_jit(map)(x), expected, rtol=1e-15)
    np.testing.assert_allclose(eqx.filter_jit(lambda m: m(x))(map), expected, rtol=1e-15)
    gradient = jax.grad(lambda s: jnp.sum(AffineMap(s * jnp.eye(2), jnp.ones(2))(x)))(2.0)
    assert gradient == pytest.approx(float(jnp.sum(x)))


def test_clouds_of_about_one_size_share_a_program():
    traced = []

    def counted(scale: jax.Array, x: jax.Array) -> jax.Array:
        traced.append(x.shape)
        return scale * x

    function = eqx.Partial(counted, jnp.asarray(2.0))
    for shape in ((300, 2), (301, 2), (320, 2), (20, 16, 2)):
        x = np.random.default_rng(0).normal(size=shape)
        found = on_all_cores(function, jnp.asarray(x), floats=4)
        assert isinstance(found, jax.Array)
        np.testing.assert_array_equal(found, 2.0 * x)
    assert len(traced) == 1


def test_a_common_size_is_at_most_a_quarter_more():
    sizes = {n: _blocks._common_size(n, 16) for n in range(1, 5000)}
    assert all(n <= size <= max(1.25 * n, 16) for n, size in sizes.items())
    assert len(set(sizes.values())) < 40
    assert all(_blocks._common_size(n, 1) == n for n in range(1, 9))


def test_an_error_on_one_core_is_raised(monkeypatch):
    monkeypatch.setattr(_blocks, "cpu_cores", lambda: 2)

    def checked(x: jax.Array) -> jax.Array:
        return eqx.error_if(x, x[0] > 8.0, "x: got more than 8; wants less.")

    with pytest.raises(RuntimeError, match="wants less"):
        on_all_cores(checked, jnp.arange(20.0).reshape(10, 2), floats=_FLOATS)


@pytest.mark.parametrize(
    "function",
    [
        jnp.linalg.cholesky,
        jnp.linalg.inv,
        jnp.linalg.eigh,
        jnp.linalg.svd,
        jnp.linalg.qr,
        jnp.linalg.slogdet,
        jnp.fft.fft,
    ],
)
def test_what_could_wait_for_ever_is_one_call(monkeypatch, function):
    monkeypatch.setattr(_blocks, "cpu_cores", lambda: 2)
    # Two such programs at once have been seen to hang.
    monkeypatch.setattr(_blocks, "ThreadPoolExecutor", None)
    scale = jnp.ones(())

    def of_a_matrix(scale: jax.Array, x: jax.Array) -> Any:
        return function(scale * (jnp.outer(x, x) + jnp.eye(4)))

    on_all_cores(eqx.Partial(of_a_matrix, scale), jnp.ones((10, 4)), floats=_FLOATS)
    with pytest.raises(TypeError):
        on_all_cores(eqx.Partial(_both, scale), jnp.ones((10, 4)), floats=_FLOATS)


@settings(deadline=None)
@given(
    n=st.integers(1, 40),
    rows=st.integers(1, 50),
    lead=st.sampled_from([(), (3,), (2, 2)]),
    dtype=st.sampled_from([np.float32, np.float64, np.int64]),
)
def test_blocks_on_the_host_are_the_whole_and_of_one_shape(n, rows, lead, dtype):
    x = np.random.default_rng(0).normal(scale=9.0, size=(n, *lead)).astype(dtype)
    shapes, told = set(), []

    def function(block: jax.Array) -> np.ndarray:
        shapes.add((block.shape, block.dtype))
        return np.stack([block, 2 * np.asarray(block)], axis=1)

    found = in_blocks(function, x, rows, progress=told.append, stage="moving")
    np.testing.assert_array_equal(found, np.stack([x, 2 * x], axis=1))
    assert found.dtype == dtype
    assert shapes == {((rows, *lead), np.dtype(dtype))}
    assert [now[:3] for now in told] == [(done, n, "moving") for done in range(0, n, rows)]
    assert all(isinstance(now, Progress) for now in told)


def test_blocks_on_the_host_compile_once():
    traces = []

    @jax.jit
    def function(block: jax.Array) -> jax.Array:
        traces.append(block.shape)
        return jnp.sum(block, axis=1)

    for n in (1, 5, 8, 23):
        x = np.arange(3.0 * n).reshape(n, 3)
        np.testing.assert_array_equal(in_blocks(function, x, 8), x.sum(axis=1))
    assert traces == [(8, 3)]


def test_blocks_of_nothing_are_refused():
    with pytest.raises(ValueError, match="x: got no rows; wants at least 1"):
        in_blocks(jnp.sin, np.empty((0, 2)), 4)
    with pytest.raises(ValueError, match="rows: got 0; wants an integer of at least 1"):
        in_blocks(jnp.sin, np.ones((3, 2)), 0)
