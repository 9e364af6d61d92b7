"""A function over many points, block by block, so that memory is bounded and one shape compiles."""

import math
import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier._arithmetic import in_own_arithmetic
from brenier._checks import check_at_least
from brenier._progress import Progress, ProgressCallback
from brenier._types import Array, Batch, Point
from brenier.numerics._devices import on_each_device, over_devices, sharing

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
# Numbers a coordinate that another pass of the same evaluation goes over.
_PER_COORDINATE = 16
# Fewer points take no less time.
_LEAST_SIZE = 16


def over_points(function: Callable[[Point], Any], x: Batch, *, floats: int) -> Any:
    """function over the leading axes of x: (..., d) to (..., *out), or a tree of such arrays.

    More points than a few blocks hold are taken block after block, inside of one program, so that
    working memory does not grow with their number. Not where the calls are not compiled: take
    ``on_all_cores``.

    Args:
        function: of one point (d,), to an array or a tree of arrays.
        x: (..., d).
        floats: about how many numbers one point needs in working memory.

    >>> over_points(jnp.sum, jnp.ones((2, 3, 4)), floats=4).tolist()
    [[4.0, 4.0, 4.0], [4.0, 4.0, 4.0]]
    """
    if x.ndim == 1:
        return function(x)
    lead, n = x.shape[:-1], math.prod(x.shape[:-1])
    flat = x.reshape(n, x.shape[-1])
    block, devices = block_size(floats), sharing()
    if n <= (4 * block if devices == 1 else 0):
        out = jax.vmap(function)(flat)
    else:
        turns = -(-n // (block * devices))
        tiles = _cut(jnp, flat, -(-n // (turns * devices)), devices)
        mapped = block_by_block(function, (tiles,))
        out = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:])[:n], mapped)
    return jax.tree.map(lambda a: a.reshape(lead + a.shape[1:]), out)


def block_by_block(function: Callable[..., Any], blocks: tuple[Array, ...]) -> Any:
    """function of each row of (blocks, rows, ...), each device its own blocks in turn."""
    return on_each_device(eqx.Partial(_in_turn, function), blocks)


def _in_turn(function: Callable[..., Any], blocks: tuple[Array, ...]) -> Any:
    return jax.lax.map(lambda block: jax.vmap(function)(*block), blocks)


