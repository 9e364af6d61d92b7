"""Smooth functions of one coordinate as sums of equal Gaussians on a lattice."""

from typing import NamedTuple

import numpy as np

from brenier._types import Float

# Width over step. What a lattice of Gaussians cannot do falls off as exp(-2π² ratio² (1 − θ)) at
# the fraction θ of its highest frequency, and coefficients grow as exp(π² θ² ratio² / 2): at 2 both
# are near rounding for θ = 0.6.
_RATIO = 2.0
# The least step of the lattice, in gaps between nodes: there are then more nodes than Gaussians.
_SPARE = 1.25
# The lattice reaches this many steps beyond the values that count.
_MARGIN = 2
# Beyond this many widths from its centre a Gaussian is below rounding.
_NOWHERE = 8.5
# Singular values below this, relative to the largest, count as rounding.
_RCOND = 1e-13
# Bisections of the step, in its logarithm.
_HALVINGS = 6
# The highest frequencies of a grid, from which it is judged what it cannot represent.
_HIGHEST = 3


class Lattice(NamedTuple):
    """Σ_j c_j N(y; y_j, s²) with centres y_j on a lattice and one width s.

    ``nodes`` are where sums are fitted: those of the values, then some beyond, where they are to
    vanish. ``error`` is the relative residual of the fit that the lattice was chosen by.

    >>> one = Lattice(nodes=np.zeros(1), centres=np.zeros(1), width=1.0, error=0.0)
    >>> one.weights(np.ones((1, 1))).round(6).tolist()  # √2π
    [[2.506628]]
    """

    nodes: Float[np.ndarray, " _"]
    centres: Float[np.ndarray, " _"]
    width: float
    error: float

    def weights(self, values: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "m k"]:
        """c of the least-squares fit to values at the nodes, column by column."""
        # A stored pseudo-inverse would lose as many digits as the condition number has.
        rows = gaussian_rows(self.nodes, self.centres, self.width)
        padded = np.pad(values, ((0, self.nodes.size - len(values)), (0, 0)))
        return np.linalg.lstsq(rows, padded, rcond=_RCOND)[0]


def gaussian_rows(
    x: Float[np.ndarray, " p"], centres: Float[np.ndarray, " m"], width: float
) -> Float[np.ndarray, "p m"]:
    """The matrix of N(x_p; y_m, width²), from weights of Gaussians to values at x.

    >>> gaussian_rows(np.zeros(1), np.zeros(1), 1.0).round(4).tolist()
    [[0.3989]]
    """
    z = (x[:, None] - centres) / width
    return np.exp(-0.5 * z * z) / (np.sqrt(2.0 * np.pi) * width)


def fit_lattice(
    nodes: Float[np.ndarray, " n"], values: Float[np.ndarray, "n m"], tolerance: float
) -> Lattice:
    """The coarsest lattice whose Gaussians fit the values at the nodes to a relative ``tolerance``.

    f(y) ≈ Σ_j c_j N(y; y_j, s²), c linear in the values, s twice the step of the lattice. Such a
    sum is convolved with N(0, τ) by s² → s² + τ: in this form the Mehler kernel acts without
    quadrature error on a density given on a grid (Theory (3.7)). Where ``error`` of the result is
    above ``tolerance``, the values are too rough for their nodes.

    Args:
        nodes: increasing (n,).
        values: at the nodes, one column for each function, (n, m).
        tolerance: relative, in the Frobenius norm.

    >>> y = np.linspace(-8.0, 8.0, 101)
    >>> lattice = fit_lattice(y, np.exp(-0.5 * y[:, None] ** 2), 1e-10)
    >>> lattice.error < 1e-10, lattice.centres.size < 40
    (True, True)
    """
    sizes = np.linalg.norm(values, axis=1)
    total = np.linalg.norm(sizes)
    # Ends whose values together are below a tenth of the tolerance get no Gaussians.
    out = np.cumsum(sizes**2) <= 0.5 * (0.1 * tolerance * total) ** 2
    back = np.cumsum(sizes[::-1] ** 2)[::-1] <= 0.5 * (0.1 * tolerance * total) ** 2
    kept = np.flatnonzero(~(out | back))
    first, last = int(kept[0]), int(kept[-1])
    low, high = nodes[max(first - 1, 0)], nodes[min(last + 1, nodes.size - 1)]
    largest = (high - low) / 4.0
    smallest = min(_SPARE * np.diff(nodes[first : last + 1]).max(initial=0.0), largest)
    if smallest == 0.0:
        smallest = largest
    best = _fit(nodes, values, low, high, smallest)
    if best.error > tolerance:
        return best
    for _ in range(_HALVINGS):
        step = np.sqrt(smallest * largest)
        trial = _fit(nodes, values, low, high, step)
        if trial.error <= tolerance:
            best, smallest = trial, step
        else:
            largest = step
    return best


def unresolved(values: Float[np.ndarray, "n k"]) -> float:
    """The relative size of the highest frequencies: an estimate of the interpolation error.

    >>> y = np.linspace(-9.0, 9.0, 73)
    >>> unresolved(np.exp(-y[:, None] ** 2)) < 1e-12
    True
    """
    sizes = np.linalg.norm(np.fft.rfft(values, axis=0), axis=1)
    return float(np.linalg.norm(sizes[-_HIGHEST:]) / np.linalg.norm(sizes))


def upsample(
    nodes: Float[np.ndarray, " n"], values: Float[np.ndarray, "n k"]
) -> tuple[Float[np.ndarray, " _"], Float[np.ndarray, "_ k"]]:
    """Values at twice as many equispaced nodes, by the Fourier series of what decays at both ends.

    >>> y = np.linspace(-9.0, 9.0, 73)
    >>> finer, f = upsample(y, np.exp(-y[:, None] ** 2))
    >>> bool(np.abs(f[:, 0] - np.exp(-finer**2)).max() < 1e-13)
    True
    """
    n = nodes.size
    waves = np.fft.rfft(values, axis=0)
    if n % 2 == 0:
        waves[-1] *= 0.5
    fine = np.fft.irfft(waves, 2 * n, axis=0) * 2.0
    gap = (nodes[-1] - nodes[0]) / (n - 1)
    return nodes[0] + 0.5 * gap * np.arange(2 * n - 1), fine[:-1]


def _fit(
    nodes: Float[np.ndarray, " n"],
    values: Float[np.ndarray, "n m"],
    low: float,
    high: float,
    step: float,
) -> Lattice:
    count = int(np.ceil((high - low) / step)) + 1 + 2 * _MARGIN
    centres = 0.5 * (low + high) + step * (np.arange(count) - 0.5 * (count - 1))
    width = _RATIO * step
    # Without conditions beyond the nodes the sums could take any value there.
    reach = _NOWHERE * width
    below = np.arange(nodes[0] - width / 4.0, centres[0] - reach, -width / 4.0)
    above = np.arange(nodes[-1] + width / 4.0, centres[-1] + reach, width / 4.0)
    lattice = Lattice(np.concatenate([nodes, below, above]), centres, width, 0.0)
    padded = np.pad(values, ((0, lattice.nodes.size - nodes.size), (0, 0)))
    # The residual, from an orthonormal basis of the span of the Gaussians.
    span = np.linalg.qr(gaussian_rows(lattice.nodes, centres, width))[0]
    left = padded - span @ (span.T @ padded)
    return lattice._replace(error=float(np.linalg.norm(left) / np.linalg.norm(values)))
