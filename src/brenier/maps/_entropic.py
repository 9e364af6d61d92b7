"""The map of an entropic plan between clouds, at any point."""

from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from brenier._checks import as_array, check_at_least, check_points, check_positive, check_weights
from brenier._solution import Result, Solution, SolveError
from brenier._types import Array, Float, Point, Scalar
from brenier.maps._base import AbstractMap
from brenier.maps._gradient import ConjugateMap
from brenier.numerics import Coordinates, default_epsilon, sinkhorn, soft_reduce
from brenier.potentials import LogSumExp, Preconditioned


class EntropicMap(AbstractMap):
    """T(z) = Σ_j p_j(z) y_j, p_j(z) ∝ exp((g_j − ½‖z − y_j‖²)/ε): where the entropic plan sends z.

    The gradient of the convex φ(z) = ε log Σ_j exp((⟨z, y_j⟩ + g_j − ½‖y_j‖²)/ε), so a Monge map
    onto its own image, inside the convex hull of the y_j. It reaches the target only as ε → 0 with
    more points (Pooladian & Niles-Weed 2021): its image is shrunk by about ε. Not for targets
    whose tails matter, nor for d > 10, where it averages over neighbours that are far away.

    Args:
        points: y, (m, d).
        potential: g_j + ε log b_j, (m,), with the weights b of the points (drop those of weight 0).
        epsilon: ε > 0.

    >>> import jax.numpy as jnp
    >>> T = EntropicMap(jnp.array([[-1.0], [1.0]]), jnp.zeros(2), 0.5)
    >>> bool(jnp.allclose(T(jnp.array([0.3])), jnp.tanh(0.6)))
    True
    """

    points: Float[Array, "m d"]
    potential: Float[Array, " m"]
    epsilon: Scalar
    symmetric: ClassVar[bool] = True

    def __init__(self, points: ArrayLike, potential: ArrayLike, epsilon: ArrayLike):
        self.points = as_array("points", points, 2)
        self.potential = as_array("potential", potential, 1)
        self.epsilon = as_array("epsilon", epsilon, 0).astype(self.points.dtype)
        if self.potential.shape != self.points.shape[:1]:
            raise ValueError(
                f"potential: got shape {self.potential.shape}; wants one number for "
                f"each of {self.points.shape[0]} points."
            )

    @classmethod
    def from_samples(
        cls,
        source: ArrayLike,
        target: ArrayLike,
        *,
        source_weights: ArrayLike | None = None,
        target_weights: ArrayLike | None = None,
        epsilon: float | None = None,
        tolerance: float = 1e-4,
        max_iterations: int = 1000,
        throw: bool = True,
    ) -> "EntropicMap":
        """The map of the entropic plan between two clouds (n, d) and (m, d), weighted or not.

        ``epsilon`` is 0.05 times the target's median squared distance where None.

        Raises:
            ValueError: points or weights that are not what they should be.
            SolveError: Sinkhorn did not reach ``tolerance`` (on the L1 error of the marginals); its
                ``solution`` holds the last map. With ``throw=False`` that map is returned.

        >>> import jax
        >>> x = jax.random.normal(jax.random.key(0), (200, 1))
        >>> T = EntropicMap.from_samples(x, x + 3.0, epsilon=0.01)
        >>> bool(abs(T(x[0]) - x[0] - 3.0)[0] < 0.2)
        True
        """
        x = check_points("source", source)
        y = check_points("target", target, dimension=x.shape[1])
        a = _weights("source_weights", source_weights, x.shape[0])
        b = _weights("target_weights", target_weights, y.shape[0])
        if epsilon is not None:
            check_positive("epsilon", epsilon)
        check_positive("tolerance", tolerance)
        check_at_least("max_iterations", max_iterations, 1)
        dtype = jnp.result_type(x, y)
        points, log_b = jnp.asarray(y[b > 0], dtype), jnp.log(jnp.asarray(b[b > 0], dtype))
        eps = default_epsilon(points) if epsilon is None else jnp.asarray(epsilon, dtype)
        plan = sinkhorn(
            jnp.asarray(x, dtype),
            points,
            jnp.asarray(a, dtype),
            jnp.exp(log_b),
            epsilon=eps,
            tolerance=tolerance,
            max_iterations=max_iterations,
        )
        result = cls(points, plan.g + eps * log_b, eps)
        if throw and not bool(plan.converged):
            stats = {"error": float(plan.error), "iterations": int(plan.iterations)}
            raise SolveError(Solution(result, Result.not_converged, stats))
        return result

    @property
    def dimension(self) -> int:
        return self.points.shape[-1]

    def apply(self, x: Point) -> Point:
        # Streamed over the y_j, and centred: the scores then keep their digits far from 0.
        centre = jnp.mean(self.points, axis=0)
        y = self.points - centre
        offsets = (self.potential - 0.5 * jnp.sum(y * y, axis=1)) / self.epsilon
        return centre + soft_reduce((x - centre)[None], y, offsets, y, self.epsilon)[1][0]

    def inverse(self) -> ConjugateMap:
        """∇φ*, for points inside the convex hull of the y_j (T reaches no others)."""
        # In standard coordinates, ε and the potential too: values keep their digits far from 0.
        centre = jnp.mean(self.points, axis=0)
        y = self.points - centre
        scale = jnp.max(jnp.abs(y))
        scale = jnp.where(scale > 0, scale, 1.0)
        v = y / scale
        offsets = self.potential / scale / scale - 0.5 * jnp.sum(v * v, axis=1)
        inner = LogSumExp(
            v,
            offsets,
            jnp.log(self.epsilon) - 2.0 * jnp.log(scale),
            jnp.full_like(self.epsilon, -jnp.inf),
        )
        matrix = jnp.eye(self.dimension, dtype=v.dtype)
        own = Coordinates(matrix, centre, centre, scale)
        return ConjugateMap(Preconditioned.in_coordinates(inner, own))


def _weights(name: str, weights: ArrayLike | None, n: int) -> np.ndarray:
    return np.full(n, 1.0 / n) if weights is None else check_weights(name, weights, n)