def on_all_cores(
    function: Callable[[Point], Any], x: Batch, *, floats: int, passes: int = 1
) -> Any:
    """``over_points``, compiled; x is divided between the cores of a CPU, or several accelerators.

    One program takes its blocks one after the other, and each is too small to keep more than one
    core at work. So each core runs the program on a part of x; working memory is that of one
    program times the number of cores. Parts are filled up with their last point to one of a few
    sizes, so that a program once compiled serves clouds of about as many points.

    It is one call of its own shape on one core where x is traced or lies on other devices; and one
    call on one core where the function calls LAPACK or an FFT, which can wait for each other for
    ever.

    Args:
        function: of one point (d,). A method of an equinox module, or an ``eqx.Partial``, compiles
            once for all its parameters.
        x: (..., d).
        floats: as for ``over_points``.
        passes: how often an evaluation passes over as many numbers, about: whether several
            accelerators are worth it.

    >>> on_all_cores(jnp.sum, jnp.ones((2, 3)), floats=3).tolist()
    [3.0, 3.0]
    """
    n, d = math.prod(x.shape[:-1]), x.shape[-1]
    on_cpu = all(map(_is_of_one_cpu, jax.tree.leaves((function, x))))
    if x.ndim == 1 or n == 0 or not on_cpu or jax.default_backend() != "cpu":
        return _shared(function, x, floats, passes)
    block = block_size(floats)
    parts = max(1, min(cpu_cores(), n // block))
    if parts > 1 and _is_blocking(function, jax.ShapeDtypeStruct((d,), x.dtype)):
        parts = 1
    size = _common_size(-(-n // parts), min(block, _LEAST_SIZE))
    pieces = _cut(np, np.asarray(x).reshape(n, d), size)

    def found(part: np.ndarray) -> Any:
        return jax.tree.map(np.asarray, _compiled(function, jax.device_put(part), floats))

    if len(pieces) == 1:
        results = [found(pieces[0])]
    else:
        with ThreadPoolExecutor(len(pieces)) as pool:
            # A thread has settings of its own.
            results = list(pool.map(in_own_arithmetic(found), pieces))

    def joined(*arrays: np.ndarray) -> Array:
        whole = arrays[0][:n] if len(arrays) == 1 else np.concatenate(arrays)[:n]
        return jax.device_put(whole.reshape(x.shape[:-1] + whole.shape[1:]))

    return jax.tree.map(joined, *results)


def in_blocks(
    function: Callable[[Array], Any],
    x: np.ndarray,
    rows: int,
    *,
    progress: ProgressCallback | None = None,
    stage: str = "",
) -> np.ndarray:
    """A function that treats each row by itself, evaluated in blocks of exactly ``rows`` rows.

    The last block is filled up with its last row, and what comes of that is cut off: whatever the
    number of rows, a compiled function is compiled once. Arrays go to and fro between the host and
    the device block by block, so that only the result has the size of x.

    Not inside of compiled code, nor for a function of one point: take ``over_points`` there.

    Args:
        function: of a block, (rows, ...) to an array (rows, *out).
        x: (n, ...), n at least 1.
        rows: of a block. With ``min(rows, n)`` few rows make one block of their own size; with a
            fixed number all calls share one compilation.
        progress: told before each block how many rows are done.
        stage: what is being done, in the words of ``progress``.

    Raises:
        ValueError: x without rows, or ``rows`` below 1.

    >>> in_blocks(lambda block: 2.0 * block, np.arange(5.0), 2).tolist()
    [0.0, 2.0, 4.0, 6.0, 8.0]
    """
    check_at_least("rows", rows, 1)
    n = len(x)
    if n == 0:
        raise ValueError("x: got no rows; wants at least 1.")
    out: np.ndarray | None = None
    for start in range(0, n, rows):
        if progress is not None:
            progress(Progress(start, n, stage))
        (block,) = _cut(np, x[start : start + rows], rows)
        made = np.asarray(function(jax.device_put(block)))
        if out is None:
            out = np.empty((n, *made.shape[1:]), made.dtype)
        out[start : start + rows] = made[: n - start]
    assert out is not None
    return out


def _cut(library: Any, x: Any, rows: int, multiple: int = 1) -> Any:
    """(n, ...) to (blocks, rows, ...), so many blocks, filled up with the last row: one shape."""
    fill = [(0, -x.shape[0] % (rows * multiple))] + [(0, 0)] * (x.ndim - 1)
    return library.pad(x, fill, mode="edge").reshape(-1, rows, *x.shape[1:])


def _numbers(function: Any, x: Any, floats: int, passes: int) -> int:
    again = (passes - 1) * _PER_COORDINATE * x.shape[-1]
    return x.size // x.shape[-1] * (floats + again) if x.ndim > 1 else 0


@over_devices(_numbers, factorises=True)
def _shared(function: Callable[[Point], Any], x: Batch, floats: int, passes: int) -> Any:
    return _compiled(function, x, floats)


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


@lru_cache(maxsize=256)
def _blocking_program(
    structure: jax.tree_util.PyTreeDef, kinds: tuple[Any, ...], point: jax.ShapeDtypeStruct
) -> bool:
    function = jax.tree.unflatten(structure, kinds)
    jaxpr = eqx.filter_make_jaxpr(lambda f, x: f(x))(function, point)[0]
    return _BLOCKING.search(str(jaxpr)) is not None


def _common_size(n: int, least: int) -> int:
    """The least size of at least n points that programs are compiled for: four an octave."""
    step = max(1, 2 ** (n - 1).bit_length() // 8)
    return max(least, -(-n // step) * step)


def block_size(floats: int) -> int:
    """How many points are taken at once, of so many numbers each."""
    return max(1, _BLOCK_FLOATS.get(jax.default_backend(), _BLOCK_FLOATS_ELSEWHERE) // floats)


# Digits from which a number of threads is none.
_LONGEST = 10


def cpu_cores() -> int:
    """The number of cores that this process may use, at most ``OMP_NUM_THREADS`` (1 in workers).

    >>> cpu_cores() >= 1
    True
    """
    affinity = getattr(os, "sched_getaffinity", None)
    count = (os.cpu_count() or 1) if affinity is None else len(affinity(0))
    # Of "4,2", threads a level of nesting, the first; whatever is no number sets no limit.
    limit = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    whole = limit.isascii() and limit.isdigit() and len(limit) < _LONGEST
    return min(count, max(1, int(limit))) if whole else count


def _is_of_one_cpu(leaf: Any) -> bool:
    """False where a thread could not take it over, or other devices are at work on it."""
    if isinstance(leaf, jax.core.Tracer):
        return False
    devices = leaf.devices() if isinstance(leaf, jax.Array) else jax.devices()[:1]
    return [device.platform for device in devices] == ["cpu"]
