"""A convex network regressed on a known map: the same map at a cost that no data enter."""

import dataclasses
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from brenier._checks import check_at_least, check_key, check_positive
from brenier._solution import Result, Solution
from brenier._types import Array, Float, Key, Points, Scalar
from brenier.maps import AbstractMap, GradientMap
from brenier.measures import AbstractMeasure
from brenier.potentials import ICNN, Preconditioned

# Blocks of steps whose mean losses are kept.
_HISTORY = 50
# Fresh points on which the error is measured.
_MEASURED = 4096


def distil(
    map: AbstractMap,
    source: AbstractMeasure,
    *,
    key: Key,
    widths: tuple[int, ...] = (128, 64),
    steps: int = 3000,
    batch: int = 256,
    points: int = 16_384,
    rate: float = 5e-3,
    throw: bool = True,
) -> Solution:
    """min_θ E‖∇φ_θ(X) − T(X)‖², X ∼ source: T as the gradient of an input-convex network φ_θ.

    One evaluation of the network costs O(1), where an entropic map sums over all its data. The
    teacher T is looked at on ``points`` fixed source points, once; Adam with a cosine schedule, in
    coordinates where the Gaussian map is the identity. Not for a T far from the gradient of a
    convex function: the best convex approximation is what comes out, and ``relative_error`` tells.

    Args:
        map: T.
        source: the law of X.
        key: of points, network and batches.
        widths: of the network's layers.
        steps, batch, rate: of Adam.
        points: where T is evaluated.
        throw: raise where the loss is not finite.

    Returns:
        A ``Solution`` whose map is a ``GradientMap``. Its stats: ``relative_error``, E‖∇φ − T‖²
        over the total variance of T(X), on 4096 fresh points; ``loss``, means over blocks of
        steps; ``seconds``.

    Raises:
        ValueError: settings that are not what they should be, dimensions that do not match.
        SolveError: the loss became infinite or NaN.

    >>> from brenier.maps import AffineMap
    >>> from brenier.measures import Gaussian
    >>> T = AffineMap(2.0 * jnp.eye(1), jnp.ones(1))
    >>> solution = distil(T, Gaussian.standard(1), key=jax.random.key(0), widths=(4,), steps=20,
    ...                   points=256)
    >>> solution.stats["relative_error"] < 0.1
    True
    """
    began = time.perf_counter()
    check_key("key", key)
    if map.dimension != source.dimension:
        raise ValueError(
            f"map: got dimension {map.dimension}; wants dimension "
            f"{source.dimension}, that of the source."
        )
    for name, value in (("steps", steps), ("batch", batch)):
        check_at_least(name, value, 1)
    check_at_least("points", points, 2)
    check_positive("rate", rate)
    draw, fresh, start, run = jax.random.split(key, 4)
    x, test = source.sample(draw, points), source.sample(fresh, _MEASURED)
    y, wanted = map(x), map(test)
    coordinates = Preconditioned.gaussian(
        jnp.mean(x, axis=0), _covariance(x), jnp.mean(y, axis=0), _covariance(y)
    )
    network = ICNN.identity(start, map.dimension, widths, activation="squareplus", sharpness=2.0)
    network = jax.tree.map(lambda leaf: leaf.astype(x.dtype), network)
    u, v = coordinates.encode_source(x), coordinates.encode_target(y)
    fitted, losses = _regress(network, u, v, run, steps, min(batch, points), rate)
    student = GradientMap(dataclasses.replace(coordinates, potential=fitted))
    history = [float(part.mean()) for part in np.array_split(losses, min(_HISTORY, steps))]
    missed = jnp.mean(jnp.sum((student(test) - wanted) ** 2, axis=1))
    stats = {
        "relative_error": float(missed / jnp.sum(jnp.var(wanted, axis=0))),
        "loss": history,
        "seconds": time.perf_counter() - began,
    }
    result = Result.successful if np.isfinite(history).all() else Result.diverged
    return Solution(student, result, stats).checked(throw)


def _covariance(x: Points) -> Float[Array, "d d"]:
    centred = x - jnp.mean(x, axis=0)
    total = centred.T @ centred / x.shape[0]
    # Off singular: flat directions stay of finite scale.
    return total + 1e-6 * jnp.trace(total) / x.shape[1] * jnp.eye(x.shape[1], dtype=x.dtype)


@eqx.filter_jit
def _regress(
    start: ICNN, u: Points, v: Points, key: Key, steps: int, batch: int, rate: float
) -> tuple[ICNN, Float[Array, " steps"]]:
    optimiser = optax.adam(optax.cosine_decay_schedule(rate, steps))
    parameters, static = eqx.partition(start, eqx.is_inexact_array)

    def step(carry, key):
        parameters, memory = carry
        rows = jax.random.randint(key, (batch,), 0, u.shape[0])

        def loss(parameters) -> Scalar:
            potential = eqx.combine(parameters, static)
            off = jax.vmap(jax.grad(potential.value))(u[rows]) - v[rows]
            return jnp.mean(jnp.sum(off**2, axis=1))

        value, gradient = jax.value_and_grad(loss)(parameters)
        updates, memory = optimiser.update(gradient, memory)
        return (optax.apply_updates(parameters, updates), memory), value

    begin = parameters, optimiser.init(parameters)
    (parameters, _), losses = jax.lax.scan(step, begin, jax.random.split(key, steps))
    return eqx.combine(parameters, static), losses
