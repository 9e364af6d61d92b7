"""Dacorogna and Moser's velocity between two densities, by one Poisson equation on a grid."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brenier._types import Float, Point, Scalar
from brenier.grids import AbstractGrid, GridPotential, Torus
from brenier.measures import AbstractMeasure, require_density
from brenier.velocities._base import AbstractVelocity, Frame

# In lengths of the box per unit of time: such a particle leaves the grid within any step.
_FASTEST = 1e3


class DacorognaMoserVelocity(AbstractVelocity):
    """v_s = ∇u/β_s with β_s = (1−s)α + sβ and Δu = α − β, 0 ≤ s ≤ 1: α flows to β.

    ∂_s β_s + ∇·(β_s v_s) = β − α + Δu = 0, so that β_s is the law at time s, for any two densities.
    The flow map reaches β exactly, up to the grid, but is not optimal in general, except where
    everything depends on one coordinate. On a ``Box`` no mass passes the border (Neumann: the even
    reflection, a cosine series); on a ``Torus`` the plane is periodic (a Fourier series). Between
    the nodes u and the logarithms of the densities are splines of degree 7.

    For densities bounded below on the grid's box. Not for supports that are apart, nor for boxes
    that reach far into both tails: there ∇u carries mass through regions of almost no density, and
    the velocity is unbounded. Order 2 in the spacing where the densities have a slope at the border
    of a box, higher where they do not, spectral on a torus.

    Args:
        flux: ∇u is the gradient of its displacement potential.
        log_source, log_target: log α and log β, as displacement potentials too.

    Made by ``between``.

    >>> import jax.numpy as jnp
    >>> from brenier.grids import Torus
    >>> grid = Torus([0.0, 0.0], [1.0, 1.0], [16, 16])
    >>> wave = lambda x: jnp.log(1.0 + 0.5 * jnp.cos(2 * jnp.pi * x[0]))
    >>> still = DacorognaMoserVelocity.between(wave, wave, grid)
    >>> bool(jnp.allclose(still(0.5, jnp.ones(2)), 0.0))
    True

    Dacorogna and Moser (1990); Peyré (2024); Theory (3.9).
    """

    flux: GridPotential
    log_source: GridPotential
    log_target: GridPotential

    @classmethod
    def between(cls, source: Any, target: Any, grid: AbstractGrid) -> "DacorognaMoserVelocity":
        """The velocity from α to β, both cut to the grid's box and normalised there.

        Args:
            source, target: a measure with a density, the log-density of one point as a function of
                JAX, or the densities at the nodes, an array of the grid's shape above 0.
            grid: a ``Box`` or a ``Torus`` of the plane.

        Raises:
            ValueError: a grid of another dimension, densities that are not finite or vanish
                somewhere, measures without density, supports so far apart that β_s vanishes where
                mass must pass.

        >>> import jax.numpy as jnp
        >>> from brenier.grids import Torus
        >>> grid = Torus([0.0, 0.0], [1.0, 1.0], [16, 16])
        >>> wave = lambda x: jnp.log(1.0 + 0.5 * jnp.cos(2 * jnp.pi * x[0]))
        >>> v = DacorognaMoserVelocity.between(wave, lambda x: 0.0 * x[0], grid)
        >>> v(1.0, jnp.array([0.25, 0.5]))[0].round(4).item()
        0.0796
        """
        if grid.dimension != 2:
            raise ValueError(f"grid: got {grid.dimension} axes; wants 2.")
        logs = [
            _log_density(name, density, grid)
            for name, density in (("source", source), ("target", target))
        ]
        alpha, beta = (np.exp(values) for values in logs)
        whole, difference = _periodic(grid, alpha - beta)
        u = _poisson(whole, difference)
        _check_speed(grid, whole, u, alpha, beta)
        return cls(
            GridPotential.from_grid(whole, u),
            *(GridPotential.from_grid(grid, values) for values in logs),
        )

    @property
    def dimension(self) -> int:
        return 2

    @property
    def standard(self) -> Frame:
        centre, width = self.log_source.lower, jnp.max(self.log_source.extent)
        logs = (
            log.moved(centre, width, jnp.ones(())) for log in (self.log_source, self.log_target)
        )
        flux = self.flux.moved(centre, width, 1.0 / width / width)
        return Frame.fixed(centre, width, DacorognaMoserVelocity(flux, *logs))

    def at(self, time: Scalar, x: Point) -> Point:
        slope = jax.grad(self.flux.displacement_potential)(x)
        return slope * jnp.exp(-self.log_density(time, x))

    def log_density(self, time: Scalar, x: Point) -> Scalar:
        """log β_s at one point (2,)."""
        first = self.log_source.displacement_potential(x)
        second = self.log_target.displacement_potential(x)
        # In this form finite at s = 0 and 1 as well, where log(1 − s) or log s is infinite.
        top = jax.lax.stop_gradient(jnp.maximum(first, second))
        return top + jnp.log((1.0 - time) * jnp.exp(first - top) + time * jnp.exp(second - top))


def _log_density(
    name: str, density: AbstractMeasure | Callable[[Point], Scalar] | Any, grid: AbstractGrid
) -> Float[np.ndarray, "n m"]:
    """The log-density at the nodes, normalised on the grid."""
    if isinstance(density, AbstractMeasure):
        require_density(name, density)
        if density.dimension != grid.dimension:
            raise ValueError(f"{name}: got dimension {density.dimension}; wants 2.")
    if isinstance(density, AbstractMeasure) or callable(density):
        function = density.point_log_density if isinstance(density, AbstractMeasure) else density
        nodes = jnp.asarray(grid.points())
        values = np.asarray(jax.jit(jnp.vectorize(function, signature="(d)->()"))(nodes))
    else:
        given = np.asarray(density, np.float64)
        if given.shape != grid.shape:
            raise ValueError(
                f"{name}: got shape {given.shape}; wants that of the grid, {grid.shape}."
            )
        values = np.log(given, out=np.full(grid.shape, -np.inf), where=given > 0)
    if not np.isfinite(values).all():
        raise ValueError(
            f"{name}: got a density that is not positive and finite at "
            f"{int(np.sum(~np.isfinite(values)))} nodes; wants one above 0 on the "
            "whole grid (a smaller box, or a little of the uniform density added)."
        )
    values = values - values.max()
    return values - np.log(grid.integral(np.exp(values)))


def _periodic(
    grid: AbstractGrid, values: Float[np.ndarray, "n m"]
) -> tuple[Torus, Float[np.ndarray, "_ _"]]:
    """A box and its mirror images: a field without flux through its border is periodic on them."""
    if isinstance(grid, Torus):
        return grid, values
    for axis in (0, 1):
        inner = np.take(values, range(grid.shape[axis] - 2, 0, -1), axis=axis)
        values = np.concatenate([values, inner], axis=axis)
    upper = [2.0 * b - a for a, b in zip(grid.lower, grid.upper, strict=True)]
    return Torus(grid.lower, upper, values.shape), values


def _poisson(grid: Torus, right: Float[np.ndarray, "n m"]) -> Float[np.ndarray, "n m"]:
    """Δu = right − mean, by Fourier series."""
    numbers = [
        2.0 * np.pi * np.fft.fftfreq(n, h) for n, h in zip(grid.shape, grid.spacing, strict=True)
    ]
    square = numbers[0][:, None] ** 2 + numbers[1][: grid.shape[1] // 2 + 1] ** 2
    waves = np.fft.rfft2(right)
    waves[0, 0], square[0, 0] = 0.0, 1.0
    return np.fft.irfft2(-waves / square, s=grid.shape)


def _check_speed(
    grid: AbstractGrid,
    whole: Torus,
    u: Float[np.ndarray, "_ _"],
    alpha: Float[np.ndarray, "n m"],
    beta: Float[np.ndarray, "n m"],
) -> None:
    """A ``ValueError`` where mass must pass and both densities almost vanish."""
    rows, columns = grid.shape
    slopes = [
        (np.roll(u, -1, axis) - np.roll(u, 1, axis))[:rows, :columns] / (2.0 * whole.spacing[axis])
        for axis in (0, 1)
    ]
    flux = np.hypot(*slopes)
    size = max(b - a for a, b in zip(grid.lower, grid.upper, strict=True))
    speed = flux / (np.maximum(alpha, beta) * size)
    worst = np.unravel_index(int(np.argmax(speed)), grid.shape)
    if speed[worst] > _FASTEST:
        place = grid.points()[worst].round(4).tolist()
        raise ValueError(
            f"target: got densities that are both below {max(alpha[worst], beta[worst]):.2g} at "
            f"{place}, where a flux of {flux[worst]:.2g} must pass; wants supports that are not "
            "apart (a smaller box, or a little of the uniform density added to both)."
        )
