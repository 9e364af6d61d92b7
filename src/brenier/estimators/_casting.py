"""Modules in another floating precision."""

from typing import Any

import equinox as eqx
import jax


def cast(module: Any, dtype: Any) -> Any:
    """The same module with its floating arrays in this precision."""
    floats, rest = eqx.partition(module, eqx.is_inexact_array)
    return eqx.combine(jax.tree.map(lambda leaf: leaf.astype(dtype), floats), rest)
