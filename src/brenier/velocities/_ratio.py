"""The probability flow of a density known by its ratio to the standard normal's, in the plane."""

from collections.abc import Callable
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from brenier._types import Array, Float, Point, Scalar
from brenier.grids import Torus
from brenier.velocities._diffusion import AbstractDiffusionVelocity

# Largest distance of the ratio from its level at the border, and of its mean from 1, relative to
# the largest ratio.
_FLAT = 1e-9
# Waves and singular values below this share of the largest are rounding.
_NEGLIGIBLE = 1e-15


class RatioVelocity(AbstractDiffusionVelocity):
    """dx/da of the diffusion of μ_0 = f γ, γ = N(0, I) in the plane, f smooth and flat far out.

    γ is stationary, so μ_t/γ = P_a f with (P_a f)(x) = E f(a x + √(1−a²) Z), and

        dx/da = (P_a ∇f)(x) / (P_a f)(x),

    smooth at both ends, without cancellation and without time steps. f − f(∞) is expanded in
    Fourier series on the box, so that P_a is the factor exp(−(1−a²)k²/2), and split by an SVD into
    products of functions of one coordinate: spectrally accurate, with 2 r m terms a point for m
    waves and rank r. For near-normal densities (images of γ under maps close to the identity). Not
    for densities with tails wider than γ's, nor where f falls below 1e-10 of its maximum: take
    ``TensorTrainVelocity`` then.

    Args:
        level: f(∞).
        first, second: coefficients of cos and sin, of the r functions of x_1 and of x_2.
        waves: the wave numbers k, axis by axis.
        corner: the lower corner of the box.

    Made by ``from_ratio``.

    >>> import jax.numpy as jnp
    >>> grid = Torus([-10.0, -10.0], [10.0, 10.0], [64, 64])
    >>> v = RatioVelocity.from_ratio(lambda x: 1.0 + x[0] * jnp.exp(-(x @ x)), grid)
    >>> round(float(v.ratio(jnp.array(0.0), jnp.ones(2))), 6)  # the mean of f under γ
    1.0

    Theory (3.3), (3.7), (3.11); Lavenant and Santambrogio (2022), section 3.
    """

    level: Scalar
    first: Float[Array, "r 2 _"]
    second: Float[Array, "r 2 _"]
    waves: tuple[Float[Array, " _"], Float[Array, " _"]]
    corner: Float[Array, "2"]
    smooth: ClassVar[bool] = True

    @classmethod
    def from_ratio(
        cls, ratio: Callable[[Point], Scalar], grid: Torus, *, level: float = 1.0
    ) -> "RatioVelocity":
        """The velocity of f γ, from f at the nodes of a box that holds all of f − f(∞).

        Args:
            ratio: f at one point (2,), written in JAX.
            grid: wide enough that f is at its level some 4 standard deviations of γ before the
                border (the kernel of P_a must not reach round the box), and fine enough for f.
            level: f(∞).

        Raises:
            ValueError: a grid that is not of the plane; f that is negative, not finite, not at its
                level at the border, or whose mean under γ is not 1.

        >>> import jax.numpy as jnp
        >>> grid = Torus([-10.0, -10.0], [10.0, 10.0], [64, 64])
        >>> v = RatioVelocity.from_ratio(lambda x: 1.0 + x[0] * jnp.exp(-(x @ x)), grid)
        >>> bool(jnp.allclose(v(1.0, jnp.zeros(2)), jnp.array([1.0, 0.0])))
        True
        """
        if grid.dimension != 2:
            raise ValueError(f"grid: got {grid.dimension} axes; wants 2.")
        nodes = jnp.asarray(grid.points().reshape(-1, 2))
        values = np.asarray(jax.jit(jax.vmap(ratio))(nodes), np.float64).reshape(grid.shape)
        _check(values, grid, level)
        columns, sizes, rows = np.linalg.svd(values - level)
        # Rounding errors of f give singular values of about this size.
        noise = np.finfo(float).eps * np.abs(values).max() * np.sqrt(max(grid.shape))
        rank = max(1, int(np.sum(sizes > max(_NEGLIGIBLE * sizes[0], noise))))
        first, first_waves = _series(columns[:, :rank].T * sizes[:rank, None], grid.spacing[0])
        second, second_waves = _series(rows[:rank], grid.spacing[1])
        return cls(
            jnp.asarray(float(level)),
            jnp.asarray(first),
            jnp.asarray(second),
            (jnp.asarray(first_waves), jnp.asarray(second_waves)),
            jnp.asarray(grid.lower),
        )

    @property
    def dimension(self) -> int:
        return 2

    def at(self, time: Scalar, x: Point) -> Point:
        (f, f_slope), (g, g_slope) = self._factors(time, x)
        return jnp.stack([f_slope @ g, f @ g_slope]) / (self.level + f @ g)

    def ratio(self, signal: Scalar, x: Point) -> Scalar:
        """μ_t/γ at one point (2,), at the signal a = e^{-t}."""
        (f, _), (g, _) = self._factors(signal, x)
        return self.level + f @ g

    def _factors(
        self, signal: Scalar, x: Point
    ) -> list[tuple[Float[Array, " r"], Float[Array, " r"]]]:
        """P_a of the r functions of each coordinate and their slopes: each evaluated at a x_i."""
        found = []
        for axis, coefficients in enumerate((self.first, self.second)):
            k = self.waves[axis]
            angle = k * (signal * x[axis] - self.corner[axis])
            damped = jnp.exp(-0.5 * (1.0 - signal**2) * k**2)
            cosine, sine = damped * jnp.cos(angle), damped * jnp.sin(angle)
            basis = jnp.stack(
                [jnp.concatenate([cosine, sine]), jnp.concatenate([-k * sine, k * cosine])], axis=1
            )
            both = coefficients.reshape(coefficients.shape[0], -1) @ basis
            found.append((both[:, 0], both[:, 1]))
        return found


