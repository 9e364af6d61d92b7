"""The map that the flow of a velocity makes."""

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from brenier._checks import as_points, check_at_least, check_points, check_positive
from brenier._solution import Result, SolveError
from brenier._types import Array, BatchLike, Bool, Float, Int, Point, Scalar
from brenier.maps import AbstractMap
from brenier.numerics import on_all_cores
from brenier.velocities._base import AbstractVelocity, Place

# Vectors of d floats held for one point while it is integrated: the stages of a step.
_STAGES = 32
# Roundings that a step may err by: no tolerance is below.
_ROUNDINGS = 16
# Up to this dimension a derivative integrates the whole Jacobian; beyond, one direction.
_WHOLE_JACOBIAN = 32


@dataclass(frozen=True)
class Endpoints:
    """Where a flow took points, and how each integration ended: the answer of ``FlowMap.solve``.

    Attributes:
        points: T(x), (n, d); NaN where the integration failed.
        result: ``not_converged`` where any point failed, else ``successful``.
        stats: ``failed`` (n,) bool, ``steps`` (n,) int, and the ``tolerance``.

    >>> from brenier.measures import Gaussian
    >>> from brenier.velocities import MixtureVelocity
    >>> T = FlowMap(MixtureVelocity(Gaussian(jnp.zeros(1), 4.0 * jnp.eye(1))), 1.0, 0.0)
    >>> end = T.solve(np.array([[2.0], [3.0]]))
    >>> end.result.name, end.points.round(6).tolist()
    ('successful', [[1.0], [1.5]])
    """

    points: np.ndarray
    result: Result
    stats: dict[str, Any]

    def checked(self, throw: bool) -> "Endpoints":
        """These points, or ``SolveError`` where one failed and ``throw`` is true."""
        if throw and self.result.failed:
            raise SolveError(self)
        return self


