"""Distillation: an input-convex network learns a map that is known but slow to evaluate."""

import dataclasses
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from brenier._checks import check_at_least, check_instance, check_key, check_positive
from brenier._progress import ProgressCallback
from brenier._solution import Result, Solution
from brenier._types import Array, Float, Int, Key, Points, Scalar
from brenier.flows._driver import CheckpointStore, solve
from brenier.flows._method import AbstractMethod, near_identity
from brenier.maps import AbstractMap, GradientMap
from brenier.measures import AbstractMeasure, Empirical
from brenier.numerics import cast_floats, float64_mean, total_variance
from brenier.potentials import ICNN, Preconditioned

# Fresh points that choose the best network, and as many others that measure its error.
_HELD_OUT = 4096


class DistillationState(eqx.Module):
    """The map, the optimiser's memory, the step and the key of the next draw."""

    map: GradientMap
    memory: optax.OptState
    step: Int[Array, ""]
    key: Key


class Distillation(AbstractMethod[DistillationState, GradientMap]):
    """min_θ Σ_i ‖∇φ_θ(x_i) − y_i‖² over pairs of points, by Adam with a cosine schedule.

    In ``solve``, the source is the ``Empirical`` of the x_i and the target that of y_i = T(x_i), in
    the same order; both of about unit scale, or the learning rate does not fit. ``distill`` draws
    the pairs and brings them to that scale. Not for clouds that are not paired: ``SemiDual``.

    Args:
        steps: gradient steps.
        batch: pairs a step, drawn with replacement.
        learning_rate: of Adam, at its start.

    Raises:
        ValueError: counts below 1; on the start, measures that are not ``Empirical`` ones of the
            same size without weights, or a map that is no ``GradientMap``.

    >>> x = jax.random.normal(jax.random.key(0), (200, 1))
    >>> pairs = Empirical(x), Empirical(2.0 * x)
    >>> solution = solve(*pairs, method=Distillation(steps=50), key=jax.random.key(1))
    >>> solution.stats["history"][-1] < solution.stats["history"][0]
    True
    """

    steps: int = eqx.field(static=True, default=3000)
    batch: int = eqx.field(static=True, default=256)
    learning_rate: float = eqx.field(static=True, default=5e-3)

    def __check_init__(self):
        check_at_least("steps", self.steps, 1)
        check_at_least("batch", self.batch, 1)
        check_positive("learning_rate", self.learning_rate)

    def default_initial(self, key: Key, points: Points) -> AbstractMap:
        return near_identity(key, points)

    def init(
        self, source: AbstractMeasure, target: AbstractMeasure, initial: AbstractMap, *, key: Key
    ) -> DistillationState:
        for name, measure in (("source", source), ("target", target)):
            if not isinstance(measure, Empirical) or measure.weights is not None:
                raise ValueError(
                    f"{name}: got {type(measure).__name__}; wants an Empirical without weights, "
                    "whose rows are paired with the other's."
                )
        assert isinstance(source, Empirical)
        assert isinstance(target, Empirical)
        if source.size != target.size:
            raise ValueError(
                f"target: got {target.size} points; wants {source.size}, one for each of the "
                "source's."
            )
        if not isinstance(initial, GradientMap):
            raise ValueError(f"initial: got {type(initial).__name__}; wants a GradientMap.")
        memory = self._optimiser().init(eqx.filter(initial, eqx.is_inexact_array))
        return DistillationState(initial, memory, jnp.asarray(0), key)

    def step(
        self, state: DistillationState, source: AbstractMeasure, target: AbstractMeasure
    ) -> DistillationState:
        assert isinstance(source, Empirical)
        assert isinstance(target, Empirical)
        key, row_key = jax.random.split(state.key)
        rows = jax.random.randint(row_key, (self.batch,), 0, source.size)
        x, y = source.points[rows], target.points[rows]

        def loss(map: GradientMap) -> Scalar:
            return _mean_squared(map(x) - y)

        gradient = eqx.filter_grad(loss)(state.map)
        updates, memory = self._optimiser().update(gradient, state.memory)
        map = eqx.apply_updates(state.map, updates)
        return DistillationState(map, memory, state.step + 1, key)

    def current_map(self, state: DistillationState) -> GradientMap:
        return state.map

    def _optimiser(self) -> optax.GradientTransformation:
        return optax.adam(optax.cosine_decay_schedule(self.learning_rate, self.steps))


class _HeldOutError(eqx.Module):
    """E‖∇φ(X) − T(X)‖² over the total variance of T(X), on points held out."""

    x: Points
    y: Points

    def __call__(self, map: AbstractMap) -> Scalar:
        return _mean_squared(map(self.x) - self.y) / total_variance(self.y)


