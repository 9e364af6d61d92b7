"""Modules in another floating precision."""

from typing import Any, TypeVar

import equinox as eqx
import jax

Tree = TypeVar("Tree")


def cast_floats(module: Tree, dtype: Any) -> Tree:
    """The same module (or tree of arrays) with its floating arrays in this precision.

    >>> import jax.numpy as jnp
    >>> half, whole = cast_floats((jnp.ones(2), jnp.arange(2)), jnp.float32)
    >>> str(half.dtype), str(whole.dtype)
    ('float32', 'int64')
    """
    floats, rest = eqx.partition(module, eqx.is_inexact_array)
    cast: Tree = eqx.combine(jax.tree.map(lambda leaf: leaf.astype(dtype), floats), rest)
    return cast
