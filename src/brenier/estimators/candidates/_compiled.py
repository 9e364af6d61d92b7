"""Between potentials of the host and compiled ones."""

import functools
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier.estimators.host import (
    HostExpansion,
    HostLogSumExp,
    HostMixture,
    HostPotential,
    HostQuadratic,
    HostSeparable,
    SoftPieces,
)
from brenier.potentials import (
    ICNN,
    AbstractPotential,
    LogSumExp,
    Mixture,
    Quadratic,
    Separable,
    expansion,
)

# Points are padded to one of the powers of two from here on, so that few programs are compiled.
_LEAST_ROWS = 256


@dataclass(frozen=True, eq=False)
class CompiledPotential(HostPotential):
    """A potential of JAX among those of the host."""

    potential: AbstractPotential
    dtype: np.dtype

    @property
    def dimension(self) -> int:
        return self.potential.dimension

    def value(self, x: np.ndarray) -> np.ndarray:
        return self._padded(_values, x)

    def expand(self, x: np.ndarray) -> HostExpansion:
        return HostExpansion(*self._padded(_expansions, x))

    def _padded(self, function, x):
        rows = max(_LEAST_ROWS, 1 << (len(x) - 1).bit_length())
        padded = np.zeros((rows, x.shape[1]), self.dtype)
        padded[: len(x)] = x
        return jax.tree.map(
            lambda z: np.asarray(z, np.float64)[: len(x)], function(self.potential, padded)
        )


@eqx.filter_jit
def _values(potential, x):
    return jax.vmap(potential.value)(x)


@eqx.filter_jit
def _expansions(potential, x):
    return tuple(jax.vmap(functools.partial(expansion, potential))(x))


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
    return Quadratic(jnp.asarray(factor), jnp.asarray(potential.shift))


@compiled.register
def _(potential: HostSeparable) -> AbstractPotential:
    return Separable(
        *(
            jnp.asarray(z)
            for z in (potential.axes, potential.knots, potential.images, potential.ends)
        )
    )


@compiled.register
def _(potential: HostLogSumExp) -> AbstractPotential:
    logs = np.log([potential.epsilon, potential.modulus])
    slopes, offsets = jnp.asarray(potential.slopes), jnp.asarray(potential.offsets)
    return LogSumExp(slopes, offsets, jnp.asarray(logs[0]), jnp.asarray(logs[1]))


@compiled.register
def _(potential: HostMixture) -> AbstractPotential:
    parts = [compiled(part) for part in potential.potentials]
    return Mixture(parts, potential.weights) if len(parts) > 1 else parts[0]


@compiled.register
def _(potential: SoftPieces) -> AbstractPotential:
    """Ridges are an ``ICNN`` of one layer, one group a ``LogSumExp`` and its quadratic part."""
    log_modulus, epsilon = potential.log_modulus[0], np.exp(potential.log_epsilon)
    factor, linear = jnp.asarray(potential.factor), jnp.asarray(potential.linear)
    if potential.anchored:
        return ICNN(
            (jnp.asarray(potential.slopes[:, 0] / epsilon[:, None]),),
            (jnp.asarray(potential.offsets[:, 0] / epsilon),),
            (),
            jnp.asarray(np.log(np.expm1(epsilon))),
            linear,
            factor,
            jnp.asarray(log_modulus),
            floor=0.0,
        )
    slopes = jnp.asarray(potential.slopes[0]) + linear
    offsets, log_epsilon = jnp.asarray(potential.offsets[0]), jnp.asarray(potential.log_epsilon[0])
    soft = LogSumExp(slopes, offsets, log_epsilon, jnp.asarray(log_modulus))
    if not len(factor):
        return soft
    return Mixture([soft, Quadratic(factor.T, jnp.zeros_like(linear))], np.ones(2))