def distill(
    map: AbstractMap,
    source: AbstractMeasure,
    *,
    key: Key,
    widths: tuple[int, ...] = (128, 64),
    steps: int = 3000,
    batch: int = 256,
    points: int = 16_384,
    learning_rate: float = 5e-3,
    callback: ProgressCallback | None = None,
    checkpoint: CheckpointStore | None = None,
    throw: bool = True,
) -> Solution[GradientMap]:
    """min_θ E‖∇φ_θ(X) − T(X)‖², X ∼ source: T as the gradient of an input-convex network φ_θ.

    One evaluation of the network costs O(1), where an entropic map sums over all its data. T is
    evaluated once, on ``points`` fixed source points; the network is trained by ``solve`` with the
    method ``Distillation``, in coordinates where the Gaussian map is the identity. Not for a T far
    from the gradient of a convex function: the result is then its best convex approximation, and
    ``relative_error`` says how far off it is.

    Args:
        map: T.
        source: the law of X.
        key: of points, network and batches.
        widths: of the network's layers.
        steps, batch, learning_rate: of ``Distillation``.
        points: how many source points T is evaluated at.
        callback, checkpoint, throw: as for ``solve``; the map in a ``Progress`` is in the
            coordinates of the training.

    Returns:
        A ``Solution`` whose map is a ``GradientMap``. Its stats are those of ``solve``, with the
        error on 4096 held-out points as the metric, relative to the variance of T(X) in the
        coordinates of the training; and ``relative_error``, E‖∇φ − T‖² over the total variance of
        T(X), on 4096 other points.

    Raises:
        ValueError: settings that are not what they should be, dimensions that do not match.
        SolveError: the error became infinite or NaN.

    >>> from brenier.maps import AffineMap
    >>> from brenier.measures import Gaussian
    >>> T = AffineMap(2.0 * jnp.eye(1), jnp.ones(1))
    >>> solution = distill(T, Gaussian.standard(1), key=jax.random.key(0), widths=(4,), steps=20,
    ...                    points=256)
    >>> solution.stats["relative_error"] < 0.1
    True
    """
    began = time.perf_counter()
    check_key("key", key)
    check_instance("map", map, AbstractMap, "a map of brenier")
    check_instance("source", source, AbstractMeasure, "a measure")
    if map.dimension != source.dimension:
        raise ValueError(
            f"map: got dimension {map.dimension}; wants dimension "
            f"{source.dimension}, that of the source."
        )
    check_at_least("points", points, 2)
    check_at_least("batch", batch, 1)
    method = Distillation(steps, min(batch, points), learning_rate)
    draw, fresh, start, run = jax.random.split(key, 4)
    drawn = source.sample(draw, points), source.sample(fresh, 2 * _HELD_OUT)
    (x, y), (u, v) = ((z, map(z)) for z in drawn)
    coordinates = Preconditioned.gaussian(
        jnp.mean(x, axis=0), _covariance(x), jnp.mean(y, axis=0), _covariance(y)
    )
    network = ICNN.identity(start, map.dimension, widths, activation="squareplus", sharpness=2.0)
    choosing, measuring = slice(_HELD_OUT), slice(_HELD_OUT, None)
    trained = solve(
        Empirical(coordinates.encode_source(x)),
        Empirical(coordinates.encode_target(y)),
        method=method,
        initial=GradientMap(cast_floats(network, x.dtype)),
        key=run,
        metric=_HeldOutError(
            coordinates.encode_source(u[choosing]), coordinates.encode_target(v[choosing])
        ),
        callback=callback,
        checkpoint=checkpoint,
        throw=False,
    )
    if throw and trained.result is Result.interrupted:
        raise KeyboardInterrupt
    student = GradientMap(dataclasses.replace(coordinates, potential=trained.map.potential))
    error = float(_HeldOutError(u[measuring], v[measuring])(student))
    seconds = time.perf_counter() - began
    stats = {**trained.stats, "relative_error": error, "seconds": seconds}
    return Solution(student, trained.result, stats).checked(throw)


def _mean_squared(off: Points) -> Scalar:
    return float64_mean(jnp.sum(off**2, axis=1))


def _covariance(x: Points) -> Float[Array, "d d"]:
    centred = x - jnp.mean(x, axis=0)
    total = centred.T @ centred / x.shape[0]
    # Off singular: flat directions stay of finite scale.
    return total + 1e-6 * jnp.trace(total) / x.shape[1] * jnp.eye(x.shape[1], dtype=x.dtype)
