"""One function of a point, taken over many points in bounded memory."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brenier._types import Array, Batch, Point

# Numbers held at once by one block of points: 2^24 doubles are 128 MiB.
_BLOCK_FLOATS = 2**24


def as_points(name: str, x: Any, dimension: int) -> Batch:
    """A floating JAX array (..., dimension), or a ``ValueError`` naming the argument."""
    array = jnp.asarray(x)
    if not jnp.issubdtype(array.dtype, jnp.floating):
        if not jnp.issubdtype(array.dtype, jnp.integer):
            raise ValueError(f"{name}: got dtype {array.dtype}; wants real numbers.")
        array = array.astype(np.float64)
    if array.ndim < 1 or array.shape[-1] != dimension:
        raise ValueError(f"{name}: got shape {array.shape}; wants (..., {dimension}).")
    return array


def over_points(function: Callable[[Point], Array], x: Batch, *, floats: int) -> Array:
    """function over the leading axes of x: (..., d) to (..., *out).

    ``floats`` is about what one point needs in working memory. More points than a block holds are
    taken block after block, so that memory does not grow with their number.
    """
    if x.ndim == 1:
        return function(x)
    lead = x.shape[:-1]
    flat = x.reshape(math.prod(lead), x.shape[-1])
    block = max(1, _BLOCK_FLOATS // floats)
    if flat.shape[0] <= block:
        out = jax.vmap(function)(flat)
    else:
        out = jax.lax.map(function, flat, batch_size=block)
    return out.reshape(lead + out.shape[1:])
