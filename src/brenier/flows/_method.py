"""The interface of a method: frozen configuration with ``init`` and ``step``."""

import abc
import difflib
import functools
from typing import Any, ClassVar, Generic, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp

from brenier._checks import check_instance
from brenier._types import Array, Int, Key, Points
from brenier.maps import AbstractMap, GradientMap
from brenier.measures import AbstractMeasure
from brenier.potentials import ICNN

# Devices that share a batch wait for each other in every pass over it: that pays where a pass takes
# longer than to launch it, which for SemiDual's some 50 passes a step is a millisecond on an H200.
_WAITS = 32

State = TypeVar("State", bound=eqx.Module)
Map = TypeVar("Map", bound=AbstractMap)

# Widths of the network where a Gauss-Newton matrix of all its parameters is formed: a few hundred.
FEW = (16, 16)


class AbstractMethod(eqx.Module, Generic[State, Map]):
    """Frozen configuration of an evolution of a map; the driver in ``solve`` loops over ``step``.

    ``init`` and ``step`` are pure: they jit, vmap over seeds, and draw from the key in the state.

    >>> import brenier
    >>> method = brenier.flows.ConstrainedDrift(steps=10)
    >>> isinstance(method, AbstractMethod), method.steps, method.uses_density
    (True, 10, True)
    >>> method.default_initial(jax.random.key(0), jnp.ones((8, 2))).dimension
    2
    """

    steps: eqx.AbstractVar[int]
    # Whether a block of steps is one compiled loop; else one compiled step is called in turn.
    compiled_loop: ClassVar[bool] = True
    # Whether it follows a target's density; else it wants its points, or draws them.
    uses_density: ClassVar[bool] = True
    # Whether float32 is precise enough for it, and faster.
    single_precision: ClassVar[bool] = False

    @abc.abstractmethod
    def default_initial(self, key: Key, points: Points) -> AbstractMap:
        """Where ``solve`` starts if it is given no map: about the identity on these source points.

        Raises:
            ValueError: a method that has no such start.
        """

    @abc.abstractmethod
    def init(
        self, source: AbstractMeasure, target: AbstractMeasure, initial: AbstractMap, *, key: Key
    ) -> State:
        """The state before the first step, started at the map ``initial``."""

    @abc.abstractmethod
    def step(self, state: State, source: AbstractMeasure, target: AbstractMeasure) -> State:
        """One (outer) step."""

    @abc.abstractmethod
    def current_map(self, state: State) -> Map:
        """The map that a state stands for."""


@functools.singledispatch
def shared_work(doer: object, on: Any, *args: Any) -> int:
    """The work of a method's step on a state, or of a metric on a map, that devices can share.

    In the units of ``over_devices``; 0 where it splits nothing.

    >>> shared_work("a metric of your own", None)
    0
    """
    return 0


def batch_work(network: Any, rows: int) -> int:
    """The work of passes of a network over rows of a batch, in the units of ``over_devices``.

    >>> batch_work(jnp.ones((64, 64)), 1024)
    131072
    """
    leaves = jax.tree.leaves(eqx.filter(network, eqx.is_inexact_array))
    return rows * sum(leaf.size for leaf in leaves) // _WAITS


def running_average(average: Any, now: Any, longest: float, step: Int[Array, ""]) -> Any:
    """a ← λ a + (1 − λ) x with λ at most ``longest``, less in the first steps; dtypes are kept."""
    # Over a growing window at first: the start is soon forgotten.
    decay = jnp.minimum(longest, (step + 1) / (step + 10))

    def mixed(old: Any, new: Any) -> Any:
        if not eqx.is_inexact_array(old):
            return old
        share = decay.astype(old.dtype)
        return share * old + (1 - share) * new

    return jax.tree.map(mixed, average, now)


@functools.singledispatch
def lasting(method: object, state: Any, steps: int) -> Any:
    """A method's state on the way to so many steps in all, where a schedule ends with the last."""
    return state


def near_identity(key: Key, points: Points, widths: tuple[int, ...] = (64, 64)) -> GradientMap:
    """About the identity, by an ``ICNN`` that bends where the source has its points."""
    # The root mean square of a coordinate.
    size = float(jnp.sqrt(jnp.mean(points**2)))
    network = ICNN.identity(
        key, points.shape[1], widths, activation="squareplus", scale=size or 1.0
    )
    return GradientMap(network)


def check_method(value: Any, usual: str) -> None:
    """A ``ValueError`` where the value is no method: of a name, with the method called most so.

    >>> from brenier.flows import check_method
    >>> check_method("semi-dual", "flows.ConstrainedDrift()")
    Traceback (most recent call last):
        ...
    ValueError: method: got the name 'semi-dual'; wants a method, as flows.SemiDual().
    """
    if not isinstance(value, str):
        check_instance("method", value, AbstractMethod, f"a method, as {usual}")
        return
    known = {
        method.__name__.casefold(): f"{method.__module__.split('.')[1]}.{method.__name__}()"
        for method in AbstractMethod.__subclasses__()
        if method.__module__.startswith("brenier.")
    }
    said = "".join(filter(str.isalnum, value)).casefold()
    near = difflib.get_close_matches(said, known, n=1)
    wish = known[near[0]] if near else usual
    raise ValueError(f"method: got the name {value!r}; wants a method, as {wish}.")
