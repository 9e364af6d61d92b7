"""Arrays that users hand in, and one function of a point over many points in bounded memory."""

import functools
import math
import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier._types import Array, Batch, Point

# Two programs that factorise matrices or transform at the same time can wait for each other's
# threads for ever (jaxlib 0.10, CPU).
_BLOCKING = re.compile(
    r" = (cholesky|triangular_solve|lu|eig|geqr|qr|householder|svd|schur"
    r"|hessenberg|tridiagonal|fft|ffi_call)"
)
# Numbers held at once by one block of points. On a CPU a block that stays in the cache is two to
# five times faster than all points at once; an accelerator wants as many as its memory takes.
_BLOCK_FLOATS = {"cpu": 2**18}
_BLOCK_FLOATS_ELSEWHERE = 2**26


def over_points(function: Callable[[Point], Any], x: Batch, *, floats: int) -> Any:
    """function over the leading axes of x: (..., d) to (..., *out), or a tree of such arrays.

    ``floats`` is about what one point needs in working memory. More points than a few blocks hold
    are taken block after block, so that memory does not grow with their number.
    """
    if x.ndim == 1:
        return function(x)
    lead, n = x.shape[:-1], math.prod(x.shape[:-1])
    flat = x.reshape(n, x.shape[-1])
    block = _block(floats)
    if n <= 4 * block:
        out = jax.vmap(function)(flat)
    else:
        # Filled up with the last point: one shape of block, so one compilation.
        filled = jnp.pad(flat, ((0, -n % block), (0, 0)), mode="edge")
        blocks = filled.reshape(-1, block, x.shape[-1])
        mapped = jax.lax.map(jax.vmap(function), blocks)
        out = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:])[:n], mapped)
    return jax.tree.map(lambda a: a.reshape(lead + a.shape[1:]), out)


def on_all_cores(function: Callable[[Point], Any], x: Batch, *, floats: int) -> Any:
    """``over_points``, compiled, and on a CPU for a part of x on each core.

    The blocks of one program come one after the other, each too small for more than a core. As
    many parts take as many times the memory of one, however many points there are.

    Args:
        function: of a point: a method of an equinox module, or an ``eqx.Partial``, compiles once
            for all its parameters.
        x: (..., d). Traced, on several devices, or of a function with factorisations past closed
            forms, it is one call.
        floats: as for ``over_points``.
    """
    n, d = math.prod(x.shape[:-1]), x.shape[-1]
    parts = min(cores(), n // _block(floats))
    alone = x.ndim == 1 or parts < 2 or not all(map(_is_of_one_cpu, jax.tree.leaves((function, x))))
    if alone or _is_blocking(function, jax.ShapeDtypeStruct((d,), x.dtype)):
        return _compiled(function, x, floats)
    # Parts of one shape, so one compilation, the last one filled up with the last point.
    rows = -(-n // parts)
    flat = np.pad(np.asarray(x).reshape(n, d), ((0, -n % rows), (0, 0)), mode="edge")

    def found(part: np.ndarray) -> Any:
        return jax.tree.map(np.asarray, _compiled(function, jnp.asarray(part), floats))

    with ThreadPoolExecutor(parts) as pool:
        pieces = list(pool.map(found, flat.reshape(-1, rows, d)))

    def joined(*arrays: np.ndarray) -> Array:
        whole = np.concatenate(arrays)[:n]
        return jnp.asarray(whole.reshape(x.shape[:-1] + whole.shape[1:]))

    return jax.tree.map(joined, *pieces)


@eqx.filter_jit
def _compiled(function: Callable[[Point], Any], x: Batch, floats: int) -> Any:
    return over_points(function, x, floats=floats)


def _is_blocking(function: Callable[[Point], Any], point: jax.ShapeDtypeStruct) -> bool:
    """Whether the program has primitives of ``_BLOCKING``; traced once for all parameters."""
    leaves, structure = jax.tree.flatten(function)
    kinds = (
        jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
        if isinstance(leaf, jax.Array | np.ndarray)
        else leaf
        for leaf in leaves
    )
    return _blocking_program(structure, tuple(kinds), point)


@functools.lru_cache(maxsize=256)
def _blocking_program(
    structure: jax.tree_util.PyTreeDef, kinds: tuple[Any, ...], point: jax.ShapeDtypeStruct
) -> bool:
    function = jax.tree.unflatten(structure, kinds)
    jaxpr = eqx.filter_make_jaxpr(lambda f, x: f(x))(function, point)[0]
    return _BLOCKING.search(str(jaxpr)) is not None


def _block(floats: int) -> int:
    """How many points are taken at once."""
    return max(1, _BLOCK_FLOATS.get(jax.default_backend(), _BLOCK_FLOATS_ELSEWHERE) // floats)


def cores() -> int:
    """Those that this process may run on, ``OMP_NUM_THREADS`` at most: one, in worker processes."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = (os.cpu_count() or 1) if affinity is None else len(affinity(0))
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return min(cores, max(1, int(limit))) if limit.isdigit() else cores


def _is_of_one_cpu(leaf: Any) -> bool:
    """False where a thread could not take it over, or other devices are at work on it."""
    if isinstance(leaf, jax.core.Tracer):
        return False
    devices = leaf.devices() if isinstance(leaf, jax.Array) else jax.devices()[:1]
    return [device.platform for device in devices] == ["cpu"]
