"""The precision of the products inside an image network, where it is not all of float32's."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp

from brenier._arithmetic import products_in
from brenier._types import Array

Precision: TypeAlias = Literal["highest", "tf32", "bfloat16"]
"""Of float32 numbers: all their 24 bits, 11 (on a GPU; a CPU keeps all), or 8 (everywhere)."""
# In JAX's words.
_NAMES = MappingProxyType({"highest": "highest", "tf32": "tensorfloat32", "bfloat16": "bfloat16"})
# Steps of a flow see a network's rounding as roughness: finer tolerances are never met.
_LEAST_TOLERANCE = MappingProxyType({"highest": 0.0, "tf32": 1e-3, "bfloat16": 1e-2})


def check_precision(value: str) -> str:
    """The precision, or a ``ValueError``.

    >>> check_precision("tf32")
    'tf32'
    """
    if value not in _NAMES:
        raise ValueError(f"precision: got {value!r}; wants one of {list(_NAMES)}.")
    return value


def reachable(tolerance: float, precision: Precision) -> float:
    """The tolerance, or the least that a flow through such a network meets."""
    return max(tolerance, _LEAST_TOLERANCE[precision])


@contextmanager
def network_products(precision: Precision) -> Iterator[None]:
    """A block in which the networks of image models multiply in this precision."""
    with products_in(_NAMES[precision]):
        yield


def as_asked(image: Array, precision: Precision) -> Array:
    """The image in float32 where fewer digits are asked for, which float64 products do not know."""
    return image if precision == "highest" else image.astype(jnp.float32)


def multiplied(product: Callable[..., Array], *factors: Array) -> Array:
    """The product, of factors rounded to bfloat16 where that is the precision in force.

    The one place where layers multiply: JAX's own setting leaves it to the device, and some ignore
    it. The result is of the factors' dtype again, so that all between products is in float32.
    """
    settings: Any = jax.config
    if settings.jax_default_matmul_precision != _NAMES["bfloat16"]:
        return product(*factors)
    return product(*(f.astype(jnp.bfloat16) for f in factors)).astype(factors[0].dtype)
