"""The interface of a method: frozen configuration with ``init`` and ``step``."""

import abc

import equinox as eqx

from brenier._types import Array, Int, Key
from brenier.maps import AbstractMap
from brenier.measures import AbstractMeasure


class AbstractState(eqx.Module):
    """What a method carries from step to step; private to the method but for the count."""

    step: eqx.AbstractVar[Int[Array, ""]]


class AbstractMethod(eqx.Module):
    """Frozen configuration of an evolution of a map; the driver in ``solve`` loops over ``step``.

    ``init`` and ``step`` are pure: they jit, vmap over seeds, and draw from the key in the state.
    """

    steps: eqx.AbstractVar[int]

    @abc.abstractmethod
    def init(
        self, source: AbstractMeasure, target: AbstractMeasure, initial: AbstractMap, key: Key
    ) -> AbstractState:
        """The state before the first step, started at the map ``initial``."""

    @abc.abstractmethod
    def step(
        self, state: AbstractState, source: AbstractMeasure, target: AbstractMeasure
    ) -> AbstractState:
        """One (outer) step."""

    @abc.abstractmethod
    def current_map(self, state: AbstractState) -> AbstractMap:
        """The map that a state stands for."""
