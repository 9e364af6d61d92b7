"""A pair of clouds in standard coordinates: points to learn from, and points held out."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from brenier._types import Array, Float, Key, RowWeights
from brenier.estimators.data._pair import Pair
from brenier.maps import AffineMap, Pushforward
from brenier.measures import AbstractMeasure, Empirical
from brenier.numerics import Coordinates, random_order

# Below this many points a side none can be spared.
FEW = 64
# Held-out points a side: they tell apart two maps whose dual values differ by some 1e-4.
_HELD_OUT, _HELD_OUT_SHARE = 8192, 8


@dataclass(frozen=True, eq=False)
class StandardData:
    """What a candidate learns from and what candidates are compared on, in standard coordinates.

    The Gaussian map is the identity here, and its potential ½‖·‖².

    Args:
        u: source points (n, d) to learn from.
        v: target points (m, d) to learn from.
        u_held, v_held: points held out; all of them once more where they are few.
        laws: those of u and of v, where they are measures: fresh points come from them.
        weights: of u and of v, (n,) and (m,): how many rows each point stands for.
        held_weights: of u_held and of v_held.
    """

    u: Float[Array, "n d"]
    v: Float[Array, "m d"]
    u_held: Float[Array, "k d"]
    v_held: Float[Array, "l d"]
    laws: tuple[AbstractMeasure | None, AbstractMeasure | None] = (None, None)
    weights: tuple[RowWeights, RowWeights] = (None, None)
    held_weights: tuple[RowWeights, RowWeights] = (None, None)

    @classmethod
    def of(
        cls, pair: Pair, coordinates: Coordinates, precision: Any, *, keys: tuple[Key, Key]
    ) -> "StandardData":
        """The pair in these coordinates; one key a side chooses the points held out."""
        x, y = jnp.asarray(pair.source.points), jnp.asarray(pair.target.points)
        u, u_held = _split(keys[0], coordinates.encode_source(x).astype(precision))
        v, v_held = _split(keys[1], coordinates.encode_target(y).astype(precision))
        masses = [
            _split_weights(key, side.weights)
            for key, side in zip(keys, (pair.source, pair.target), strict=True)
        ]
        own = pair.in_units(coordinates)
        # The target is the source of the way back.
        source, target = (
            None if law is None else _encoded(law, way)
            for law, way in zip(pair.laws, (own, own.reversed()), strict=True)
        )
        (a, a_held), (b, b_held) = masses
        return cls(u, v, u_held, v_held, (source, target), (a, b), (a_held, b_held))

    def reversed(self) -> "StandardData":
        """The same for the way back, from the target to the source."""
        return StandardData(
            self.v,
            self.u,
            self.v_held,
            self.u_held,
            self.laws[::-1],
            self.weights[::-1],
            self.held_weights[::-1],
        )

    @property
    def measures(self) -> tuple[AbstractMeasure, AbstractMeasure]:
        """Where the points to learn from come from: their laws, or the points themselves."""
        own, other = (
            Empirical(points, weights) if law is None else law
            for points, weights, law in zip((self.u, self.v), self.weights, self.laws, strict=True)
        )
        return own, other


def _encoded(law: AbstractMeasure, own: Coordinates) -> Pushforward:
    """The law of source points in these coordinates."""
    matrix = own.matrix / own.scale
    return Pushforward(law, AffineMap(matrix, -matrix @ own.source_shift))


def _split(
    key: Key, points: Float[Array, "n d"]
) -> tuple[Float[Array, "k d"], Float[Array, "l d"]]:
    """Points to learn from and points held out; all of them twice where they are few."""
    if len(points) < FEW:
        return points, points
    held = min(_HELD_OUT, len(points) // _HELD_OUT_SHARE)
    shuffled = points[random_order(key, len(points))]
    return shuffled[held:], shuffled[:held]


def _split_weights(key: Key, weights: RowWeights) -> tuple[RowWeights, RowWeights]:
    """The weights of the points of ``_split``."""
    if weights is None or len(weights) < FEW:
        return weights, weights
    rows = random_order(key, len(weights))
    held = min(_HELD_OUT, len(weights) // _HELD_OUT_SHARE)
    return weights[rows[held:]], weights[rows[:held]]
