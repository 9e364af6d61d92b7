"""The linearised Monge-Ampere equation on a grid, and two approximate inverses of it."""

from collections.abc import Callable
from functools import reduce
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from brenier._types import Float
from brenier.grids import AbstractGrid, Derivatives, apply_along


class Linearised(NamedTuple):
    """L q = tr(M D²q) + ⟨b, ∇q⟩ with M = (D²φ)⁻¹ and b = ∇log g(∇φ), given at the nodes.

    L annihilates constants. ``derivatives`` are the matrices of ∂ and ∂² along each axis.
    """

    grid: AbstractGrid
    inverse: Float[np.ndarray, "*shape d d"]
    drift: Float[np.ndarray, "*shape d"]
    log_source: Float[np.ndarray, "*shape"]
    derivatives: list[Derivatives]

    def __call__(self, q: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
        result = np.zeros_like(q)
        for i, (first, second, mixed) in enumerate(self.derivatives):
            result += self.inverse[..., i, i] * apply_along(second, q, i)
            result += self.drift[..., i] * apply_along(first, q, i)
            for j in range(i):
                cross = apply_along(self.derivatives[j].mixed, apply_along(mixed, q, i), j)
                result += 2.0 * self.inverse[..., i, j] * cross
        return result


class Preconditioner(NamedTuple):
    """An approximate inverse of q ↦ L q − mean(q), and that mean: regular, and exact on 1."""

    inverse: Callable[[np.ndarray], np.ndarray]
    mean: Callable[[np.ndarray], float]


def separable(operator: Linearised) -> Preconditioner:
    """The inverse of Σ_i m_i(x_i) ∂_i² + b_i(x_i) ∂_i, of M and b averaged over the other axes.

    It costs matrix products along the axes, keeps the order of the scheme, and is exact where
    source and target are products of densities on the line.
    """
    modes, backs, spectra, invariant = [], [], [], []
    for i, (first, second, _) in enumerate(operator.derivatives):
        m = _mean_over_others(operator, operator.inverse[..., i, i], i)
        b = _mean_over_others(operator, operator.drift[..., i], i)
        values, vectors = np.linalg.eig(m[:, None] * second + b[:, None] * first)
        back = np.linalg.inv(vectors)
        zero = int(np.argmin(np.abs(values)))
        # Spurious growing modes from the border would cancel decaying ones in the sum.
        values = -np.abs(values.real) + 1j * values.imag
        values[zero] = 0.0
        left = (back[zero] * vectors[0, zero]).real
        invariant.append(left / left.sum())
        modes.append(vectors)
        backs.append(back)
        spectra.append(values)
    symbol = reduce(np.add.outer, spectra)
    symbol[np.unravel_index(np.argmin(np.abs(symbol)), symbol.shape)] = -1.0

    def inverse(r: np.ndarray) -> np.ndarray:
        for axis, back in enumerate(backs):
            r = apply_along(back, r, axis)
        r = r / symbol
        for axis, vectors in enumerate(modes):
            r = apply_along(vectors, r, axis)
        return r.real

    def mean(q: np.ndarray) -> float:
        for weights in reversed(invariant):
            q = q @ weights
        return float(q)

    return Preconditioner(inverse, mean)


def factorised(operator: Linearised) -> Preconditioner:
    """The sparse LU factors of L by differences of three nodes, in the plane.

    For M that varies by orders of magnitude. The mean is the value at the source's highest node.
    """
    one, two = (
        [sp.csr_matrix(matrix) for matrix in operator.grid.low_order_derivatives(axis)]
        for axis in range(2)
    )
    here, here_2 = (sp.identity(n, format="csr") for n in operator.grid.shape)
    M, b = operator.inverse, operator.drift
    matrix = (
        _rows(b[..., 0]) @ sp.kron(one[0], here_2)
        + _rows(b[..., 1]) @ sp.kron(here, two[0])
        + _rows(M[..., 0, 0]) @ sp.kron(one[1], here_2)
        + _rows(M[..., 1, 1]) @ sp.kron(here, two[1])
        + _rows(2.0 * M[..., 0, 1]) @ sp.kron(one[2], two[2])
    )
    size, peak = operator.log_source.size, int(np.argmax(operator.log_source))
    column = sp.csr_matrix(
        (np.ones(size), (np.arange(size), np.full(size, peak))), shape=(size, size)
    )
    factors = splu((matrix - column).tocsc())
    return Preconditioner(
        lambda r: factors.solve(r.ravel()).reshape(r.shape), lambda q: float(q.ravel()[peak])
    )


def _rows(values: Float[np.ndarray, "n m"]) -> sp.dia_matrix:
    return sp.diags(values.ravel())


def _mean_over_others(
    operator: Linearised, values: Float[np.ndarray, "*shape"], axis: int
) -> Float[np.ndarray, " n"]:
    """The mean under the source along every axis but one."""
    others = tuple(k for k in range(values.ndim) if k != axis)
    # Normalised line by line: where the source is low its weights would underflow.
    top = operator.log_source.max(axis=others, keepdims=True)
    weights = np.exp(operator.log_source - top)
    return np.sum(weights * values, axis=others) / np.sum(weights, axis=others)
