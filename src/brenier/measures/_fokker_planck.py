"""The Fokker-Planck equation in tensor-train format, by splitting (KRCO22, Appendix C)."""

import time as clock
from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from threadpoolctl import threadpool_limits

from brenier._checks import check_at_least, check_positive
from brenier._solution import Result, Solution
from brenier._types import Array, Float, Point, Points
from brenier.measures._tensor_train import TensorTrain
from brenier.measures._tensor_train_values import Corner, checked_box, over_nodes
from brenier.numerics import (
    TensorTrainCores,
    chebyshev_nodes,
    chebyshev_rows,
    chebyshev_weights,
    gaussian_rows,
    heat_matrix,
    tensor_train_contract,
    tensor_train_cross,
    tensor_train_map_axes,
    tensor_train_ranks,
    tensor_train_round,
)

# An error of the mass beyond which the solution counts as wrong.
_MASS_ERROR = 1e-2
# Runge-Kutta steps in one step of the splitting: the splitting is to have the larger error.
_SUBSTEPS = 4
# Equispaced nodes for each Chebyshev node: those lie π/2 times as far apart in the middle.
_FINER = 2


def solve_fokker_planck(
    source: TensorTrain,
    time: float,
    *,
    steps: int,
    lower: Corner,
    upper: Corner,
    shape: Sequence[int],
    drift: Callable[[Point], Point] | None = None,
    tolerance: float = 1e-8,
    max_rank: int = 60,
    throw: bool = True,
) -> Solution:
    """The law at a time of dX = b(X) dt + √2 dW, by Strang splitting on Chebyshev grids.

    ∂_t ρ = −∇·(b ρ) + Δρ: half a step of diffusion, by exponentials of Chebyshev's second
    derivative on the cores; a step of convection along the characteristics of b, by interpolation
    and TT-cross; half a step of diffusion. Second order in the step.

    For the Ornstein-Uhlenbeck process (``drift`` None) the convection stretches each axis by
    itself, and no cross approximation is needed. Not for that process, though, but to see the
    error of the scheme: ``TensorTrain.diffused`` solves it without steps, faster and exactly. Take
    this for other drifts.

    Args:
        source: ρ at time 0.
        time: of the law at the end, above 0.
        steps: of the splitting.
        lower, upper: opposite corners of a box outside of which the law is negligible at all times.
        shape: Chebyshev nodes along each axis.
        drift: b, (d,) to (d,), differentiable by JAX; −x where None.
        tolerance: relative, of the rounding and of the cross approximation in every step.
        max_rank: that no rank may exceed.
        throw: raise where the mass is lost.

    Returns:
        A ``Solution`` whose ``map`` is the law at the end, a ``TensorTrain``. Its stats: ``mass``
        (steps,), 1 up to what the box and the scheme lose; ``ranks``, the largest after each
        step; ``seconds``. ``result`` is ``diverged`` where the mass is off by more than 1 %.

    Raises:
        ValueError: bad arguments; ranks beyond ``max_rank``; a law that has reached the border.
        SolveError: the mass was lost, and ``throw`` is true.

    >>> y = np.linspace(-7.0, 7.0, 80)
    >>> law = TensorTrain.from_grid(np.exp(-2.0 * y**2), [-7.0], [7.0])
    >>> end = solve_fokker_planck(law, 1.0, steps=8, lower=[-8.0], upper=[8.0], shape=[60]).map
    >>> bool(abs(end.covariance[0, 0] - (1.0 - 0.75 * np.exp(-2.0))) < 0.01)
    True

    KRCO22 (22)-(24); Chertkov & Oseledets (2021).
    """
    started = clock.perf_counter()
    box = checked_box(lower, upper, shape)
    check_positive("time", time)
    check_positive("tolerance", tolerance)
    check_at_least("max_rank", max_rank, 1)
    step = time / check_at_least("steps", steps, 1)
    if len(box.shape) != source.dimension:
        raise ValueError(
            f"shape: got {len(box.shape)} axes; wants {source.dimension}, the dimension of source."
        )
    nodes = [
        chebyshev_nodes(n, low, high)
        for low, high, n in zip(box.lower, box.upper, box.shape, strict=True)
    ]
    with threadpool_limits(1, user_api="blas"):
        heat = [heat_matrix(y, 0.5 * step) for y in nodes]
        weights = [chebyshev_weights(y)[None] for y in nodes]
        cores = tensor_train_map_axes(
            tuple(np.asarray(core) for core in source.cores),
            [
                gaussian_rows(y, np.asarray(middle), float(width))
                for y, middle, width in zip(nodes, source.centres, source.widths, strict=True)
            ],
        )
        masses, ranks = [], []
        for _ in range(steps):
            cores = tensor_train_round(tensor_train_map_axes(cores, heat), tolerance)
            if drift is None:
                cores = _stretched(cores, nodes, step)
            else:
                cores = _convected(cores, nodes, drift, step, tolerance, max_rank)
            cores = tensor_train_round(tensor_train_map_axes(cores, heat), tolerance)
            masses.append(float(tensor_train_contract(cores, weights)[0]))
            ranks.append(max(tensor_train_ranks(cores), default=1))
            if not abs(masses[-1] - 1.0) < _MASS_ERROR:
                break
        stats = {"mass": np.asarray(masses), "ranks": ranks}
        if not abs(masses[-1] - 1.0) < _MASS_ERROR:
            stats["seconds"] = clock.perf_counter() - started
            return Solution(None, Result.diverged, stats).checked(throw)
        law = TensorTrain.from_cores(
            tensor_train_map_axes(
                cores, [chebyshev_rows(np.linspace(y[0], y[-1], _FINER * y.size), y) for y in nodes]
            ),
            box.lower,
            box.upper,
            tolerance=tolerance,
            max_rank=max_rank,
        )
    stats["seconds"] = clock.perf_counter() - started
    return Solution(law, Result.successful, stats).checked(throw)


