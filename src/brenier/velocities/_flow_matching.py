"""Flow matching: velocities E[X − Z | x_s] of an interpolation x_s between two measures."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

from brenier._types import Array, Float, Point, Scalar
from brenier.maps import ConjugateMap, GradientMap
from brenier.measures import AbstractMeasure, Empirical, Gaussian, GaussianMixture
from brenier.potentials import AbstractPotential, Preconditioned
from brenier.velocities._base import AbstractVelocity, Frame, Place
from brenier.velocities._diffusion import AbstractDiffusionVelocity


class _Parts(NamedTuple):
    """Σ_i w_i N(m_i, F_i F_iᵀ); one factor of zeros for all atoms of an empirical measure."""

    log_weights: Float[Array, " k"]
    means: Float[Array, "k d"]
    factors: Float[Array, "f d d"]


class MatchingVelocity(AbstractVelocity):
    """v_s(z) = E[X − Z | (1−s) Z + s X = z] for Z and X independent, in closed form, 0 ≤ s ≤ 1.

    With components N(m_i, S_i) of Z and N(n_j, R_j) of X and C_ij = (1−s)² S_i + s² R_j,

        v_s(z) = Σ_ij r_ij(z) [n_j − m_i + (s R_j − (1−s) S_i) C_ij⁻¹ (z − (1−s) m_i − s n_j)],

    r_ij the responsibilities of N((1−s) m_i + s n_j, C_ij). S_i and R_j are diagonalised together
    once, so that no matrix is inverted at each time, and nothing cancels at either end. Where one
    of the measures has atoms, the slope of v is infinite at its end: integrate to 1 − 1e-6, say
    (or from 1e-6), not to the end itself.

    Not optimal in general. Not between two empirical measures: the velocity is then known on
    finitely many lines only (learn one: ``flows.fit_velocity``). Memory grows as the pairs of
    components.

    Args:
        source: the law of Z, a ``Gaussian``, ``GaussianMixture`` or ``Empirical`` measure.
        target: the law of X, likewise; at most one of the two ``Empirical``.

    Raises:
        ValueError: measures of another kind, two empirical ones, or dimensions that do not match.

    >>> import jax.numpy as jnp
    >>> from brenier.measures import Gaussian
    >>> v = MatchingVelocity(Gaussian.standard(1), Gaussian(jnp.ones(1), 4.0 * jnp.eye(1)))
    >>> v(0.0, jnp.array([2.0])).tolist(), v(1.0, jnp.array([3.0])).round(6).tolist()
    ([-1.0], [3.0])

    Peyré (2024), (6)-(9); Theory (3.8).
    """

    log_weights: Float[Array, "k l"]
    starts: Float[Array, "k l d"]
    stops: Float[Array, "k l d"]
    frames: Float[Array, "_ _ d d"]
    inverses: Float[Array, "_ _ d d"]
    start_shares: Float[Array, "_ _ d"]
    stop_shares: Float[Array, "_ _ d"]
    centre: Point | None = None
    width: Scalar | None = None

    def __init__(self, source: AbstractMeasure, target: AbstractMeasure):
        first, second = _parts("source", source), _parts("target", target)
        if isinstance(source, Empirical) and isinstance(target, Empirical):
            raise ValueError(
                "target: got Empirical as is source; wants at most one measure of "
                "atoms (between two clouds, learn a velocity: fit_velocity)."
            )
        if source.dimension != target.dimension:
            raise ValueError(
                f"target: got dimension {target.dimension}; wants "
                f"{source.dimension}, that of source."
            )
        self.centre, self.width = _place(first, second)
        first, second = (_moved(part, self.centre, self.width) for part in (first, second))
        pair = jax.vmap(jax.vmap(_frame, in_axes=(None, 0)), in_axes=(0, None))
        frames, inverses, shares, others = pair(first.factors, second.factors)
        self.frames, self.inverses = frames, inverses
        self.start_shares, self.stop_shares = shares, others
        count, ends_count = first.means.shape[0], second.means.shape[0]
        means, ends = first.means[:, None, :, None], second.means[None, :, :, None]
        # One frame for all atoms of an end: the means then differ where the frames do not.
        shape = (count, ends_count, frames.shape[-1])
        self.starts = jnp.broadcast_to((inverses @ means)[..., 0], shape)
        self.stops = jnp.broadcast_to((inverses @ ends)[..., 0], shape)
        volumes = jnp.linalg.slogdet(inverses)[1]
        self.log_weights = first.log_weights[:, None] + second.log_weights + volumes

    @property
    def dimension(self) -> int:
        return self.stops.shape[-1]

    @property
    def standard(self) -> Frame:
        if self.centre is None or self.width is None:  # a file of an older brenier
            return Frame.fixed(jnp.zeros(()), jnp.ones(()), self)
        at_home = jnp.zeros_like(self.centre), jnp.ones_like(self.width)
        own = eqx.tree_at(lambda v: (v.centre, v.width), self, at_home)
        return Frame.fixed(self.centre, self.width, own)

    def at(self, time: Scalar, x: Point) -> Point:
        place = self.standard.place(time)
        return place.width * self._in_frame(time, place.enter(x))

    def _in_frame(self, time: Scalar, x: Point) -> Point:
        early, late = (1.0 - time) * self.start_shares, time * self.stop_shares
        spread = (1.0 - time) * early + time * late
        off = self.inverses @ x - (1.0 - time) * self.starts - time * self.stops
        log_parts = self.log_weights - 0.5 * jnp.sum(jnp.log(spread) + off**2 / spread, axis=-1)
        drifts = self.stops - self.starts + (late - early) / spread * off
        moved = jax.nn.softmax(log_parts, axis=(0, 1))[..., None] * drifts
        # Atoms share one frame: their terms are summed before it is applied.
        for axis in (0, 1):
            if self.frames.shape[axis] == 1:
                moved = jnp.sum(moved, axis=axis, keepdims=True)
        return jnp.einsum("klij,klj->i", self.frames, moved)


class RescaledDiffusionVelocity(AbstractVelocity):
    """Flow matching from N(0, I), independent coupling, as the diffusion in another time and scale.

    x_s = (1−s) Z + s X is c(s) X_t with e^{-t} = a = s/c, c = √(s² + (1−s)²), so that

        v_s(z) = (2s − 1)/c² z + (1−s)/c² w(a, z/c),   w = dx/da the diffusion's velocity:

    the same trajectories up to scale, and the same map at the end. So flow matching is exact for
    every measure whose diffusion is known (mixtures, atoms, tensor trains, any score). Not from
    another source than N(0, I): ``MatchingVelocity``.

    Args:
        diffusion: w, in the clock a of its signal.

    >>> import jax.numpy as jnp
    >>> from brenier.measures import Gaussian
    >>> from brenier.velocities import MixtureVelocity
    >>> v = RescaledDiffusionVelocity(MixtureVelocity(Gaussian(jnp.ones(1), 4.0 * jnp.eye(1))))
    >>> v(0.0, jnp.array([2.0])).tolist(), v(1.0, jnp.array([3.0])).tolist()
    ([-1.0], [3.0])

    Theory (3.8), which mends the change of variable of Peyré (2024).
    """

    diffusion: AbstractDiffusionVelocity

    @property
    def dimension(self) -> int:
        return self.diffusion.dimension

    @property
    def standard(self) -> Frame:
        own, place = self.diffusion.standard
        assert isinstance(own, AbstractDiffusionVelocity)

        def scaled(time: Scalar) -> Place:
            scale = jnp.sqrt(time**2 + (1.0 - time) ** 2)
            centre, width, signal = place(time / scale)
            # Time s of the signal a: s = a/(a + √(1−a²)).
            noise = jnp.sqrt((1.0 - signal) * (1.0 + signal))
            inner = jnp.sqrt(signal**2 + noise**2) / (signal + noise)
            return Place(scale * centre, scale * width / inner, signal / (signal + noise))

        return Frame(RescaledDiffusionVelocity(own), scaled)

    def at(self, time: Scalar, x: Point) -> Point:
        square = time**2 + (1.0 - time) ** 2
        scale = jnp.sqrt(square)
        inner = self.diffusion.at(time / scale, x / scale)
        return ((2.0 * time - 1.0) * x + (1.0 - time) * inner) / square


class McCannVelocity(AbstractVelocity):
    """v_s(x) = T(y) − y at y = ((1−s) id + s T)⁻¹(x): displacement interpolation, 0 ≤ s ≤ 1.

    Particles go straight, at constant speed, from y to T(y): flow matching with the optimal
    coupling, whose flow map from 0 to 1 is T itself, optimal as T = ∇φ is. y is found as ∇ψ_s*(x)
    with ψ_s = (1−s)‖·‖²/2 + s φ.

    Not for φ with kinks (``MaxAffine``: the map of an assignment), where y is not unique.

    Args:
        map: T = ∇φ, φ convex.

    >>> import jax.numpy as jnp
    >>> from brenier.maps import GradientMap
    >>> from brenier.potentials import Quadratic
    >>> v = McCannVelocity(GradientMap(Quadratic.from_matrix(3.0 * jnp.eye(1), jnp.zeros(1))))
    >>> v(0.5, jnp.array([2.0])).round(6).tolist()
    [2.0]

    McCann (1997); Peyré (2024), section on the optimal coupling.
    """

    map: GradientMap

    @property
    def dimension(self) -> int:
        return self.map.dimension

    @property
    def standard(self) -> Frame:
        phi = self.map.potential
        if not isinstance(phi, Preconditioned):
            return Frame.fixed(jnp.zeros(()), jnp.ones(()), self)
        # M takes displacements of the size of w to such of the size of the scale.
        width = phi.scale * jnp.sqrt(phi.dimension / jnp.sum(jnp.square(phi.matrix)))
        centre = phi.source_shift + 0.5 * (phi.target_shift - phi.source_shift)
        source, target = ((z - centre) / width for z in (phi.source_shift, phi.target_shift))
        own = Preconditioned(phi.potential, phi.matrix, source, target, phi.scale / width)
        return Frame.fixed(centre, width, McCannVelocity(GradientMap(own)))

    def at(self, time: Scalar, x: Point) -> Point:
        own, place = self.standard
        assert isinstance(own, McCannVelocity)
        _, width, _ = now = place(time)
        start = ConjugateMap(_Interpolated(own.map.potential, time)).apply(now.enter(x))
        return width * (own.map.apply(start) - start)


class _Interpolated(AbstractPotential):
    """(1−s)‖x‖²/2 + s φ(x)."""

    potential: AbstractPotential
    time: Scalar

    @property
    def dimension(self) -> int:
        return self.potential.dimension

    def value(self, x: Point) -> Scalar:
        return (1.0 - self.time) * 0.5 * (x @ x) + self.time * self.potential.value(x)

    def strong_convexity(self) -> Scalar:
        return 1.0 - self.time + self.time * self.potential.strong_convexity()


def _parts(name: str, measure: AbstractMeasure) -> _Parts:
    if isinstance(measure, Gaussian):
        return _Parts(jnp.zeros(1, measure.mean.dtype), measure.mean[None], measure.factor[None])
    if isinstance(measure, GaussianMixture):
        return _Parts(measure.log_weights, measure.means, measure.factors)
    if isinstance(measure, Empirical):
        n, d = measure.points.shape
        weights = jnp.full(n, 1.0 / n) if measure.weights is None else measure.weights
        return _Parts(
            jnp.log(weights.astype(measure.points.dtype)),
            measure.points,
            jnp.zeros((1, d, d), measure.points.dtype),
        )
    raise ValueError(
        f"{name}: got {type(measure).__name__}; wants a Gaussian, a GaussianMixture "
        "or an Empirical measure (learn a velocity for others: fit_velocity)."
    )


def _place(first: _Parts, second: _Parts) -> tuple[Point, Scalar]:
    """The middle between both means, and the root of the mean variance of both laws there."""
    weights = [jax.nn.softmax(part.log_weights)[:, None] for part in (first, second)]
    base = first.means[0]
    # From a mean of their own: far from 0 the sum of weights would show.
    means = [
        jnp.sum(w * (p.means - base), 0) for w, p in zip(weights, (first, second), strict=True)
    ]
    middle = 0.5 * (means[0] + means[1])
    squares = [
        jnp.sum(w * (p.means - base - middle) ** 2) + jnp.mean(jnp.sum(p.factors**2, axis=(1, 2)))
        for w, p in zip(weights, (first, second), strict=True)
    ]
    size = jnp.sqrt((squares[0] + squares[1]) / (2 * len(base)))
    return base + middle, jnp.where(size > 0.0, size, 1.0)


def _moved(parts: _Parts, centre: Point, width: Scalar) -> _Parts:
    return _Parts(parts.log_weights, (parts.means - centre) / width, parts.factors / width)


def _frame(
    first: Float[Array, "d d"], second: Float[Array, "d d"]
) -> tuple[Float[Array, "d d"], Float[Array, "d d"], Float[Array, " d"], Float[Array, " d"]]:
    """V, V⁻¹, p, q with S = V diag(p) Vᵀ and R = V diag(q) Vᵀ, p + q = 1, of factors of S and R."""
    d = first.shape[0]
    # The triangle of a QR factorisation of both: S + R itself would square the condition.
    root = jnp.linalg.qr(jnp.concatenate([first.T, second.T]), mode="r").T
    whitening = solve_triangular(root, jnp.eye(d, dtype=first.dtype), lower=True)
    axes = jnp.linalg.svd(whitening @ first)[0]
    inverse = axes.T @ whitening
    share, other = (jnp.sum(jnp.square(inverse @ factor), axis=1) for factor in (first, second))
    return root @ axes, inverse, share, other
