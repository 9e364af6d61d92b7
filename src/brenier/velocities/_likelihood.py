"""Exact likelihoods along a flow."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier._checks import check_at_least, check_key, check_points
from brenier._types import Array, BatchLike, Float, Key, Point, Scalar, Weights
from brenier.measures import AbstractMeasure, require_density
from brenier.numerics import on_all_cores
from brenier.velocities._base import AbstractVelocity
from brenier.velocities._flow_map import End, FlowMap, framed, integrate, integration_floats


def log_likelihood(
    flow: FlowMap,
    latent: AbstractMeasure,
    x: BatchLike,
    *,
    probes: int | None = None,
    key: Key | None = None,
) -> Weights:
    """log ρ(x_i) = log latent(T(x_i)) + ∫ div v(t, x(t)) dt, for T = ``flow`` and T#ρ = latent.

    The divergence is the exact trace of Dv, by d Jacobian-vector products. With ``probes`` it is
    Hutchinson's unbiased estimate by that many vectors of random signs, which stay the same along
    the whole path (Theory (3.6)).

    Not for a map that is not a flow: ``maps.Pushforward`` takes its determinant.

    Args:
        flow: the encoder.
        latent: the law of T(X), with a density.
        x: points (n, d).
        probes: how many random vectors estimate the divergence; None (exact) up to a d of a
            hundred or so.
        key: of the probes; required with them.

    Returns:
        (n,) log-densities, in nats.

    Raises:
        ValueError: bad points, probes without a key, a latent measure without density, a point
            whose integration fails.

    >>> import jax.numpy as jnp
    >>> from brenier.measures import Gaussian, GaussianMixture
    >>> from brenier.velocities import MixtureVelocity
    >>> rho = GaussianMixture(jnp.ones(1), jnp.ones((1, 1)), 4.0 * jnp.ones((1, 1, 1)))
    >>> flow = FlowMap(MixtureVelocity(rho), 1.0, 0.0)
    >>> x = jnp.array([[3.0]])
    >>> found = log_likelihood(flow, Gaussian.standard(1), x)
    >>> bool(jnp.allclose(found, rho.log_density(x)))
    True
    """
    require_density("latent", latent)
    points = jnp.asarray(check_points("x", x, dimension=flow.dimension))
    signs = None
    if probes is not None:
        check_at_least("probes", probes, 1)
        if key is None:
            raise ValueError("key: got None beside probes; wants a JAX random key.")
        shape = (points.shape[0], probes, flow.dimension)
        signs = jax.random.rademacher(check_key("key", key), shape, points.dtype)
    end = _with_divergence(flow, points, signs)
    if not np.asarray(end.reached).all():
        raise ValueError(
            f"x: got {int((~np.asarray(end.reached)).sum())} points whose integration "
            "did not reach its tolerance; wants a larger tolerance or more steps."
        )
    return latent.log_density(end.point[:, :-1]) + end.point[:, -1]


class _WithDivergence(AbstractVelocity):
    """(v, div v) at (x, ∫ div v)."""

    velocity: AbstractVelocity
    signs: Float[Array, "p d"] | None

    @property
    def dimension(self) -> int:
        return self.velocity.dimension + 1

    def at(self, time: Scalar, x: Point) -> Point:
        value, push = jax.linearize(lambda y: self.velocity.at(time, y), x[:-1])
        if self.signs is None:
            trace = jnp.trace(jax.vmap(push)(jnp.eye(x.shape[0] - 1, dtype=x.dtype)))
        else:
            trace = jnp.mean(jnp.sum(self.signs * jax.vmap(push)(self.signs), axis=1))
        return jnp.append(value, trace)


def _with_divergence(flow: FlowMap, x: Array, signs: Array | None) -> End:
    packed = x if signs is None else jnp.concatenate([x, signs.reshape(len(x), -1)], axis=1)
    products = x.shape[1] if signs is None else signs.shape[1]
    floats = integration_floats(x.shape[1]) * (1 + products)
    return on_all_cores(eqx.Partial(_end_with_divergence, flow), packed, floats=floats)


def _end_with_divergence(flow: FlowMap, packed: Point) -> End:
    """The endpoint of (x, ∫ div v) for one point x, followed by its probes where it has any."""
    d = flow.dimension
    signs = packed[d:].reshape(-1, d) if packed.size > d else None
    velocity, first, last = framed(flow, packed[:d])
    both = flow.along(_WithDivergence(velocity, signs), first.time, last.time)
    end = integrate(both, jnp.append(first.enter(packed[:d]), 0.0))
    # Coordinates that widen on the way make volumes larger too.
    growth = jnp.sum(jnp.broadcast_to(jnp.log(last.width / first.width), d))
    whole = jnp.append(last.leave(end.point[:-1]), end.point[-1] + growth)
    return end._replace(point=whole)
