"""The probability flow of atoms: Dirac mixtures, and the closed-form score of n data points."""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from scipy.spatial import KDTree

from brenier._checks import as_points
from brenier._types import BatchLike, Int, Point, Points, Scalar, Weights
from brenier.maps import AbstractMap
from brenier.measures import Empirical
from brenier.numerics import soft_reduce
from brenier.velocities._diffusion import AbstractDiffusionVelocity, Unit, posterior_mean
from brenier.velocities._flow_map import FlowMap
from brenier.velocities._hyperbolic import HyperbolicClock

# The decoder stops where the noise is this share of the least distance between two atoms: all
# points but those within rounding of a border are then close to one atom.
_DECIDED = 0.02


class AtomsVelocity(AbstractDiffusionVelocity):
    """dx/da of the diffusion of Σ_i w_i δ_{x_i}: (m − a x)/(1 − a²), m the posterior mean.

    m = Σ_i p_i x_i with p_i ∝ w_i exp(−‖x − a x_i‖²/(2(1−a²))), streamed over the atoms (Theory
    (3.5)). Singular at a = 1, where the law is the atoms: integrate it in ``HyperbolicClock``.

    Args:
        source: the atoms and their weights (a Dirac mixture of Pey24, data points).

    >>> import jax.numpy as jnp
    >>> from brenier.measures import Empirical
    >>> v = AtomsVelocity(Empirical(jnp.array([[-1.0], [1.0]])))
    >>> v(0.0, jnp.array([5.0])).tolist()
    [0.0]
    """

    atoms: Points
    log_weights: Weights
    smooth: ClassVar[bool] = False

    def __init__(self, source: Empirical):
        weights = jnp.full(source.size, 1.0 / source.size, source.points.dtype)
        if source.weights is not None:
            weights = source.weights
        kept = np.asarray(weights) > 0
        self.atoms, self.log_weights = source.points[kept], jnp.log(weights[kept])

    @property
    def dimension(self) -> int:
        return self.atoms.shape[-1]

    @property
    def unit(self) -> Unit:
        near = self.atoms - self.atoms[0]
        middle = jnp.mean(near, axis=0)
        size = jnp.sqrt(jnp.mean((near - middle) ** 2))
        width = jnp.where(size > 0.0, size, 1.0)
        own = eqx.tree_at(lambda v: v.atoms, self, (near - middle) / width)
        return Unit(self.atoms[0] + middle, width, own)

    def at(self, time: Scalar, x: Point) -> Point:
        variance = 1.0 - time**2
        # Centred: no digits are lost where the atoms are far from 0.
        centre = jnp.mean(self.atoms, axis=0)
        atoms = self.atoms - centre
        offsets = self.log_weights - 0.5 * time**2 / variance * jnp.sum(atoms**2, axis=1)
        pull = (time / variance) * (x - time * centre)
        mean = soft_reduce(pull[None], atoms, offsets, atoms, jnp.ones((), x.dtype))[1][0]
        return (centre + mean - time * x) / variance


class AtomsDecoder(AbstractMap):
    """The decoder of a diffusion of atoms: N(0, I) to the atoms, constant on each cell.

    The cells tessellate space; they are not the Laguerre cells of optimal transport (Pey24). The
    flow is integrated until the noise is far below the least distance between two atoms; the
    posterior mean is then the atom itself. Not where a map that generalises is wanted: it returns
    nothing but the atoms.

    Args:
        source: the atoms and their weights.
        tolerance: of the integration.

    >>> import jax.numpy as jnp
    >>> from brenier.measures import Empirical
    >>> D = AtomsDecoder(Empirical(jnp.array([[-1.0], [1.0]])))
    >>> D(jnp.array([0.3])).round(9).tolist()
    [1.0]
    """

    flow: FlowMap
    velocity: AtomsVelocity
    centre: Point | None = None
    width: Scalar | None = None

    def __init__(self, source: Empirical, *, tolerance: float = 1e-9):
        self.velocity = AtomsVelocity(source)
        # The flow of the atoms in their own unit, which begins at the same points.
        self.centre, self.width, own = self.velocity.unit
        assert isinstance(own, AtomsVelocity)
        end = np.log(2.0 / (_DECIDED * _least_distance(np.asarray(own.atoms))))
        self.flow = FlowMap(HyperbolicClock(own), 0.0, max(1.0, end), tolerance=tolerance)

    @property
    def dimension(self) -> int:
        return self.velocity.dimension

    def apply(self, x: Point) -> Point:
        clock = self.flow.velocity
        assert isinstance(clock, HyperbolicClock)
        mean = posterior_mean(clock.velocity, jnp.tanh(self.flow.stop), self.flow.apply(x))
        if self.centre is None or self.width is None:  # a file of an older brenier
            return mean
        return self.centre + self.width * mean

    def inverse(self) -> "AbstractMap":
        raise ValueError(
            "map: got the decoder of atoms, which sends a cell to one point; wants a "
            "map that is one-to-one (ProbabilityFlow.encoder from a start above 0)."
        )

    def labels(self, x: BatchLike) -> Int[np.ndarray, "*batch"]:
        """The index of the atom that each x decodes to, counted among those of positive weight."""
        ends = np.asarray(self(as_points("x", x, self.dimension)))
        return KDTree(np.asarray(self.velocity.atoms)).query(ends)[1]


def _least_distance(atoms: np.ndarray) -> float:
    """Between two different atoms; 1 where there is but one."""
    different = np.unique(atoms, axis=0)
    if len(different) == 1:
        return 1.0
    return float(KDTree(different).query(different, k=2)[0][:, 1].min())