class FlowMap(AbstractMap):
    """x(start) ↦ x(stop) along dx/dt = v(t, x).

    Each point is integrated by the eighth-order method of Dormand and Prince with its own step
    sizes (diffrax), so that every point keeps to the tolerance. Derivatives integrate
    d(DS)/dt = Dv(t, S) DS beside the points and keep to it as well (Theory (3.6)). The inverse runs
    the same flow backward.

    Not differentiable in the parameters of the velocity; not for stiff velocities. Where a point's
    integration does not reach the tolerance, a call raises; ``solve`` returns all the points and
    says which ones failed.

    Args:
        velocity: v(t, x).
        start, stop: the times between which it is integrated, in either order.
        tolerance: on the local error of a step, relative and absolute, in the velocity's standard
            coordinates; no lower than 16 units of rounding.
        max_steps: steps allowed, rejected ones included.

    Raises:
        ValueError: times that are not finite, a tolerance not above 0.

    >>> import jax.numpy as jnp
    >>> from brenier.measures import GaussianMixture
    >>> from brenier.velocities import MixtureVelocity
    >>> rho = GaussianMixture(jnp.ones(1), jnp.ones((1, 1)), 4.0 * jnp.ones((1, 1, 1)))
    >>> T = FlowMap(MixtureVelocity(rho), 1.0, 0.0)
    >>> T(jnp.array([3.0])).round(6).tolist()
    [1.0]
    """

    # Thirteen evaluations in each of some steps.
    passes: ClassVar[int] = 50
    velocity: AbstractVelocity
    start: Scalar
    stop: Scalar
    tolerance: float = eqx.field(static=True)
    max_steps: int = eqx.field(static=True)

    def __init__(
        self,
        velocity: AbstractVelocity,
        start: ArrayLike,
        stop: ArrayLike,
        *,
        tolerance: float = 1e-9,
        max_steps: int = 4096,
    ):
        self.velocity = velocity
        self.start, self.stop = _time("start", start), _time("stop", stop)
        self.tolerance = float(check_positive("tolerance", tolerance))
        self.max_steps = check_at_least("max_steps", max_steps, 1)

    @property
    def dimension(self) -> int:
        return self.velocity.dimension

    def apply(self, x: Point) -> Point:
        return _end(self, x)

    def inverse(self) -> "FlowMap":
        """The same flow from ``stop`` back to ``start``."""
        return FlowMap(
            self.velocity, self.stop, self.start, tolerance=self.tolerance, max_steps=self.max_steps
        )

    def along(
        self,
        velocity: AbstractVelocity,
        start: ArrayLike | None = None,
        stop: ArrayLike | None = None,
    ) -> "FlowMap":
        """The map of another velocity to the same tolerance, between the same times or others."""
        return FlowMap(
            velocity,
            self.start if start is None else start,
            self.stop if stop is None else stop,
            tolerance=self.tolerance,
            max_steps=self.max_steps,
        )

    def path(self, x: BatchLike, times: ArrayLike) -> Float[Array, "*batch k d"]:
        """The trajectories of the points, at ``times`` (k,) in order from start to stop.

        Raises:
            ValueError: times out of order, or not between start and stop.
        """
        points = as_points("x", x, self.dimension)
        moments = np.asarray(times, float)
        ahead = float(np.sign(self.stop - self.start))
        bounded = moments.ndim == 1 and moments.size and np.isfinite(moments).all()
        if (
            not bounded
            or (np.diff(np.concatenate([[self.start], moments, [self.stop]])) * ahead < 0).any()
        ):
            raise ValueError(
                f"times: got {moments.tolist()}; wants times in order from "
                f"{float(self.start)} to {float(self.stop)}."
            )
        along = eqx.Partial(_along, self, jnp.asarray(moments, points.dtype))
        floats = integration_floats(self.dimension) + self.dimension * moments.size
        return on_all_cores(along, points, floats=floats, passes=self.passes)

    def solve(self, x: BatchLike, *, throw: bool = True) -> Endpoints:
        """T(x) for points (n, d), with a record of how each integration ended.

        Where ``throw`` is false a point that fails does not stop the others.

        Args:
            x: points (n, d).
            throw: raise where the integration of a point failed.

        Returns:
            ``Endpoints``: the points, the result, and which points failed.

        Raises:
            ValueError: x is not (n, d) and finite, or the velocity is NaN where a point starts.
            SolveError: a point failed, and ``throw`` is true.

        >>> from brenier.measures import Gaussian
        >>> from brenier.velocities import MixtureVelocity
        >>> T = FlowMap(MixtureVelocity(Gaussian(jnp.zeros(1), 4.0 * jnp.eye(1))), 1.0, 0.0)
        >>> end = T.solve(np.array([[3.0]]))
        >>> end.points.round(6).tolist(), end.stats["failed"].tolist()
        ([[1.5]], [False])
        """
        points = jnp.asarray(check_points("x", x, dimension=self.dimension))
        floats = integration_floats(self.dimension)
        way = eqx.Partial(integrate, self)
        end: End = on_all_cores(way, points, floats=floats, passes=self.passes)
        failed = np.asarray(~end.reached)
        if failed.any():
            _check_velocity(self, np.asarray(x)[failed])
        ends = np.where(failed[:, None], np.nan, np.asarray(end.point))
        result = Result.not_converged if failed.any() else Result.successful
        stats = {"failed": failed, "steps": np.asarray(end.steps), "tolerance": self.tolerance}
        return Endpoints(ends, result, stats).checked(throw)


class End(NamedTuple):
    """Where a point arrived, whether at its tolerance, and after how many steps."""

    point: Float[Array, "*shape d"]
    reached: Bool[Array, "*batch"]
    steps: Int[Array, "*batch"]


def integrate(flow: FlowMap, x: Point, times: Float[Array, " k"] | None = None) -> End:
    """One point along the flow, to the end or at the times asked for.

    In the velocity's standard coordinates, to which the absolute tolerance refers.
    """
    velocity, first, last = framed(flow, x)
    save, tolerance = diffrax.SaveAt(t1=True), _reachable(flow.tolerance, x)
    if times is not None:
        places = jax.tree.map(
            lambda part: part.astype(x.dtype), jax.vmap(flow.velocity.standard.place)(times)
        )
        save = diffrax.SaveAt(ts=places.time)
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda time, y, _: velocity.at(jnp.asarray(time), y).astype(y.dtype)),
        diffrax.Dopri8(),
        first.time,
        last.time,
        None,
        first.enter(x),
        saveat=save,
        max_steps=flow.max_steps,
        throw=False,
        adjoint=diffrax.ForwardMode(),
        stepsize_controller=diffrax.PIDController(rtol=tolerance, atol=tolerance),
    )
    points = (
        last.leave(solution.ys[0]) if times is None else jax.vmap(Place.leave)(places, solution.ys)
    )
    reached = (solution.result == diffrax.RESULTS.successful) & jnp.isfinite(points).all()
    return End(points, reached, solution.stats["num_steps"])