def _stretched(
    cores: TensorTrainCores, nodes: Sequence[Float[np.ndarray, " _"]], step: float
) -> TensorTrainCores:
    """ρ(x) ← e^{d·step} ρ(e^{step} x)."""
    grown = float(np.exp(step))
    return tensor_train_map_axes(cores, [grown * chebyshev_rows(grown * y, y) for y in nodes])


def _convected(
    cores: TensorTrainCores,
    nodes: Sequence[Float[np.ndarray, " _"]],
    drift: Callable[[Point], Point],
    step: float,
    tolerance: float,
    max_rank: int,
) -> TensorTrainCores:
    """ρ(x) ← ρ(X) exp(−∫ div b): X is where the characteristic that ends at x began."""

    low = jnp.asarray([y[0] for y in nodes])
    high = jnp.asarray([y[-1] for y in nodes])

    def entries(index: np.ndarray) -> np.ndarray:
        points = np.stack([y[index[:, axis]] for axis, y in enumerate(nodes)], axis=1)
        back = over_nodes(lambda block: _characteristic_ends(drift, step, low, high, block), points)
        if not np.isfinite(back).all():
            row = int(np.flatnonzero(~np.isfinite(back).all(axis=1))[0])
            raise ValueError(
                f"drift: got NaN or infinite values on the way to "
                f"{points[row].tolist()}; wants a finite drift."
            )
        rows = [chebyshev_rows(back[:, axis], y) for axis, y in enumerate(nodes)]
        inside = ((back[:, :-1] >= low) & (back[:, :-1] <= high)).all(axis=1)
        return tensor_train_contract(cores, rows) * np.exp(np.where(inside, -back[:, -1], 0.0))

    if len(nodes) == 1:
        return (entries(np.arange(nodes[0].size)[:, None])[None, :, None],)
    shape = [y.size for y in nodes]
    return tensor_train_cross(entries, shape, tolerance, max_rank, start=cores)


@eqx.filter_jit
def _characteristic_ends(
    drift: Callable[[Point], Point], step: float, low: Point, high: Point, points: Points
) -> Float[Array, "n _"]:
    """(X, ∫ div b) one step back from each point, by the Runge-Kutta method of order four."""

    def rate(state):
        # A path that leaves the box brings nothing, and must not overflow there.
        x = jnp.clip(state[:-1], low, high)
        return jnp.append(-drift(x), jnp.trace(jax.jacfwd(drift)(x)))

    part = step / _SUBSTEPS

    def back(_, state):
        first = rate(state)
        second = rate(state + 0.5 * part * first)
        third = rate(state + 0.5 * part * second)
        fourth = rate(state + part * third)
        return state + part / 6.0 * (first + 2.0 * (second + third) + fourth)

    start = jnp.pad(points, ((0, 0), (0, 1)))
    return jax.vmap(lambda state: jax.lax.fori_loop(0, _SUBSTEPS, back, state))(start)
