"""Unconstrained maps: neural networks."""

from typing import Literal, NoReturn

import equinox as eqx
import jax
import jax.numpy as jnp

from brenier._checks import check_key
from brenier._types import Array, Float, Key, Point
from brenier.maps._base import AbstractMap

_ACTIVATIONS = {"gelu": jax.nn.gelu, "silu": jax.nn.silu, "tanh": jnp.tanh}


class ResidualNetwork(AbstractMap):
    """T(x) = x + W_K σ(… σ(W_1 x + b_1) …) + b_K: a drifting generative model (1.8).

    Nothing makes it a gradient: it may reach the target by a map that is far from optimal, and it
    need not have an inverse. Take ``GradientMap`` for a Monge map.

    >>> import jax
    >>> T = ResidualNetwork.identity(jax.random.key(0), dimension=2)
    >>> T(jax.numpy.array([1.0, 2.0])).tolist()
    [1.0, 2.0]

    DLV26, Remark 3.10.
    """

    weights: tuple[Float[Array, "_ _"], ...]
    biases: tuple[Float[Array, " _"], ...]
    activation: Literal["gelu", "silu", "tanh"] = eqx.field(static=True, default="silu")

    def __check_init__(self):
        if self.activation not in _ACTIVATIONS:
            raise ValueError(f"activation: got {self.activation!r}; wants {list(_ACTIVATIONS)}.")

    @classmethod
    def identity(
        cls,
        key: Key,
        dimension: int,
        widths: tuple[int, ...] = (64, 64),
        *,
        activation: Literal["gelu", "silu", "tanh"] = "silu",
    ) -> "ResidualNetwork":
        """Random hidden layers and a last layer of zeros: the identity map, ready to learn."""
        sizes = (dimension, *widths, dimension)
        keys = jax.random.split(check_key("key", key), len(widths))
        weights = [
            jax.random.normal(k, (out, into)) / jnp.sqrt(into)
            for k, into, out in zip(keys, sizes[:-2], sizes[1:-1], strict=True)
        ]
        weights.append(jnp.zeros((dimension, sizes[-2])))
        return cls(tuple(weights), tuple(jnp.zeros(out) for out in sizes[1:]), activation)

    @property
    def dimension(self) -> int:
        return self.weights[0].shape[-1]

    def apply(self, x: Point) -> Point:
        sigma = _ACTIVATIONS[self.activation]
        z = x
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            z = sigma(z @ weight.T + bias)
        return x + z @ self.weights[-1].T + self.biases[-1]

    def inverse(self) -> NoReturn:
        raise ValueError(
            "map: got ResidualNetwork, an unconstrained network with no inverse; wants a "
            "GradientMap, or fit the map of the other direction."
        )
