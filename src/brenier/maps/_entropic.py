"""The map of an entropic plan between clouds, at any point."""

from typing import ClassVar

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from brenier._checks import (
    as_array,
    check_at_least,
    check_digits,
    check_points,
    check_positive,
    check_weights,
)
from brenier._solution import Result, Solution, SolveError
from brenier._types import Array, Float, Point, Scalar
from brenier.maps._base import AbstractMap
from brenier.maps._gradient import ConjugateMap
from brenier.numerics import Coordinates, default_epsilon, sinkhorn, soft_reduce, without_outliers
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
        epsilon: ε > 0, in units of ½ squared distance: shift the points and it stays, scale them
            by s and it is scaled by s², as is the potential.
        origin: o, (d,), where z − o + ȳ takes the place of z above, ȳ the mean of the points; far
            from them the potential would have no digits left for its differences. ȳ where None.

    >>> import jax.numpy as jnp
    >>> T = EntropicMap(jnp.array([[-1.0], [1.0]]), jnp.zeros(2), 0.5)
    >>> bool(jnp.allclose(T(jnp.array([0.3])), jnp.tanh(0.6)))
    True
    """

    points: Float[Array, "m d"]
    potential: Float[Array, " m"]
    epsilon: Scalar
    origin: Point | None = None
    symmetric: ClassVar[bool] = True

    def __init__(
        self,
        points: ArrayLike,
        potential: ArrayLike,
        epsilon: ArrayLike,
        origin: ArrayLike | None = None,
    ):
        self.points = as_array("points", points, 2)
        self.potential = as_array("potential", potential, 1)
        self.epsilon = as_array("epsilon", epsilon, 0).astype(self.points.dtype)
        self.origin = None
        if origin is not None:
            self.origin = as_array("origin", origin, 1).astype(self.points.dtype)
            if self.origin.shape != self.points.shape[1:]:
                raise ValueError(
                    f"origin: got shape {self.origin.shape}; wants {self.points.shape[1:]}."
                )
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
        outliers: str = "warn",
        throw: bool = True,
    ) -> "EntropicMap":
        """The map of the entropic plan between two clouds (n, d) and (m, d), weighted or not.

        ``epsilon`` is 0.05 times the target's median squared distance where None; an explicit one
        has units of its own, those of ½ squared distance. Rows grossly outside of all others are
        named in a warning, left out ("drop") or taken silently ("keep"), as ``outliers`` says.

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
        check_digits("source", x)
        check_digits("target", y)
        a = _weights("source_weights", source_weights, x.shape[0])
        b = _weights("target_weights", target_weights, y.shape[0])
        a, b = without_outliers(("source", "target"), (x, y), (a, b), outliers)
        if epsilon is not None:
            check_positive("epsilon", epsilon)
        check_positive("tolerance", tolerance)
        check_at_least("max_iterations", max_iterations, 1)
        dtype = np.result_type(x, y)
        x, y = x[a > 0].astype(dtype), y[b > 0].astype(dtype)
        a, b = a[a > 0].astype(dtype), b[b > 0].astype(dtype)
        # In standard coordinates, where potentials keep their digits, and back.
        own = Coordinates.centred(x, y)
        u, v = own.encode_source(jnp.asarray(x)), own.encode_target(jnp.asarray(y))
        unit = float(own.scale) ** 2
        eps = default_epsilon(v) if epsilon is None else jnp.asarray(epsilon / unit, dtype)
        plan = sinkhorn(
            u,
            v,
            jnp.asarray(a),
            jnp.asarray(b),
            epsilon=eps,
            tolerance=tolerance,
            max_iterations=max_iterations,
        )
        potential = own.scale * own.scale * (plan.g + eps * jnp.log(b))
        result = cls(y, potential, own.scale * own.scale * eps, own.source_shift)
        if throw and not bool(plan.converged):
            stats = {"error": float(plan.error), "iterations": int(plan.iterations)}
            raise SolveError(Solution(result, Result.not_converged, stats))
        return result

    @property
    def dimension(self) -> int:
        return self.points.shape[-1]

    def apply(self, x: Point) -> Point:
        # Streamed over the y_j, and in standard coordinates: the scores then keep their digits.
        own, v, offsets, epsilon = self._standard()
        u = own.encode_source(x)[None]
        return own.decode_target(soft_reduce(u, v, offsets / epsilon, v, epsilon)[1][0])

    def inverse(self) -> ConjugateMap:
        """∇φ*, for points inside the convex hull of the y_j (T reaches no others)."""
        own, v, offsets, epsilon = self._standard()
        inner = LogSumExp(v, offsets, jnp.log(epsilon), jnp.full_like(epsilon, -jnp.inf))
        return ConjugateMap(Preconditioned.in_coordinates(inner, own))

    def _standard(self) -> tuple[Coordinates, Float[Array, "m d"], Float[Array, " m"], Scalar]:
        """Coordinates; the y_j, what stands beside ⟨u, v_j⟩, and ε in them."""
        centre = jnp.mean(self.points, axis=0)
        y = self.points - centre
        own = Coordinates.around(
            centre if self.origin is None else self.origin, centre, jnp.max(jnp.abs(y))
        )
        v = y / own.scale
        # One division after the other: s² may underflow.
        offsets = self.potential / own.scale / own.scale - 0.5 * jnp.sum(v * v, axis=1)
        return own, v, offsets, self.epsilon / own.scale / own.scale


def _weights(name: str, weights: ArrayLike | None, n: int) -> np.ndarray:
    return np.full(n, 1.0 / n) if weights is None else check_weights(name, weights, n)
