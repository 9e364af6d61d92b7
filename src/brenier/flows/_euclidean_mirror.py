"""Mirror flows of points in R^d, by their mirror coordinate ∇u."""

from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier._checks import as_array, check_positive
from brenier._types import Array, Float, Point, Scalar


def euclidean_mirror_flow(
    objective: Callable[[Point], Scalar],
    mirror: Callable[[Point], Scalar],
    start: Any,
    times: Any,
    *,
    tolerance: float = 1e-11,
    max_steps: int = 10_000,
) -> Float[Array, "k d"]:
    """d/dt ∇u(Z) = −∇F(Z), so Z' = −(D²u(Z))⁻¹∇F(Z), at increasing times.

    With u = ½‖x‖² it is the gradient flow; a mirror that is flatter at the minimum arrives sooner
    (u = x⁴ in finite time), one that is steeper later (u = 1/x as t^{−1/3}). Not past a point where
    D²u is singular: the flow ends there. An ordinary differential equation of one point, integrated
    in one compiled call: it learns nothing, and is too short to be watched or interrupted.

    Args:
        objective: F, of one point (d,).
        mirror: u, convex, of one point.
        start: Z_0, (d,).
        times: (k,), increasing, above 0.
        tolerance: of the integration, relative and absolute.
        max_steps: of the integrator.

    Raises:
        ValueError: a mirror that is not convex at the start; times out of order.
        RuntimeError: the integration did not reach the last time (a singular mirror on the way).

    >>> z = euclidean_mirror_flow(lambda x: 0.5 * x @ x, lambda x: x[0]**4, [1.0], [3.0])
    >>> round(float(z[0, 0]), 6)  # √(1 - 3/6)
    0.707107

    Deb25, "Euclidean mirror gradient flows"; Theory (4.8).
    """
    check_positive("tolerance", tolerance)
    z0 = as_array("start", np.asarray(start, np.float64), 1)
    moments = np.asarray(times, np.float64)
    if moments.ndim != 1 or not moments.size or (np.diff(moments, prepend=0.0) <= 0).any():
        raise ValueError(f"times: got {moments.tolist()}; wants increasing times above 0.")
    least = float(jnp.linalg.eigvalsh(jax.hessian(mirror)(z0))[0])
    if not least > 0.0:
        raise ValueError(
            f"mirror: got a function whose Hessian at the start has the eigenvalue "
            f"{least:.3g}; wants a strictly convex one."
        )
    points, reached = _flow(objective, mirror, z0, jnp.asarray(moments), tolerance, max_steps)
    if not bool(reached):
        raise RuntimeError(
            "euclidean_mirror_flow: the integration did not reach the last time; "
            "the flow may end before it, where D²u is singular. Take earlier times."
        )
    return points


@eqx.filter_jit
def _flow(objective, mirror, start, times, tolerance, max_steps):
    def velocity(_, z, __):
        return -jnp.linalg.solve(jax.hessian(mirror)(z), jax.grad(objective)(z))

    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(velocity),
        diffrax.Dopri8(),
        jnp.zeros(()),
        times[-1],
        None,
        start,
        saveat=diffrax.SaveAt(ts=times),
        max_steps=max_steps,
        throw=False,
        stepsize_controller=diffrax.PIDController(rtol=tolerance, atol=tolerance),
    )
    reached = (solution.result == diffrax.RESULTS.successful) & jnp.isfinite(solution.ys).all()
    return solution.ys, reached
