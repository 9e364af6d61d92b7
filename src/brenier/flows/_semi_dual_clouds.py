"""The points of both sides that train a semi-dual: batches spread over clouds, in rounds."""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from brenier._types import Array, Bool, Float, Int, Key, Points
from brenier.flows._strata import cell_order, spread_batches, spread_rows
from brenier.measures import AbstractMeasure, Empirical

# Training begins with target points for so many steps: were there more, x̂ would lag behind φ where
# that still moves fast. Each further round has a tenth more.
_FIRST, _GROWTH = 16, 10
# New points of a batch that are given a start, at most: a round's tenth, spread, is one eleventh
# of each of its batches, and three standard deviations beside.
_NEW = 8
# Of a law that is sampled so many points are drawn at most, of so many numbers at most.
_POINTS, _FLOATS = 2**18, 2**24


class SourceCloud(eqx.Module):
    """Points of a source that is sampled, none of an ``Empirical``; ``cells`` orders by place."""

    drawn: Points
    cells: Int[Array, " m"]

    @classmethod
    def of(
        cls, source: AbstractMeasure, batch: int, steps: int, precision: Any, key: Key
    ) -> "SourceCloud":
        if isinstance(source, Empirical):
            return cls(source.points[:0], cell_order(source.points))
        drawn = _sample(source, key, batch, steps, precision)
        return cls(drawn, cell_order(drawn))

    def batch(self, source: AbstractMeasure, count: int, key: Key) -> Points:
        """Points, one of each of so many runs of neighbours."""
        if isinstance(source, Empirical):
            return source.points[spread_rows(self.cells, source.weights, key, count)]
        return self.drawn[spread_rows(self.cells, None, key, count)]


class TargetCloud(eqx.Module):
    """Target points and the x̂(y) that each has kept from its last visit.

    Points are seen in the order of ``arrival``, the first ``seen`` so far: each is visited once in
    a round, in ``order``, of which the next batch begins at ``turn``. ``new`` ones have no x̂ yet.
    In the order of ``cells`` neighbours lie close.
    """

    points: Points
    conjugates: Points
    cells: Int[Array, " m"]
    arrival: Int[Array, " m"]
    seen: Int[Array, ""]
    turn: Int[Array, ""]
    order: Int[Array, " m"]
    new: Bool[Array, " m"]

    @classmethod
    def of(
        cls, target: AbstractMeasure, batch: int, steps: int, precision: Any, key: Key
    ) -> "TargetCloud":
        """Whose first step begins a round."""
        draw_key, arrival_key = jax.random.split(key)
        if isinstance(target, Empirical):
            points = target.points
        else:
            points = _sample(target, draw_key, batch, steps, precision)
        rows, cells = len(points), cell_order(points)
        every = jnp.ones(rows, bool)
        arrival = spread_batches(cells, every, arrival_key, min(batch, rows))
        order = jnp.arange(rows)
        # As a start, the potential is about ½‖x‖², its own conjugate.
        none = jnp.asarray(0)
        return cls(points, points, cells, arrival, none, none, order, every)

    def next_round(self, batch: int, key: Key) -> "TargetCloud":
        """Where the last one is over, a round of all points seen and some more, each once."""
        rows, size = len(self.points), self._size(batch)

        def begun() -> tuple[Array, Array, Array]:
            more = self.seen + self.seen // _GROWTH
            seen = jnp.minimum(rows, jnp.maximum(more, _FIRST * batch))
            among = jnp.zeros(rows, bool).at[self.arrival].set(jnp.arange(rows) < seen)
            return spread_batches(self.cells, among, key, size), seen, jnp.zeros_like(self.turn)

        over = self.turn + size > self.seen
        order, seen, turn = jax.lax.cond(over, begun, lambda: (self.order, self.seen, self.turn))
        return dataclasses.replace(self, order=order, seen=seen, turn=turn)

    def next_batch(
        self, batch: int, start: Callable[[Float[Array, "k d"]], Float[Array, "k d"]]
    ) -> tuple["TargetCloud", Int[Array, " l"], Bool[Array, ""]]:
        """The rows of the next batch, new ones in front, with a start each unless training begins.

        And whether some were given one.
        """
        size = self._size(batch)
        count = max(1, size // _NEW)
        rows = jax.lax.dynamic_slice_in_dim(self.order, self.turn, size)
        rows = rows[jnp.argsort(~self.new[rows])]
        front = rows[:count]
        new = self.new[front]
        some = jnp.any(new) & (self.seen > _FIRST * batch)
        known = self.conjugates[front]
        begun = jax.lax.cond(
            some, lambda: jnp.where(new[:, None], start(self.points[front]), known), lambda: known
        )
        return (
            dataclasses.replace(self, conjugates=self.conjugates.at[front].set(begun)),
            rows,
            some,
        )

    def visited(self, rows: Int[Array, " l"], conjugates: Points) -> "TargetCloud":
        """With the x̂ of the rows of a batch, which is done."""
        return dataclasses.replace(
            self,
            conjugates=self.conjugates.at[rows].set(conjugates),
            new=self.new.at[rows].set(False),
            turn=self.turn + len(rows),
        )

    def _size(self, batch: int) -> int:
        """Points of a step."""
        return min(batch, len(self.points))


def _sample(law: AbstractMeasure, key: Key, batch: int, steps: int, precision: Any) -> Points:
    """Points (n, d) of a law for so many steps, drawn in its precision and kept in that one."""
    batches = _FIRST + steps // _GROWTH
    most = min(_POINTS, _FLOATS // law.dimension) // batch
    return law.sample(key, batch * max(2, min(batches, most))).astype(precision)
