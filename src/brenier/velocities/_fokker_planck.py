"""The Fokker-Planck equation on a grid of the plane, and the velocity of its probability flow."""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.sparse as sp
from scipy.stats import poisson

from brenier._checks import check_at_least, check_positive
from brenier._types import Float, Point, Scalar
from brenier.grids import AbstractGrid, Box, GridPotential
from brenier.measures import AbstractMeasure, require_density
from brenier.velocities._base import AbstractVelocity, Frame

# The fewest times for a spline of degree 7.
_FEWEST_MOMENTS = 12
# Times are denser at the start: the last step is e^3 times as long as the first.
_GRADING = 3.0
# Jumps of the random walk that a solve may take: some minutes.
_MOST_JUMPS = 10**6


class FokkerPlanckVelocity(AbstractVelocity):
    """v_t = −(∇g + ∇log ν_t) where ∂_t ν = ∇·(ν(∇g + ∇log ν)), from ν_0 towards e^{−g}.

    Solved on a ``Box`` of the plane without flux through its border, as a random walk between the
    nodes with the rates of Scharfetter and Gummel (Chang and Cooper): e^{−g} is stationary at the
    nodes, mass is conserved and ν stays positive, to rounding. In time it is exact, by the Poisson
    series of the walk's jumps (uniformisation), whose terms are all positive: log ν_t keeps its
    digits in the tails. log(ν_t/e^{−g}) is a spline of degree 7 in time and space; its slope is −v.
    With g = 0 this is the heat flow; with g = |x|²/2 the probability flow of the diffusion.

    Take it for a Langevin diffusion towards any density of the plane, the gradient flow of KL in
    Wasserstein space that a mirror flow is compared with, or for the heat flow. Order 2 in the
    spacing. Not for potentials so steep that g changes by much more than 1 between nodes where
    there is mass, nor for ν_0 narrower than some 4 nodes. Where the diffusion is Ornstein-Uhlenbeck
    and ν_0 smooth, ``RatioVelocity`` and ``TensorTrainVelocity`` are exact in space as well; beyond
    the plane ``measures.solve_fokker_planck`` finds the law, but no velocity.

    Args:
        log_ratio: log(ν_t/e^{−g}) of (moment, x), its displacement potential.
        duration: the last t, at moment 1.

    Made by ``towards``.

    >>> import jax.numpy as jnp
    >>> box = Box([-2.0, -2.0], [2.0, 2.0], [17, 17])
    >>> g = lambda x: 0.5 * (x @ x)
    >>> still = FokkerPlanckVelocity.towards(lambda x: -g(x), g, box, 0.2, moments=12)
    >>> bool(jnp.allclose(still(0.1, jnp.ones(2)), 0.0, atol=1e-6))
    True

    Chang and Cooper (1970); Deb et al. (2025); Theory (3.1) for g = |x|²/2.
    """

    log_ratio: GridPotential
    duration: float = eqx.field(static=True)

    @classmethod
    def towards(
        cls, initial: Any, target: Any, grid: AbstractGrid, duration: float, *, moments: int = 48
    ) -> "FokkerPlanckVelocity":
        """Solve the equation from time 0 to ``duration``.

        Args:
            initial: ν_0, a measure with a density, or its log-density at one point as a function
                of JAX; cut to the box and normalised there.
            target: e^{−g}, a measure with a density (``Gibbs``), or g itself as a function of JAX.
            grid: of the plane, wide enough for all ν_t.
            duration: the last t, above 0.
            moments: the number of times between which log ν_t is interpolated.

        Raises:
            ValueError: a grid that is no ``Box`` of the plane, functions that are not finite,
                settings out of range, a ν_t that vanishes at nodes of the box (it is too wide), or
                more jumps than some minutes allow (too fine, too long, or too steep).

        >>> import jax.numpy as jnp
        >>> from brenier.measures import Gaussian
        >>> v = FokkerPlanckVelocity.towards(
        ...     Gaussian(jnp.zeros(2), 0.5 * jnp.eye(2)), lambda x: 0.5 * (x @ x),
        ...     Box([-4.0, -4.0], [4.0, 4.0], [33, 33]), 0.2, moments=12)
        >>> round(float(v(0.0, jnp.array([1.0, 0.0]))[0]), 3)
        1.0
        """
        if not isinstance(grid, Box) or grid.dimension != 2:
            raise ValueError(
                f"grid: got {type(grid).__name__} of {grid.dimension} axes; wants a Box of 2."
            )
        check_positive("duration", duration)
        check_at_least("moments", moments, _FEWEST_MOMENTS)
        start = _at_nodes("initial", _log_density("initial", initial, 1.0), grid)
        g = -_at_nodes("target", _log_density("target", target, -1.0), grid)
        g = g - g.min()
        start = start - start.max()
        start -= math.log(grid.integral(np.exp(start)))
        times = _time(np.linspace(0.0, 1.0, moments), duration)
        logs = [start, *_evolved(start, g, grid, times)]
        box = Box([0.0, *grid.lower], [1.0, *grid.upper], [moments, *grid.shape])
        level = math.log(grid.integral(np.exp(-g)))
        return cls(GridPotential.from_grid(box, np.stack(logs) + g + level), float(duration))

    @property
    def dimension(self) -> int:
        return 2

    @property
    def standard(self) -> Frame:
        centre, width = self.log_ratio.lower[1:], jnp.max(self.log_ratio.extent[1:])
        # The first axis is time.
        shift, scale = jnp.append(0.0, centre), jnp.append(1.0, jnp.full_like(centre, width))
        log_ratio = self.log_ratio.moved(shift, scale, 1.0 / width / width)
        return Frame.fixed(centre, width, FokkerPlanckVelocity(log_ratio, self.duration))

    def at(self, time: Scalar, x: Point) -> Point:
        return -jax.grad(self.log_relative_density, argnums=1)(time, x)

    def log_relative_density(self, time: Scalar, x: Point) -> Scalar:
        """log(ν_t/π) at one point (2,), π ∝ e^{−g} normalised on the box."""
        moment = jnp.log1p(time / self.duration * math.expm1(_GRADING)) / _GRADING
        return self.log_ratio.displacement_potential(jnp.concatenate([moment[None], x]))