def framed(flow: FlowMap, x: Point) -> tuple[AbstractVelocity, Place, Place]:
    """The velocity in standard coordinates, and these at both ends, in the dtype of x."""
    velocity, place = flow.velocity.standard
    first, last = (
        Place(*(jnp.asarray(part).astype(x.dtype) for part in place(time.astype(x.dtype))))
        for time in (flow.start, flow.stop)
    )
    return velocity, first, last


def _reachable(tolerance: float, x: Point) -> float:
    """What is asked, or what the dtype can tell."""
    return max(tolerance, _ROUNDINGS * float(jnp.finfo(x.dtype).eps))


def integration_floats(dimension: int) -> int:
    """Floats of working memory that one point takes while it is integrated, roughly.

    >>> integration_floats(2)
    1088
    """
    return 1024 + _STAGES * dimension


def _time(name: str, value: ArrayLike) -> Scalar:
    if not isinstance(value, jax.core.Tracer) and not np.isfinite(np.asarray(value)).all():
        raise ValueError(f"{name}: got {value}; wants a finite time of the velocity's clock.")
    return jnp.asarray(value, float)


def _check_velocity(flow: FlowMap, x: np.ndarray) -> None:
    """A ``ValueError`` where points failed because the velocity is not finite at their start."""
    if not np.isfinite(np.asarray(flow.velocity(flow.start, x))).all():
        raise ValueError(
            f"velocity: got NaN or infinity of {type(flow.velocity).__name__} at its "
            f"time {float(flow.start)}; wants a velocity that is finite at x."
        )


@eqx.filter_custom_jvp
def _end(flow: FlowMap, x: Point) -> Point:
    end = integrate(flow, x)
    return eqx.error_if(
        end.point,
        ~end.reached,
        "x: the integration of a point did not reach its tolerance; wants a larger tolerance or "
        "more steps (FlowMap.solve says which points fail).",
    )


@_end.def_jvp
def _(primals, tangents):
    flow, x = primals
    flow_dot, x_dot = tangents
    if any(leaf is not None for leaf in jax.tree.leaves(flow_dot)):
        raise ValueError(
            "flow: a FlowMap is differentiable in x, not in the velocity's parameters "
            "or the times; wants jax.lax.stop_gradient of the map."
        )
    d = x.shape[0]
    if d <= _WHOLE_JACOBIAN:
        end, columns = _with_tangents(flow, x, jnp.eye(d, dtype=x.dtype))
        return end, columns @ x_dot
    end, columns = _with_tangents(flow, x, x_dot[:, None])
    return end, columns[:, 0]


def _with_tangents(
    flow: FlowMap, x: Point, columns: Float[Array, "d m"]
) -> tuple[Point, Float[Array, "d m"]]:
    """T(x), and DT(x) times the columns, by one integration of both in standard coordinates."""
    d, m = columns.shape
    velocity, first, last = framed(flow, x)
    before, after = (jnp.broadcast_to(place.width, d)[:, None] for place in (first, last))
    inner = columns / before
    # Tangents of size 1, to which the tolerance refers, whatever theirs is.
    sizes = jnp.max(jnp.abs(inner), axis=0)
    sizes = jnp.where(sizes > 0.0, sizes, 1.0)
    start = jnp.concatenate([first.enter(x), (inner / sizes).ravel()])
    end = _end(flow.along(_WithTangents(velocity, m), first.time, last.time), start)
    return last.leave(end[:d]), after * sizes * end[d:].reshape(d, m)


class _WithTangents(AbstractVelocity):
    """(v, Dv C) at (x, C): points with m columns of tangents each."""

    velocity: AbstractVelocity
    count: int = eqx.field(static=True)

    @property
    def dimension(self) -> int:
        return self.velocity.dimension * (1 + self.count)

    def at(self, time: Scalar, x: Point) -> Point:
        d = self.velocity.dimension
        point, columns = x[:d], x[d:].reshape(d, self.count)
        value, push = jax.linearize(lambda y: self.velocity.at(time, y), point)
        moved = jax.vmap(push, in_axes=1, out_axes=1)(columns)
        return jnp.concatenate([value, moved.ravel()])


def _along(flow: FlowMap, times: Float[Array, " k"], x: Point) -> Float[Array, "k d"]:
    way = integrate(flow, x, times)
    return eqx.error_if(
        way.point, ~way.reached, "x: a path did not reach its tolerance; wants a larger tolerance."
    )
