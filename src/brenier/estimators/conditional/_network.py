"""One network for all conditions, trained on points that carry theirs with them."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier._progress import ProgressCallback
from brenier._solution import Result
from brenier._types import Array, Key, Point, Scalar
from brenier.estimators.conditional._sides import Side, Sides
from brenier.flows import AbstractMethod, HeldOutDual, SemiDual, solve
from brenier.io import Checkpoint
from brenier.maps import GradientMap
from brenier.measures import Empirical
from brenier.numerics import cast_floats
from brenier.potentials import (
    ICNN,
    AbstractConditionalPotential,
    AbstractPotential,
    Expansion,
    PartialICNN,
    expansion,
)

# Of the rows of a condition, one in so many tells where to stop.
_STOPPING = 8
# How far conditions lie apart in the space of points with their conditions, in units of points:
# conjugates then begin at points of the same condition.
_APART = 5.0
# A network of the size that ``MongeMap`` trains learns some thousand points by heart before it has
# learned how slopes move with conditions.
_WIDTH, _PIECES_A_DIMENSION, _SHARPNESS, _RATE, _MANY = 16, 4, 3.0, 0.03, 4000
_STEPS_A_POINT, _FEWEST_STEPS, _MOST_STEPS = 0.3, 300, 3000
_LEAST_BATCH, _BATCH = 64, 512


class Fibred(AbstractPotential):
    """Φ(x, kc) = φ(x; c) + ½‖kc‖², whose derivatives in c are those of the second term alone.

    On points that carry their condition with them ∇Φ is (∇φ(x; c), kc), and the conjugate at
    (y, kc) is sought among the x of that c: what is trained by Φ is trained at every condition.

    Args:
        potential: φ.
        apart: k.

    >>> from brenier.potentials import Quadratic, Unconditional
    >>> phi = Fibred(Unconditional(Quadratic.identity(1), (0,)), 2.0)
    >>> phi.gradient(jnp.array([3.0, 1.0])).tolist()
    [3.0, 1.0]
    """

    potential: AbstractConditionalPotential
    apart: float = eqx.field(static=True)

    @property
    def dimension(self) -> int:
        return self.potential.dimension + sum(max(width, 1) for width in self.potential.layout)

    def value(self, x: Point) -> Scalar:
        point, code, condition = self.parted(x)
        return self.potential.at(condition).value(point) + 0.5 * code @ code

    def strong_convexity(self) -> Scalar:
        zero = jnp.zeros(self.dimension - self.potential.dimension)
        return jnp.minimum(self.potential.at(zero).strong_convexity(), 1.0)

    def parted(self, x: Point) -> tuple[Array, Array, Array]:
        """x, kc and c, of which c is held fixed."""
        point, code = jnp.split(x, [self.potential.dimension])
        return point, code, jax.lax.stop_gradient(code) / self.apart


@expansion.register
def _(phi: Fibred, x: Point) -> Expansion:
    point, code, condition = phi.parted(x)
    inner = expansion(phi.potential.at(condition), point)
    return Expansion(
        inner.value + 0.5 * code @ code,
        jnp.concatenate([inner.gradient, code]),
        jax.scipy.linalg.block_diag(inner.hessian, jnp.eye(len(code), dtype=x.dtype)),
    )


def small_network(points: int, dimension: int, key: Key) -> tuple[SemiDual, ICNN]:
    """What is trained of so many points a side, and how."""
    steps = int(np.clip(_STEPS_A_POINT * points, _FEWEST_STEPS, _MOST_STEPS))
    batch = int(np.clip(points // 2, _LEAST_BATCH, _BATCH))
    width = _WIDTH if points < _MANY else 2 * _WIDTH
    initial = ICNN.identity(
        key,
        dimension,
        (width, width),
        activation="squareplus",
        pieces=_PIECES_A_DIMENSION * dimension,
        sharpness=_SHARPNESS,
    )
    return SemiDual(steps=steps, batch=batch, learning_rate=_RATE), initial


def network_of(
    sides: Sides,
    method: AbstractMethod,
    initial: ICNN,
    *,
    key: Key,
    tell: ProgressCallback,
    seconds: float | None = None,
    checkpoint: Checkpoint | None = None,
) -> PartialICNN:
    """The network of least J on an eighth of the rows of every condition, which it is not shown.

    Args:
        sides: points, in coordinates in which maps are about the identity.
        method: what evolves it.
        initial: what it is at every condition, to begin with.
        key: of what moves with the condition, and of its training.
        tell: of progress.
        seconds: that the training may take.
        checkpoint: where it is kept.
    """
    start_key, key = jax.random.split(key)
    learn, held = sides.split(np.random.default_rng(0), _STOPPING)
    if not min(len(side.of) for side in held.both):
        held = learn
    start = Fibred(PartialICNN.identity(initial, sides.layout, key=start_key), _APART)
    precision = np.dtype(np.float32)
    (u, a), (v, b) = (_fibred(side, sides.codes, precision) for side in learn.evened().both)
    (u_held, a_held), (v_held, b_held) = (
        _fibred(side, sides.codes, precision) for side in held.evened().both
    )
    solution = solve(
        Empirical(u, a),
        Empirical(v, b),
        method=method,
        initial=GradientMap(cast_floats(start, precision)),
        key=key,
        metric=HeldOutDual(u_held, v_held, a_held, b_held),
        seconds=seconds,
        callback=tell,
        checkpoint=checkpoint,
        throw=False,
    )
    if solution.result is Result.interrupted:
        raise KeyboardInterrupt
    assert isinstance(solution.map.potential, Fibred)
    found = solution.map.potential.potential
    assert isinstance(found, PartialICNN)
    return cast_floats(found, np.dtype(np.float64))


def _fibred(side: Side, codes: np.ndarray, precision: np.dtype) -> tuple[Any, Any]:
    """Points beside the codes of their conditions, and their weights."""
    points = np.concatenate([side.points, _APART * codes[side.of]], axis=1)
    return jnp.asarray(points, precision), jnp.asarray(side.masses / side.masses.sum())
