"""The likelihood of images under an image diffusion model, in bits per dimension."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier._checks import check_at_least, check_key, check_points
from brenier._types import Array, BatchLike, Float, Key, Scalar, Weights
from brenier.images._model import ImageModel
from brenier.measures import StandardNormal
from brenier.numerics import fejer_rule, on_all_cores
from brenier.velocities import AbstractVelocity, integration_floats

# Nodes of the quadrature of the trace along a path.
_NODES = 32


def bits_per_dimension(
    model: ImageModel,
    points: BatchLike,
    *,
    key: Key,
    probes: int | None = None,
    tolerance: float = 1e-4,
) -> Weights:
    """−log₂ of the model's probability of each image, per dimension: an upper bound on average.

    (log(levels − 1) − log 2 − log ρ(x + u) / d) / log 2 with u uniform over one grey level. On
    average over u it is at least the bits of the discrete image (Theis et al. 2016). log ρ is the
    log-density of the code plus ∫ tr Dv along the path (Theory (3.6)), by Fejér's rule with 32
    nodes in the hyperbolic clock, in which the trace is smooth. That costs a small part of
    integrating the trace together with the point, as ``velocities.log_likelihood`` does. The trace
    is exact, or Hutchinson's estimate from ``probes`` random signs.

    Not for a model trained on images without such noise, whose density is not bounded.

    Args:
        model: the model.
        points: images (n, d) in [-1, 1], without noise.
        key: draws the noise and the probes.
        probes: number of random signs for each trace; None for the exact trace, which is
            affordable up to a dimension of about a hundred.
        tolerance: error tolerance of the integration of each path.

    Returns:
        (n,) bits per dimension.

    Raises:
        ValueError: bad points or counts; a point whose integration fails.

    >>> import jax, jax.numpy as jnp
    >>> from brenier.velocities import LinearSchedule
    >>> normal = ImageModel(lambda a, image, label: jnp.sqrt(1 - a**2) * image, (1, 1, 1),
    ...                     "epsilon", LinearSchedule())
    >>> bits = bits_per_dimension(normal, jnp.zeros((1, 1)), key=jax.random.key(0))
    >>> round(float(bits[0]), 2)
    8.32
    """
    noise_key, probe_key = jax.random.split(check_key("key", key))
    x = jnp.asarray(check_points("points", points, dimension=model.dimension))
    x = x + dequantisation(x, model.levels, key=noise_key)
    flow = model.encoder(tolerance=tolerance)
    nodes, weights = fejer_rule(_NODES, float(flow.start), float(flow.stop))
    path = flow.path(x, np.append(nodes, float(flow.stop)))
    frame = jnp.eye(model.dimension, dtype=x.dtype)
    if probes is not None:
        check_at_least("probes", probes, 1)
        frame = jax.random.rademacher(probe_key, (probes, model.dimension), x.dtype)
    scale = 1.0 if probes is None else 1.0 / probes
    times = jnp.broadcast_to(jnp.asarray(nodes, x.dtype), path.shape[:1] + nodes.shape)
    packed = jnp.concatenate([path[:, :-1], times[..., None]], axis=-1)
    floats = integration_floats(model.dimension) * len(frame)
    traces = scale * on_all_cores(eqx.Partial(_trace, flow.velocity, frame), packed, floats=floats)
    volume = traces @ jnp.asarray(weights, x.dtype)
    log_density = StandardNormal(model.dimension).log_density(path[:, -1]) + volume
    nats = jnp.log(0.5 * (model.levels - 1)) - log_density / model.dimension
    return nats / jnp.log(2.0)


def _trace(
    velocity: AbstractVelocity, frame: Float[Array, "m d"], packed: Float[Array, " _"]
) -> Scalar:
    """Σ_m ⟨u_m, Dv u_m⟩ over the rows of ``frame``; ``packed`` is a point followed by its time."""
    _, push = jax.linearize(lambda y: velocity.at(packed[-1], y), packed[:-1])
    return jnp.sum(frame * jax.vmap(push)(frame))


def dequantisation(x: Float[Array, "n d"], levels: int, *, key: Key) -> Float[Array, "n d"]:
    """Noise uniform over one grey level, which gives images x in [-1, 1] a density."""
    return (2.0 * jax.random.uniform(key, x.shape, x.dtype) - 1.0) / (levels - 1)
