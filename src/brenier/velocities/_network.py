"""A velocity given by a neural network."""

import equinox as eqx
import jax
import jax.numpy as jnp

from brenier._checks import check_key
from brenier._types import Key, Point, Scalar
from brenier.velocities._base import AbstractVelocity, Frame


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
        check_key("key", key)
        d = centre.shape[-1]
        network = eqx.nn.MLP(d + 3, d, width, depth, jax.nn.silu, key=key, dtype=centre.dtype)
        return cls(network, centre, scale)

    @property
    def dimension(self) -> int:
        return self.centre.shape[-1]

    @property
    def standard(self) -> Frame:
        own = NetworkVelocity(self.network, jnp.zeros_like(self.centre), jnp.ones_like(self.width))
        return Frame.fixed(self.centre, self.width, own)

    def at(self, time: Scalar, x: Point) -> Point:
        angle = jnp.pi * time
        moment = jnp.stack([jnp.asarray(time, x.dtype), jnp.sin(angle), jnp.cos(angle)])
        off = (x - self.centre) / self.width
        return self.width * self.network(jnp.concatenate([off, moment.astype(x.dtype)]))
