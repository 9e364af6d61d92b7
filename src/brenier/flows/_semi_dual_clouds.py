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
# that still moves fast. This part of each further batch is new.
_FIRST, _NEW = 16, 8
# This part of a target that is sampled is drawn anew with each round: of no batch, which all are
# spread over old and new, more than an eighth is then new. A source's is drawn anew after so many
# steps: more often, ordering it would cost as much as the steps do.
_RENEWED, _LASTS = 16, 512
# Of a law that is sampled a cloud of so many batches is kept, at least and at most, and of so many
# numbers at most.
_LEAST, _MOST, _FLOATS = 2, 128, 2**24


class SourceCloud(eqx.Module):
    """Points of a source that is sampled, none of an ``Empirical``; ``cells`` orders by place."""

    drawn: Points
    cells: Int[Array, " m"]

    @classmethod
    def of(cls, source: AbstractMeasure, batch: int, precision: Any, key: Key) -> "SourceCloud":
        if isinstance(source, Empirical):
            return cls(source.points[:0], cell_order(source.points))
        drawn = _sample(source, key, _count(source, batch), precision)
        return cls(drawn, cell_order(drawn))

    def next_step(
        self, step: Int[Array, ""], source: AbstractMeasure, batch: int, key: Key
    ) -> "SourceCloud":
        """Now and then other points of a source that is sampled, all of them."""
        if isinstance(source, Empirical):
            return self
        return jax.lax.cond(
            (step + 1) % _LASTS == 0,
            lambda: SourceCloud.of(source, batch, self.drawn.dtype, key),
            lambda: self,
        )

    def batch(self, source: AbstractMeasure, count: int, key: Key) -> Points:
        """Points, one of each of so many runs of neighbours."""
        if isinstance(source, Empirical):
            return source.points[spread_rows(self.cells, source.weights, key, count)]
        return self.drawn[spread_rows(self.cells, None, key, count)]


class TargetCloud(eqx.Module):
    """Target points and the x̂(y) that each has kept from its last visit.

    Points are seen in the order of ``arrival``; the first ``seen`` are so far, and the first
    ``round`` visited in turn: in ``order``, of which a batch begins at ``turn``. ``new`` ones have
    no x̂ yet. In the order of ``cells`` neighbours lie close.
    """

    points: Points
    conjugates: Points
    cells: Int[Array, " m"]
    arrival: Int[Array, " m"]
    seen: Int[Array, ""]
    round: Int[Array, ""]
    turn: Int[Array, ""]
    order: Int[Array, " m"]
    new: Bool[Array, " m"]

    @classmethod
    def of(cls, target: AbstractMeasure, batch: int, precision: Any, key: Key) -> "TargetCloud":
        """Whose first step begins a round."""
        draw_key, arrival_key = jax.random.split(key)
        if isinstance(target, Empirical):
            points = target.points
        else:
            points = _sample(target, draw_key, _count(target, batch), precision)
        rows, cells = len(points), cell_order(points)
        first = jnp.asarray(min(rows, _FIRST * batch))
        new = _new(min(batch, rows))
        arrival = spread_batches(cells, jnp.ones(rows, bool), arrival_key, new)
        unseen = jnp.zeros(rows, bool).at[arrival].set(jnp.arange(rows) >= first)
        order = jnp.arange(rows)
        # As a start, the potential is about ½‖x‖², its own conjugate.
        return cls(points, points, cells, arrival, first, first, first, order, unseen)

    def round_is_over(self, batch: int) -> Bool[Array, ""]:
        return self.turn + self._size(batch) > self.round

    def next_round(
        self, over: Bool[Array, ""], target: AbstractMeasure, batch: int, key: Key
    ) -> "TargetCloud":
        """Where the last one is over, a round of all points seen, each once.

        Of a target that is sampled, once all are seen, the oldest make room for others. No point
        that stays waits for its turn longer than two rounds.
        """
        renewal_key, order_key = jax.random.split(key)
        cloud = self
        if not isinstance(target, Empirical):
            known = over & (self.seen == len(self.points))
            cloud = self._renewed(known, target, renewal_key)

        def shuffled() -> tuple[Array, Array, Array]:
            seen = jnp.arange(len(cloud.points)) < cloud.seen
            seen = jnp.zeros_like(seen).at[cloud.arrival].set(seen)
            order = spread_batches(cloud.cells, seen, order_key, self._size(batch))
            return order, cloud.seen, jnp.zeros_like(cloud.turn)

        order, round, turn = jax.lax.cond(
            over, shuffled, lambda: (cloud.order, cloud.round, cloud.turn)
        )
        return dataclasses.replace(cloud, order=order, round=round, turn=turn)

    def next_batch(
        self, batch: int, start: Callable[[Float[Array, "k d"]], Float[Array, "k d"]]
    ) -> tuple["TargetCloud", Int[Array, " l"], Bool[Array, ""]]:
        """The rows of the next batch, new ones in front while there are any, with a start each."""
        most, size = len(self.points), self._size(batch)
        count = _new(size)
        growing = self.seen < most
        places = jax.lax.dynamic_slice_in_dim(self.order, self.turn, size)
        first = jnp.minimum(self.seen, most - count)
        next = jax.lax.dynamic_slice_in_dim(self.arrival, first, count)
        rows = places.at[:count].set(jnp.where(growing, next, places[:count]))
        rows = rows[jnp.argsort(~self.new[rows])]
        y, known, new = (of[rows[:count]] for of in (self.points, self.conjugates, self.new))
        some = jnp.any(new)
        begun = jax.lax.cond(some, lambda: jnp.where(new[:, None], start(y), known), lambda: known)
        grown = dataclasses.replace(
            self,
            conjugates=self.conjugates.at[rows[:count]].set(begun),
            seen=jnp.where(growing, first + count, self.seen),
        )
        return grown, rows, some

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

    def _renewed(self, when: Bool[Array, ""], target: AbstractMeasure, key: Key) -> "TargetCloud":
        """Other points in the place of the oldest."""
        renewed = max(1, len(self.points) // _RENEWED)

        def drawn() -> tuple[Array, Array, Array, Array]:
            oldest, kept = self.arrival[:renewed], self.arrival[renewed:]
            others = _sample(target, key, renewed, self.points.dtype)
            points = self.points.at[oldest].set(others)
            new = self.new.at[oldest].set(True)
            return points, cell_order(points), jnp.append(kept, oldest), new

        points, cells, arrival, new = jax.lax.cond(
            when, drawn, lambda: (self.points, self.cells, self.arrival, self.new)
        )
        return dataclasses.replace(self, points=points, cells=cells, arrival=arrival, new=new)


def _new(size: int) -> int:
    """Points of a batch of that size that are new, while there are any."""
    return max(1, size // _NEW)


def _count(law: AbstractMeasure, batch: int) -> int:
    """Points that are kept of a law that is sampled."""
    return batch * max(_LEAST, min(_MOST, _FLOATS // law.dimension // batch))


def _sample(law: AbstractMeasure, key: Key, n: int, precision: Any) -> Points:
    """Points (n, d) in that precision; they are drawn in that of the law."""
    return law.sample(key, n).astype(precision)