def _time(moment: Float[np.ndarray, " k"], duration: float) -> Float[np.ndarray, " k"]:
    return duration * np.expm1(_GRADING * moment) / math.expm1(_GRADING)


def _log_density(name: str, given: Any, sign: float) -> Callable[[Point], Scalar]:
    if isinstance(given, AbstractMeasure):
        require_density(name, given)
        return given.point_log_density
    if not callable(given):
        raise ValueError(
            f"{name}: got {type(given).__name__}; wants a measure with a density or "
            "a function of one point."
        )
    return lambda x: sign * given(x)


def _at_nodes(
    name: str, function: Callable[[Point], Scalar], grid: Box
) -> Float[np.ndarray, "n m"]:
    nodes = jnp.asarray(grid.points())
    values = np.asarray(jax.jit(jnp.vectorize(function, signature="(d)->()"))(nodes), np.float64)
    if not np.isfinite(values).all():
        place = grid.points()[tuple(np.argwhere(~np.isfinite(values))[0])].tolist()
        raise ValueError(
            f"{name}: got a value that is not finite at {place}; wants a density "
            "above 0 on the whole box."
        )
    return values


def _evolved(
    start: Float[np.ndarray, "n m"],
    g: Float[np.ndarray, "n m"],
    grid: Box,
    times: Float[np.ndarray, " k"],
) -> list[Float[np.ndarray, "n m"]]:
    """log ν at the later times, by the Poisson series of the walk from one time to the next."""
    cells = np.multiply.outer(grid.weights(0), grid.weights(1))
    jumps, rate = _walk(g, grid)
    if rate * times[-1] > _MOST_JUMPS:
        raise ValueError(
            f"grid: got {rate * times[-1]:.2g} jumps between nodes until the end; "
            f"wants at most {_MOST_JUMPS:,} (a coarser or narrower box, or less "
            "time)."
        )
    mass, found = (np.exp(start) * cells).ravel(), []
    for step in np.diff(times):
        jumped = rate * step
        # Ten standard deviations: the Poisson weights left out sum to less than e^{−50}.
        weights = poisson.pmf(np.arange(int(jumped + 10.0 * math.sqrt(jumped)) + 30), jumped)
        total = weights[0] * mass
        for weight in weights[1:]:
            mass = jumps @ mass
            total += weight * mass
        # The mass is 1, but for rounding and the weights left out.
        mass = total / total.sum()
        if mass.min() <= 0.0:
            raise ValueError(
                "initial: got a density that vanishes (underflows) on part of the "
                "box soon after the start; wants a narrower box."
            )
        found.append(np.log(mass.reshape(grid.shape) / cells))
    return found


def _walk(g: Float[np.ndarray, "n m"], grid: Box) -> tuple[sp.csr_matrix, float]:
    """The matrix P of a jump, from columns to rows, and the rate: generator = rate (P − I)."""
    index = np.arange(g.size).reshape(g.shape)
    rows, columns, rates = [], [], []
    for axis in (0, 1):
        widths = np.expand_dims(grid.weights(axis), 1 - axis) * np.ones_like(g)
        low = [slice(None)] * 2
        high = list(low)
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        for here, there in ((tuple(low), tuple(high)), (tuple(high), tuple(low))):
            rows.append(index[there].ravel())
            columns.append(index[here].ravel())
            flow = _bernoulli(g[there] - g[here]) / (grid.spacing[axis] * widths[here])
            rates.append(flow.ravel())
    row, column, value = (np.concatenate(part) for part in (rows, columns, rates))
    leaving = np.bincount(column, value, g.size)
    rate = float(leaving.max())
    matrix = sp.coo_matrix((value / rate, (row, column)), (g.size, g.size))
    return (matrix + sp.diags(1.0 - leaving / rate)).tocsr(), rate


def _bernoulli(z: np.ndarray) -> np.ndarray:
    """z/(e^z − 1), 1 at 0, without overflow."""
    size = np.abs(z)
    low = np.where(size > 0.0, size / np.where(size > 0.0, -np.expm1(-size), 1.0), 1.0)
    return low * np.exp(-np.maximum(z, 0.0))
