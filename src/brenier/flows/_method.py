"""The interface of a method: frozen configuration with ``init`` and ``step``."""

import abc
from typing import ClassVar, Generic, TypeVar

import equinox as eqx

from brenier._types import Key
from brenier.maps import AbstractMap
from brenier.measures import AbstractMeasure

State = TypeVar("State", bound=eqx.Module)


class AbstractMethod(eqx.Module, Generic[State]):
    """Frozen configuration of an evolution of a map; the driver in ``solve`` loops over ``step``.

    ``init`` and ``step`` are pure: they jit, vmap over seeds, and draw from the key in the state.
    """

    steps: eqx.AbstractVar[int]
    # Whether a block of steps is one compiled loop; else one compiled step is called in turn.
    compiled_loop: ClassVar[bool] = True
    # Whether it follows the density of a target that has one; else it wants the target's points.
    uses_density: ClassVar[bool] = True
    # Whether float32 is precise enough for it, and faster.
    single_precision: ClassVar[bool] = False

    @abc.abstractmethod
    def init(
        self, source: AbstractMeasure, target: AbstractMeasure, initial: AbstractMap, key: Key
    ) -> State:
        """The state before the first step, started at the map ``initial``."""

    @abc.abstractmethod
    def step(self, state: State, source: AbstractMeasure, target: AbstractMeasure) -> State:
        """One (outer) step."""

    @abc.abstractmethod
    def current_map(self, state: State) -> AbstractMap:
        """The map that a state stands for."""
