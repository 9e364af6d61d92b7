"""The semi-dual on held-out points: what a learned potential is judged by."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike

from brenier._checks import check_points, check_positive, check_weights, to_device
from brenier._types import Array, Float, Points, Scalar, Weights
from brenier.flows._method import shared_work
from brenier.flows._penalties import penalised_mean
from brenier.maps import AbstractMap, GradientMap
from brenier.numerics import conjugate_upper_bound, conjugate_work, over_devices
from brenier.potentials import AbstractPotential, conjugate_points

# Source points among which conjugates look for a start: bounded memory.
_STARTS = 2048


class HeldOutDual(eqx.Module):
    """J(φ) on held-out points as a metric for ``solve``: never below its value, by (5.4).

    J ≥ ½E‖X‖² + ½E‖Y‖² − ½W₂², with equality at the Monge map: lower is closer. The conjugates
    are solved to a relative residual of 1e-5; the means are float64's.

    Where a penalty τ is in the place of a marginal, E φ(X) is τ log E exp((φ(X) − ½|X|²)/τ) +
    ½E|X|², likewise for Y. Then J is ½E|X|² + ½E|Y|² + (τ + τ') log m, where m is the mass that φ
    sends for the best of its constants, and (τ + τ')(1 − m) the dual of unbalanced transport.
    Values at two τ are not comparable. Séjourné, Vialard & Peyré (2022).

    Args:
        x: source points (n, d).
        y: target points (m, d).
        x_weights, y_weights: of the points, (n,) and (m,); equal where None.
        source_penalty, target_penalty: τ > 0, in units of ½ squared distance, by which KL holds the
            marginal; None holds it as it is.

    >>> import brenier, jax
    >>> x = jax.random.normal(jax.random.key(0), (100, 2))
    >>> identity = brenier.maps.GradientMap(brenier.potentials.Quadratic.identity(2))
    >>> bool(jnp.isclose(HeldOutDual(x, x)(identity), jnp.mean(jnp.sum(x**2, axis=1))))
    True
    """

    # Fields, not constants of a closure: XLA folds constants, for minutes where they are large.
    x: Points
    y: Points
    x_weights: Weights | None
    y_weights: Weights | None
    source_penalty: float | None = eqx.field(static=True)
    target_penalty: float | None = eqx.field(static=True)

    def __init__(
        self,
        x: ArrayLike,
        y: ArrayLike,
        x_weights: ArrayLike | None = None,
        y_weights: ArrayLike | None = None,
        *,
        source_penalty: float | None = None,
        target_penalty: float | None = None,
    ):
        self.x = to_device(check_points("x", x))
        self.y = to_device(check_points("y", y, dimension=self.x.shape[1]))
        self.x_weights, self.y_weights = (
            None if own is None else jnp.asarray(check_weights(name, own, len(points)))
            for name, own, points in (
                ("x_weights", x_weights, self.x),
                ("y_weights", y_weights, self.y),
            )
        )

        for name, penalty in (
            ("source_penalty", source_penalty), ("target_penalty", target_penalty)
        ):  # fmt: skip
            if penalty is not None:
                check_positive(name, penalty)
        self.source_penalty, self.target_penalty = source_penalty, target_penalty

    def __call__(self, map: AbstractMap) -> Scalar:
        if not isinstance(map, GradientMap):
            raise ValueError(f"map: got {type(map).__name__}; wants a GradientMap.")
        heights, conjugates = self.terms(map.potential)
        source = penalised_mean(heights, self.x, self.x_weights, self.source_penalty)
        return source + penalised_mean(conjugates, self.y, self.y_weights, self.target_penalty)

    def terms(self, potential: AbstractPotential) -> tuple[Float[Array, " n"], Float[Array, " m"]]:
        """φ(x_i) and bounds on φ*(y_j) from above, whose means add up to J."""
        return _terms(self, potential)


@shared_work.register
def _(metric: HeldOutDual, on: Any, *args: Any) -> int:
    return conjugate_work(on, metric.y)


@over_devices(shared_work, factorises=True)
@eqx.filter_jit
def _terms(
    held: HeldOutDual, potential: AbstractPotential
) -> tuple[Float[Array, " n"], Float[Array, " m"]]:
    y, heights = held.y, potential(held.x)
    start = starts(potential, y, held.x[:_STARTS], heights[:_STARTS])
    result = conjugate_points(potential, y, start, tolerance=1e-5, max_iterations=50)
    return heights, conjugate_upper_bound(result, potential.strong_convexity())


def starts(
    potential: AbstractPotential, y: Points, x: Float[Array, "k d"], heights: Float[Array, " k"]
) -> Points:
    """Where x̂(y) is looked for: at the best of some x in few dimensions, at y itself in many."""
    nearest = x[jnp.argmax(y @ x.T - heights, axis=1)]
    own = jnp.sum(y * y, axis=1) - potential(y)
    other = jnp.sum(y * nearest, axis=1) - potential(nearest)
    return jnp.where((own > other)[:, None], y, nearest)