def _check(values: Float[np.ndarray, "n m"], grid: Torus, level: float) -> None:
    if not np.isfinite(values).all() or values.min() < 0.0:
        raise ValueError(
            f"ratio: got values from {values.min():.3g} to {values.max():.3g}; wants "
            "a ratio of densities, finite and not negative."
        )
    size = np.abs(values).max()
    border = max(np.abs(values[[0, -1]] - level).max(), np.abs(values[:, [0, -1]] - level).max())
    if border > _FLAT * size:
        raise ValueError(
            f"ratio: got values off its level, {level}, by {border:.3g} at the border "
            "of the grid; wants a wider grid (or the right level)."
        )
    weights = [np.exp(-0.5 * grid.nodes(axis) ** 2) * grid.weights(axis) for axis in range(2)]
    mean = float(weights[0] @ values @ weights[1]) / (2.0 * np.pi)
    if abs(mean - 1.0) > _FLAT * size:
        raise ValueError(
            f"ratio: got a mean of {mean:.12g} under N(0, I); wants 1 (normalise it, "
            "or take a finer grid)."
        )


def _series(
    rows: Float[np.ndarray, "r n"], spacing: float
) -> tuple[Float[np.ndarray, "r 2 m"], Float[np.ndarray, " m"]]:
    """Coefficients of cos and sin of each row, and the wave numbers, up to the last that counts."""
    n = rows.shape[1]
    waves = np.fft.rfft(rows, axis=1) / n
    waves[:, 1 : (n + 1) // 2] *= 2.0
    sizes = np.abs(waves).max(axis=0)
    count = int(np.flatnonzero(sizes > _NEGLIGIBLE * sizes.max())[-1]) + 1
    numbers = 2.0 * np.pi * np.fft.rfftfreq(n, spacing)
    return np.stack([waves.real, -waves.imag], axis=1)[:, :, :count], numbers[:count]
