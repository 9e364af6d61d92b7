"""Between potentials of the host and compiled ones."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier._checks import to_device
from brenier._types import Array
from brenier.numerics import Coordinates, in_blocks
from brenier.potentials import (
    ICNN,
    AbstractPotential,
    LogSumExp,
    Mixture,
    Preconditioned,
    Quadratic,
    Separable,
    expansion,
)
from brenier.potentials.host._log_sum_exp import HostLogSumExp
from brenier.potentials.host._mixture import HostMixture
from brenier.potentials.host._potentials import HostExpansion, HostPotential, HostQuadratic
from brenier.potentials.host._separable import HostSeparable
from brenier.potentials.host._soft_pieces import SoftPieces

# Points of one call.
_ROWS = 256


@dataclass(frozen=True, eq=False)
class CompiledPotential(HostPotential):
    """A potential of JAX among those of the host."""

    potential: AbstractPotential
    dtype: np.dtype

    @property
    def dimension(self) -> int:
        return self.potential.dimension

    def value(self, x: np.ndarray) -> np.ndarray:
        return self._over(_values, x)

    def expand(self, x: np.ndarray) -> HostExpansion:
        d, rows = self.dimension, self._over(_expansions, x)
        return HostExpansion(rows[:, 0], rows[:, 1 : 1 + d], rows[:, 1 + d :].reshape(-1, d, d))

    def _over(
        self, function: Callable[[AbstractPotential, Array], Array], x: np.ndarray
    ) -> np.ndarray:
        """One program, whatever the number of points."""
        own = functools.partial(function, self.potential)
        return in_blocks(own, x.astype(self.dtype), _ROWS).astype(np.float64)


@eqx.filter_jit
def _values(potential: AbstractPotential, x: Array) -> Array:
    return jax.vmap(potential.value)(x)


@eqx.filter_jit
def _expansions(potential: AbstractPotential, x: Array) -> Array:
    """Value, gradient and Hessian in one row (1 + d + d²,) a point."""
    return jax.vmap(lambda point: jnp.hstack([z.ravel() for z in expansion(potential, point)]))(x)


def between(
    potential: AbstractPotential, own: Coordinates, other: Coordinates
) -> AbstractPotential:
    """A potential in some coordinates, in other ones; up to a constant."""
    own, other = own.on_host(), other.on_host()
    back = np.linalg.inv(other.matrix)
    return Preconditioned(
        potential,
        to_device(own.matrix @ back),
        to_device(other.encode_source(own.source_shift[None])[0]),
        to_device(other.encode_target(own.target_shift[None])[0]),
        to_device(own.scale / other.scale),
    )


def on_host(potential: AbstractPotential) -> HostPotential:
    """The same potential among those of the host; of a quadratic one in NumPy, up to a constant."""
    quadratic = _quadratic(potential)
    if quadratic is not None:
        return HostQuadratic(*quadratic)
    return CompiledPotential(potential, np.dtype(np.float64))


def _quadratic(potential: AbstractPotential) -> tuple[np.ndarray, np.ndarray] | None:
    """A and b of ½⟨x, Ax⟩ + ⟨b, x⟩ where the potential is that, in whatever coordinates."""
    if isinstance(potential, Quadratic):
        return np.asarray(potential.matrix), np.asarray(potential.shift)
    if isinstance(potential, Mixture):
        parts = [_quadratic(part) for part in potential.potentials]
        known = [part for part in parts if part is not None]
        if len(known) < len(parts):
            return None
        weights = np.asarray(potential.weights)
        matrices, shifts = (np.stack(z) for z in zip(*known, strict=True))
        return np.tensordot(weights, matrices, 1), weights @ shifts
    if isinstance(potential, Preconditioned):
        inner = _quadratic(potential.potential)
        if inner is None:
            return None
        own: Any = potential.coordinates.on_host()
        matrix = own.matrix.T @ inner[0] @ own.matrix
        shift = own.scale * own.matrix.T @ inner[1] - matrix @ own.source_shift + own.target_shift
        return matrix, shift
    return None


@functools.singledispatch
def compiled(potential: HostPotential) -> AbstractPotential:
    """The same potential in JAX."""
    raise TypeError(f"potential: got {type(potential).__name__}; wants one of the host.")


@compiled.register
def _(potential: CompiledPotential) -> AbstractPotential:
    return potential.potential


@compiled.register
def _(potential: HostQuadratic) -> AbstractPotential:
    factor = np.linalg.cholesky(potential.matrix)
    return Quadratic(to_device(factor), to_device(potential.shift))


@compiled.register
def _(potential: HostSeparable) -> AbstractPotential:
    return Separable(
        *(to_device(z) for z in (potential.axes, potential.knots, potential.images, potential.ends))
    )


@compiled.register
def _(potential: HostLogSumExp) -> AbstractPotential:
    logs = np.log([potential.epsilon, potential.modulus])
    slopes, offsets = to_device(potential.slopes), to_device(potential.offsets)
    return LogSumExp(slopes, offsets, to_device(logs[0]), to_device(logs[1]))


@compiled.register
def _(potential: HostMixture) -> AbstractPotential:
    parts = [compiled(part) for part in potential.potentials]
    return Mixture(parts, potential.weights) if len(parts) > 1 else parts[0]


@compiled.register
def _(potential: SoftPieces) -> AbstractPotential:
    """Ridges are an ``ICNN`` of one layer, one group a ``LogSumExp`` and its quadratic part."""
    log_modulus, epsilon = potential.log_modulus[0], np.exp(potential.log_epsilon)
    factor, linear = to_device(potential.factor), to_device(potential.linear)
    if potential.anchored:
        return ICNN(
            (to_device(potential.slopes[:, 0] / epsilon[:, None]),),
            (to_device(potential.offsets[:, 0] / epsilon),),
            (),
            to_device(np.log(np.expm1(epsilon))),
            linear,
            factor,
            to_device(log_modulus),
            floor=0.0,
        )
    slopes = to_device(potential.slopes[0]) + linear
    offsets, log_epsilon = to_device(potential.offsets[0]), to_device(potential.log_epsilon[0])
    soft = LogSumExp(slopes, offsets, log_epsilon, to_device(log_modulus))
    if not len(factor):
        return soft
    return Mixture([soft, Quadratic(factor.T, jnp.zeros_like(linear))], np.ones(2))
