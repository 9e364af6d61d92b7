"""Sinkhorn's iteration between densities on tensor grids, axis by axis and safe for small ε."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import logsumexp

from brenier._types import Array, Float, Int, Scalar
from brenier.numerics._checked_inputs import checked_inputs

# Copies of a periodic axis to each side: enough for ε up to a sixth of the squared period.
_IMAGES = 3

Gaps: TypeAlias = Float[Array, "_ _ _"]
"""(y − x)² along one axis, (copies, m, n): what ``squared_gaps`` gives."""
# −c/ε along one axis, relative to the largest entry of each row and block, and that largest entry.
_AxisKernel: TypeAlias = tuple[Float[Array, "_ _ _"], Float[Array, "_ _"]]


class GridSinkhornResult(NamedTuple):
    """The potentials after the last sweep, the one before it, and what was seen on the way.

    ``u`` and ``before`` are φ − ½‖x‖² after this sweep and the last, ``w`` is ψ − ½‖y‖² between
    them. ``error`` is the L1 distance of the plan's first marginal from the source, ``sweeps`` the
    number of sweeps, ``steepest`` the largest change of an exponent within a block: above
    ``steepest_allowed(dtype)`` the sums have underflowed, and more blocks are needed.

    >>> gap = squared_gaps(np.zeros(1), np.zeros(1))
    >>> end = grid_sinkhorn(jnp.zeros(1), jnp.zeros(1), jnp.zeros(1), (gap,), epsilon=1.0, sweeps=3)
    >>> int(end.sweeps), float(end.error)  # one node: the first sweep solves it
    (1, 0.0)
    """

    u: Float[Array, "*n"]
    before: Float[Array, "*n"]
    w: Float[Array, "*m"]
    error: Scalar
    sweeps: Int[Array, ""]
    steepest: Scalar


def squared_gaps(
    x: Float[np.ndarray, " n"], y: Float[np.ndarray, " m"], period: float | None = None
) -> Gaps:
    """(y − x)² along one axis, (copies, m, n); on a periodic axis of x shifted by periods.

    >>> squared_gaps(np.zeros(1), np.array([2.0])).tolist()
    [[[4.0]]]
    """
    gap = y[:, None] - x[None, :]
    if period is None:
        return jnp.asarray(np.square(gap)[None])
    nearest = gap - period * np.round(gap / period)
    copies = nearest + period * np.arange(-_IMAGES, _IMAGES + 1)[:, None, None]
    return jnp.asarray(np.square(copies))


def steepest_allowed(dtype: np.dtype) -> float:
    """The largest drop of exponents within a block whose sum of exponentials is still accurate.

    >>> steepest_allowed(np.dtype("float64"))
    600.0
    """
    return 600.0 if np.dtype(dtype) == np.float64 else 70.0


@checked_inputs({}, ("epsilon",))
@partial(jax.jit, static_argnames=("blocks",))
def soft_convolution(
    values: Float[Array, "*n"], gaps: Sequence[Gaps], *, epsilon: float | Scalar, blocks: int = 1
) -> Float[Array, "*m"]:
    """log Σ_x exp(v(x) − ‖x − y‖²/(2ε)) at all nodes y of a tensor grid, in O(N^{d+1}).

    One product of matrices along each axis, all shifted by the largest entry; with ``blocks`` above
    1, each line is cut into that many pieces with shifts of their own, which allows exponents to
    differ by more. As many blocks as nodes is a plain log-sum-exp.

    Args:
        values: v at the nodes x.
        gaps: ``squared_gaps`` of each axis.
        epsilon: ε > 0.
        blocks: pieces of each line.

    >>> gap = squared_gaps(np.zeros(1), np.array([0.0, 2.0]))
    >>> soft_convolution(jnp.zeros(1), [gap], epsilon=2.0).tolist()
    [0.0, -1.0]
    """
    kernels = _axis_kernels(gaps, jnp.asarray(epsilon, values.dtype), blocks)
    return _transformed(values, kernels)[0]


@checked_inputs({}, ("epsilon",))
@partial(jax.jit, static_argnames=("blocks",))
def grid_sinkhorn(
    u: Float[Array, "*n"],
    log_source: Float[Array, "*n"],
    log_target: Float[Array, "*m"],
    gaps: tuple[Gaps, ...],
    *,
    epsilon: float | Scalar,
    sweeps: int | Int[Array, ""],
    tolerance: float | Scalar = 0.0,
    blocks: int = 1,
) -> GridSinkhornResult:
    """Sweeps of (4.3) in heat form: w = ε log K_ε[e^{−u/ε} source], u = ε log K_ε[e^{−w/ε} target].

    K_ε has the kernel exp(−‖x − y‖²/(2ε)), periodic or not, which is a product over the axes: a
    sweep costs O(N^{d+1}) for N^d nodes. Not for ε far below the squared spacing of the nodes,
    where the sums no longer stand for integrals. Compiled once for all ε and numbers of sweeps.

    Args:
        u: φ − ½‖x‖² at the nodes x, before the first sweep.
        log_source, log_target: logarithms of the masses of the nodes (densities times weights).
        gaps: ``squared_gaps(x, y)`` of each axis.
        epsilon: ε > 0, of the cost ½‖x − y‖².
        sweeps: how many, at most.
        tolerance: stop where ``error`` is no larger.
        blocks: pieces of each line, see ``soft_convolution``.

    >>> gap = squared_gaps(np.linspace(-8, 8, 161), np.linspace(-8, 8, 161))
    >>> x = jnp.linspace(-8.0, 8.0, 161)
    >>> normal = -0.5 * x**2 - jnp.log(jnp.sum(jnp.exp(-0.5 * x**2)))
    >>> end = grid_sinkhorn(jnp.zeros(161), normal, normal, (gap,), epsilon=0.1, sweeps=1)
    >>> # From φ'' = 1 to 1/(1/1.1 + 0.1), as (4.7) says; u = φ - x²/2.
    >>> second = (end.u[81] - 2 * end.u[80] + end.u[79]) / 0.1**2
    >>> float(jnp.round(1 + second, 6)), round(1 / (1 / 1.1 + 0.1), 6)
    (0.990991, 0.990991)

    Deb25, "Sinkhorn algorithm"; Theory (4.3), (4.4).
    """
    eps = jnp.asarray(epsilon, u.dtype)
    there = _axis_kernels(gaps, eps, blocks)
    back = _axis_kernels([jnp.swapaxes(gap, 1, 2) for gap in gaps], eps, blocks)
    source = jnp.exp(log_source)

    def going(now: GridSinkhornResult) -> Array:
        return (now.sweeps < sweeps) & (now.error > tolerance)

    def sweep(now: GridSinkhornResult) -> GridSinkhornResult:
        w, steep = _transformed(log_source - now.u / eps, there)
        u, steeper = _transformed(log_target - w, back)
        after = eps * u
        error = jnp.sum(source * jnp.abs(jnp.expm1(u - now.u / eps)))
        steepest = jnp.maximum(now.steepest, jnp.maximum(steep, steeper))
        return GridSinkhornResult(after, now.u, eps * w, error, now.sweeps + 1, steepest)

    zero = jnp.zeros((), u.dtype)
    start = GridSinkhornResult(
        u, u, jnp.zeros_like(log_target), zero + jnp.inf, jnp.asarray(0, jnp.int32), zero
    )
    return jax.lax.while_loop(going, sweep, start)


def _axis_kernels(gaps: Sequence[Gaps], epsilon: Scalar, blocks: int) -> list[_AxisKernel]:
    kernels = []
    for gap in gaps:
        exponents = -0.5 * gap.astype(epsilon.dtype) / epsilon
        kernel = exponents[0] if gap.shape[0] == 1 else logsumexp(exponents, axis=0)
        parts = _pieces(kernel.T, blocks).transpose(2, 0, 1)
        peak = jnp.max(parts, axis=2)
        kernels.append((jnp.exp(parts - peak[..., None]), peak))
    return kernels


def _pieces(lines: Float[Array, "n r"], blocks: int) -> Float[Array, "c s r"]:
    """Lines cut into at most ``blocks`` pieces of one length; the last is filled up with log 0."""
    n = lines.shape[0]
    size = -(-n // min(blocks, n))
    count = -(-n // size)
    filled = jnp.pad(lines, ((0, count * size - n), (0, 0)), constant_values=-jnp.inf)
    return filled.reshape(count, size, lines.shape[1])


def _transformed(
    values: Float[Array, "*n"], kernels: list[_AxisKernel]
) -> tuple[Float[Array, "*m"], Scalar]:
    """The soft convolution, and how far exponents fall within a block."""
    if all(peak.shape[1] == 1 for _, peak in kernels):
        return _transformed_at_once(values, kernels)
    steepest = jnp.zeros((), values.dtype)
    for axis, (ratios, peak) in enumerate(kernels):
        moved = jnp.moveaxis(values, axis, 0)
        lines = _pieces(moved.reshape(moved.shape[0], -1), peak.shape[1])
        top = jnp.max(lines, axis=1)
        fall = top - jnp.min(jnp.where(lines == -jnp.inf, jnp.inf, lines), axis=1)
        steepest = jnp.maximum(steepest, _or_infinite(jnp.max(fall)))
        sums = jnp.einsum("mcs,csr->mcr", ratios, jnp.exp(lines - top[:, None]))
        out = logsumexp(jnp.log(sums) + peak[:, :, None] + top[None], axis=1)
        values = jnp.moveaxis(out.reshape(-1, *moved.shape[1:]), 0, axis)
    return values, steepest


def _transformed_at_once(
    values: Float[Array, "*n"], kernels: list[_AxisKernel]
) -> tuple[Float[Array, "*m"], Scalar]:
    """The same with one shift for all: one exponential and one logarithm of each entry."""
    top = jnp.max(values)
    sums, peaks = jnp.exp(values - top), top
    for axis, (ratios, peak) in enumerate(kernels):
        sums = jnp.moveaxis(jnp.tensordot(ratios[:, 0], sums, axes=(1, axis)), 0, axis)
        peaks = peaks + peak[:, 0].reshape(-1, *[1] * (values.ndim - 1 - axis))
    return jnp.log(sums) + peaks, _or_infinite(top - jnp.min(values))


def _or_infinite(fall: Scalar) -> Scalar:
    """The fall, with ∞ in the place of NaN."""
    return jnp.where(fall >= 0.0, fall, jnp.inf)
