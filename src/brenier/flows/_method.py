"""The interface of a method: frozen configuration with ``init`` and ``step``."""

import abc
from typing import ClassVar, Generic, TypeVar

import equinox as eqx
import jax.numpy as jnp

from brenier._types import Key, Points, Scalar
from brenier.maps import AbstractMap, GradientMap
from brenier.measures import AbstractMeasure
from brenier.potentials import ICNN, LogSumExp

State = TypeVar("State", bound=eqx.Module)
Map = TypeVar("Map", bound=AbstractMap)

# Pieces of the maximum that ``identity_of_pieces`` smooths: its parameters stay few hundred in
# the low dimensions where Gauss-Newton matrices are formed.
_PIECES = 32


class AbstractMethod(eqx.Module, Generic[State, Map]):
    """Frozen configuration of an evolution of a map; the driver in ``solve`` loops over ``step``.

    ``init`` and ``step`` are pure: they jit, vmap over seeds, and draw from the key in the state.
    """

    steps: eqx.AbstractVar[int]
    # Whether a block of steps is one compiled loop; else one compiled step is called in turn.
    compiled_loop: ClassVar[bool] = True

    @abc.abstractmethod
    def default_initial(self, key: Key, points: Points) -> AbstractMap:
        """Where ``solve`` starts if it is given no map: about the identity on these source points.

        Raises:
            ValueError: a method that has no such start.
        """

    @abc.abstractmethod
    def init(
        self, source: AbstractMeasure, target: AbstractMeasure, initial: AbstractMap, key: Key
    ) -> State:
        """The state before the first step, started at the map ``initial``."""

    @abc.abstractmethod
    def step(self, state: State, source: AbstractMeasure, target: AbstractMeasure) -> State:
        """One (outer) step."""

    @abc.abstractmethod
    def current_map(self, state: State) -> Map:
        """The map that a state stands for."""


def identity_of_network(key: Key, points: Points) -> GradientMap:
    """About the identity, by an ``ICNN``: the family for any dimension."""
    network = ICNN.identity(
        key, points.shape[1], activation="squareplus", scale=float(_size(points))
    )
    return GradientMap(network)


def identity_of_pieces(key: Key, points: Points) -> GradientMap:
    """About the identity, by a ``LogSumExp``: few parameters in low dimension."""
    size = float(_size(points))
    soft = LogSumExp.identity(key, points.shape[1], _PIECES, scale=size, temperature=0.5 * size**2)
    return GradientMap(soft)


def _size(points: Points) -> Scalar:
    """The root mean square of a coordinate."""
    return jnp.maximum(jnp.sqrt(jnp.mean(points**2)), jnp.finfo(points.dtype).tiny)
