"""A velocity given by a neural network."""

import equinox as eqx
import jax
import jax.numpy as jnp

from brenier._types import Key, Point, Scalar
from brenier.velocities._base import AbstractVelocity


class NetworkVelocity(AbstractVelocity):
    """v_s(x) = w · MLP((x − c)/w, s, sin πs, cos πs): a learned velocity.

    Learned by ``brenier.flows.fit_velocity``. Not where a closed form exists
    (``MatchingVelocity``).

    Args:
        network: d + 3 numbers to d.
        centre, width: c (d,) and w, of the data: one number, or one for each column.

    >>> v = NetworkVelocity.random(jax.random.key(0), jnp.zeros(2), jnp.ones(()), width=8, depth=1)
    >>> v(0.5, jnp.ones(2)).shape
    (2,)
    """

    network: eqx.nn.MLP
    centre: Point
    width: Scalar | Point

    @classmethod
    def random(
        cls, key: Key, centre: Point, scale: Scalar | Point, *, width: int = 64, depth: int = 3
    ) -> "NetworkVelocity":
        """A network of random weights, with ``depth`` hidden layers of ``width`` units.

        Args:
            key: of the weights.
            centre: c (d,).
            scale: w.
            width, depth: of the hidden layers.
        """
        d = centre.shape[-1]
        network = eqx.nn.MLP(d + 3, d, width, depth, jax.nn.silu, key=key, dtype=centre.dtype)
        return cls(network, centre, scale)

    @property
    def dimension(self) -> int:
        return self.centre.shape[-1]

    def at(self, time: Scalar, x: Point) -> Point:
        return self.width * self.standard(time, (x - self.centre) / self.width)

    def standard(self, time: Scalar, x: Point) -> Point:
        """dx/ds of x that is centred and in units of w: there no digits drown in c."""
        angle = jnp.pi * time
        moment = jnp.stack([jnp.asarray(time, x.dtype), jnp.sin(angle), jnp.cos(angle)])
        return self.network(jnp.concatenate([x, moment.astype(x.dtype)]))
