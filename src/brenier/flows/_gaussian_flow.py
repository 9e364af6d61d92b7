"""The parabolic flow and Sinkhorn's sweeps between Gaussians, in closed form."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from brenier._checks import as_array, check_at_least, check_positive
from brenier._types import Matrix, Point, Scalar
from brenier.maps import AffineMap
from brenier.measures import Gaussian
from brenier.numerics import inverse_sqrtm_spd, sqrtm_spd


def gaussian_parabolic_flow(
    source: Gaussian,
    target: Gaussian,
    time: float,
    *,
    matrix: ArrayLike | None = None,
    shift: ArrayLike | None = None,
) -> AffineMap:
    """∇φ_t(x) = A x + b of the flow (4.1) between Gaussians: A' = F − AGA, F and G the precisions.

    b' = −F m_f − AG(b − m_g), m_f and m_g the means. With B = √G A √G the first is B' = C − B², and
    B − C^{½} = e^{−C^{½}t} E e^{−C^{½}t} with no growing exponential: exact at any t.

    A closed form: nothing iterates, so there is nothing to watch or to interrupt.

    Args:
        source, target: e^{−f} and e^{−g}.
        time: t ≥ 0.
        matrix, shift: A and b at time 0; the identity where None.

    Raises:
        ValueError: dimensions that do not match, or a time below 0.

    >>> f, g = Gaussian.standard(1), Gaussian(jnp.zeros(1), jnp.array([[0.25]]))
    >>> round(float(gaussian_parabolic_flow(f, g, 0.5).matrix[0, 0]), 10)
    0.5472429749

    Theory (4.7).
    """
    _check_pair(source, target)
    if not time >= 0.0:
        raise ValueError(f"time: got {time}; wants a number of at least 0.")
    start = _start(source, matrix, shift)
    return AffineMap(*_flow(source, target, jnp.asarray(time, float), *start))


@eqx.filter_jit
def _flow(
    source: Gaussian, target: Gaussian, time: Scalar, first: Matrix, second: Point
) -> tuple[Matrix, Point]:
    f, g = _precision(source), _precision(target)
    root_g = sqrtm_spd(g)
    values, vectors = jnp.linalg.eigh(root_g @ f @ root_g)
    rates = jnp.sqrt(values)
    k = (vectors * rates) @ vectors.T
    decay = (vectors * jnp.exp(-rates * time)) @ vectors.T
    # (1 − e^{−2kt})/(2k), and the same as a fraction of what it tends to.
    filled = (vectors * (-jnp.expm1(-2.0 * rates * time) / (2.0 * rates))) @ vectors.T
    eye = jnp.eye(values.shape[0], dtype=values.dtype)
    b0 = root_g @ first @ root_g
    spread = eye + filled @ (b0 - k)
    excess = decay @ (b0 - k) @ jnp.linalg.solve(spread, decay)
    back = inverse_sqrtm_spd(g)
    a = back @ (k + 0.5 * (excess + excess.T)) @ back
    # η = √G (b − m_g + A m_f) obeys η' = −Bη, so X(t)ᵀη is constant, X' = BX, X(0) = I.
    eta = root_g @ (second - target.mean + first @ source.mean)
    # X = e^{kt} (I + filled (B_0 − k)).
    eta = decay @ jnp.linalg.solve(spread.T, eta)
    return a, back @ eta + target.mean - a @ source.mean


def gaussian_sinkhorn_flow(
    source: Gaussian,
    target: Gaussian,
    sweeps: int,
    *,
    epsilon: float,
    matrix: ArrayLike | None = None,
    shift: ArrayLike | None = None,
) -> AffineMap:
    """∇φ_k(x) = A x + b after k sweeps of (4.3): A⁺ = ((A + εF)⁻¹ + εG)⁻¹.

    A recursion of d × d matrices in one compiled loop, too short to be watched or interrupted.

    Args:
        source, target: e^{−f} and e^{−g}, of precisions F and G.
        sweeps: k.
        epsilon: ε, of the cost ½‖x − y‖².
        matrix, shift: A and b at the start; the identity where None.

    >>> f, g = Gaussian.standard(1), Gaussian(jnp.zeros(1), jnp.array([[0.25]]))
    >>> round(float(gaussian_sinkhorn_flow(f, g, 3, epsilon=0.1).matrix[0, 0]), 10)
    0.5721963271

    Theory (4.7).
    """
    _check_pair(source, target)
    check_at_least("sweeps", sweeps, 0)
    check_positive("epsilon", epsilon)
    f, g = epsilon * _precision(source), epsilon * _precision(target)

    start = _start(source, matrix, shift)
    return AffineMap(*_sweeps(source.mean, target.mean, f, g, start, sweeps))


@jax.jit
def _sweeps(
    m_f: Point, m_g: Point, f: Matrix, g: Matrix, start: tuple[Matrix, Point], sweeps: Any
) -> tuple[Matrix, Point]:
    """So many steps of the recursion; f and g are ε times the precisions."""

    def sweep(_, state):
        a, b = state
        inner = jnp.linalg.inv(a + f)
        a = jnp.linalg.inv(inner + g)
        a = 0.5 * (a + a.T)
        return a, a @ (inner @ (b - f @ m_f) + g @ m_g)

    return jax.lax.fori_loop(0, sweeps, sweep, start)


def flow_measure(map: AffineMap, target: Gaussian) -> Gaussian:
    """ρ_t = (∇φ_t*)# e^{−g} of an affine ∇φ_t: N(A⁻¹(m_g − b), (AGA)⁻¹).

    >>> g = Gaussian(jnp.zeros(1), jnp.array([[4.0]]))
    >>> flow_measure(AffineMap(jnp.array([[2.0]]), jnp.zeros(1)), g).covariance.tolist()
    [[1.0]]
    """
    inverse = jnp.linalg.inv(map.matrix)
    covariance = inverse @ target.covariance @ inverse.T
    return Gaussian(inverse @ (target.mean - map.offset), 0.5 * (covariance + covariance.T))


def _precision(measure: Gaussian) -> Matrix:
    eye = jnp.eye(measure.dimension, dtype=measure.factor.dtype)
    return jax.scipy.linalg.cho_solve((measure.factor, True), eye)


def _start(
    source: Gaussian, matrix: ArrayLike | None, shift: ArrayLike | None
) -> tuple[Matrix, Point]:
    d = source.dimension
    a = jnp.eye(d, dtype=source.mean.dtype) if matrix is None else as_array("matrix", matrix, 2)
    b = jnp.zeros(d, source.mean.dtype) if shift is None else as_array("shift", shift, 1)
    return a, b


def _check_pair(source: Gaussian, target: Gaussian) -> None:
    for name, measure in (("source", source), ("target", target)):
        if not isinstance(measure, Gaussian):
            raise ValueError(
                f"{name}: got {type(measure).__name__}; wants a Gaussian (of others "
                "take parabolic_flow or sinkhorn_flow, on a grid)."
            )
    if source.dimension != target.dimension:
        raise ValueError(
            f"target: got dimension {target.dimension}; wants {source.dimension}, "
            "that of the source."
        )
