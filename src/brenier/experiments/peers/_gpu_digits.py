"""Calls by the clock, and their digits: what is said in float32 beside what it is in float64."""

import math
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brenier._types import Array, Scalar
from brenier.experiments.peers.sinkhorn_memory import clouds
from brenier.flows import HeldOutDual
from brenier.maps import GradientMap
from brenier.numerics import cast_floats, conjugate, sinkhorn
from brenier.potentials import ICNN

_TOLERANCE = 1e-3
# A first call that is longer than so many seconds, without its compilation, is not made again.
_LONG = 5.0
# Rows of the plan that are formed at once.
_ROWS = 1000
_COMPILING = ("jaxpr_to_mlir_module_duration", "backend_compile_duration")
_spent: list[float] = []


def _hear(event: str, duration_secs: float, **_: Any) -> None:
    if event.endswith(_COMPILING):
        _spent.append(duration_secs)


jax.monitoring.register_event_duration_secs_listener(_hear)


def compiled_seconds() -> float:
    """Seconds that this process has compiled for, or read compiled programs."""
    return math.fsum(_spent)


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """What a call gives, and its seconds."""
    started = time.perf_counter()
    found = jax.block_until_ready(call())
    return found, time.perf_counter() - started


def laps(call: Callable[[], Any]) -> tuple[Any, float, float]:
    """What a call gives, its seconds once it is compiled, and those of its compilation."""
    before = compiled_seconds()
    found, first = timed(call)
    compiling = compiled_seconds() - before
    if first - compiling > _LONG:
        return found, first - compiling, compiling
    _, seconds = timed(call)
    return found, seconds, compiling


def transport(n: int, dimension: int, ratio: float, seed: int) -> dict[str, Any]:
    """Sinkhorn between float32 clouds, and its marginal error computed anew in float64."""
    x, y, spread = clouds(n, dimension, "float32", seed)
    epsilon = ratio * spread
    x_there, y_there = jnp.asarray(x), jnp.asarray(y)
    found, seconds, compiling = laps(
        lambda: sinkhorn(x_there, y_there, epsilon=epsilon, tolerance=_TOLERANCE)
    )
    iterations = int(found.iterations)
    # The regularisation as the solver holds it.
    error = marginal_error(x, y, found.f, found.g, float(np.float32(epsilon)))
    return {
        "n": n,
        "dimension": dimension,
        "epsilon_over_spread": ratio,
        "ms": 1e3 * seconds,
        "iterations": iterations,
        "ms_100_iterations": 1e5 * seconds / max(iterations, 1),
        "compile_seconds": compiling,
        "converged": bool(found.converged),
        "error_said": float(found.error),
        "error_float64": float(error),
    }


@jax.jit
def marginal_error(x: Any, y: Any, f: Any, g: Any, epsilon: float | Scalar) -> Scalar:
    """Σ_i |Σ_j π_ij − 1/n| + Σ_j |Σ_i π_ij − 1/m|, each product and sum in float64."""
    x, y, f, g = (z.astype(jnp.float64) for z in (x, y, f, g))
    n, m = x.shape[0], y.shape[0]
    side = math.gcd(n, _ROWS)

    def add(below: Array, rows: tuple[Array, Array]) -> tuple[Array, Array]:
        x_part, f_part = rows
        squares = jnp.sum(x_part**2, axis=1)[:, None] + jnp.sum(y**2, axis=1)
        costs = 0.5 * squares - x_part @ y.T
        plan = jnp.exp((f_part[:, None] + g - costs) / epsilon) / (n * m)
        return below + jnp.sum(plan, axis=0), jnp.sum(plan, axis=1)

    tiles = x.reshape(-1, side, x.shape[1]), f.reshape(-1, side)
    below, beside = jax.lax.scan(add, jnp.zeros(m), tiles)
    return jnp.sum(jnp.abs(beside - 1.0 / n)) + jnp.sum(jnp.abs(below - 1.0 / m))


def digits_of_conjugates(count: int, dimension: int, seed: int) -> dict[str, Any]:
    """The largest residual ‖y − ∇φ(x̂)‖ of float32 conjugates, as said and in float64."""
    potential, _, y = _network_and_points(count, dimension, seed)
    found, seconds, compiling = laps(lambda: conjugate(potential.value, y))
    wide = cast_floats(potential, jnp.float64).gradient(found.point.astype(jnp.float64))
    residual = jnp.linalg.norm(y.astype(jnp.float64) - wide, axis=1)
    return {
        "points": count,
        "dimension": dimension,
        "ms": 1e3 * seconds,
        "compile_seconds": compiling,
        "residual_said": float(jnp.max(found.residual)),
        "residual_float64": float(jnp.max(residual)),
    }


def digits_of_held_out_dual(count: int, dimension: int, seed: int) -> dict[str, Any]:
    """J of a float32 network on so many points a side, and J of the same network in float64."""
    potential, x, y = _network_and_points(count, dimension, seed)
    dual = HeldOutDual(x, y)
    value, seconds, compiling = laps(lambda: dual(GradientMap(potential)))
    wide = HeldOutDual(x.astype(jnp.float64), y.astype(jnp.float64))
    truth = wide(GradientMap(cast_floats(potential, jnp.float64)))
    return {
        "points": count,
        "dimension": dimension,
        "ms": 1e3 * seconds,
        "compile_seconds": compiling,
        "dual": float(value),
        "off_float64": abs(float(value) - float(truth)),
    }


def _network_and_points(count: int, dimension: int, seed: int) -> tuple[ICNN, Array, Array]:
    keys = jax.random.split(jax.random.key(seed), 3)
    network = ICNN.identity(keys[0], dimension, (128, 128), activation="squareplus", pieces=32)
    x, y = (jax.random.normal(key, (count, dimension), jnp.float32) for key in keys[1:])
    return cast_floats(network, jnp.float32), x, y
