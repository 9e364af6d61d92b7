"""Maps after maps."""

import equinox as eqx

from brenier._types import Point
from brenier.maps._base import AbstractMap


class Composition(AbstractMap):
    """T = T_k ∘ … ∘ T_1, the first of ``maps`` applied first.

    Not a Monge map in general, even when every part is one.

    >>> import jax.numpy as jnp
    >>> from brenier.maps import AffineMap
    >>> double = AffineMap(2.0 * jnp.eye(1), jnp.zeros(1))
    >>> add = AffineMap(jnp.eye(1), jnp.ones(1))
    >>> Composition((double, add))(jnp.array([3.0])).tolist()
    [7.0]
    """

    maps: tuple[AbstractMap, ...] = eqx.field(converter=tuple)

    def __check_init__(self):
        dimensions = {part.dimension for part in self.maps}
        if len(dimensions) != 1:
            raise ValueError(
                f"maps: got maps of dimensions {sorted(dimensions)}; wants at least "
                "one map, all of one dimension."
            )

    @property
    def dimension(self) -> int:
        return self.maps[0].dimension

    def apply(self, x: Point) -> Point:
        for part in self.maps:
            x = part.apply(x)
        return x

    def inverse(self) -> "Composition":
        """T_1⁻¹ ∘ … ∘ T_k⁻¹; a ``ValueError`` where a part has none."""
        return Composition(tuple(part.inverse() for part in reversed(self.maps)))
