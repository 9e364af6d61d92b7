"""Sinkhorn's iterations down a ladder of ε, on the host."""

from collections.abc import Iterator, Sequence

import numpy as np

from brenier._types import RowWeights
from brenier.numerics import row_sum

# Sweeps between two kernels, and in all at one ε; the work bounds them where points are many.
_SWEEPS, _MOST_SWEEPS, _WORK = 50, 400, 2e8
# What a kernel costs, in sweeps: of far points it is made again and again.
_KERNEL = 10
# On the L1 error of the second marginal: far below what the samples leave open.
_TOLERANCE = 2e-3
# A kernel is made anew where the scaling of it has grown by this exponent.
_DRIFT = 30.0
# Sums of the kernel are no less: single precision has numbers to 1e-38.
_LEAST_SUM = 1e-30


def entropic_offsets(
    y: np.ndarray, weights: np.ndarray, g: np.ndarray, epsilon: float
) -> np.ndarray:
    """b (m,) of the plan's potential ε log Σ_j exp((⟨x, y_j⟩ + b_j)/ε) onto points y (m, d)."""
    return g - 0.5 * np.sum(y * y, axis=1) + epsilon * np.log(weights)


def median_square(points: np.ndarray, weights: RowWeights = None) -> float:
    """The median squared distance of different points among (n, d); all pairs are formed."""
    squares = np.sum((points[:, None] - points) ** 2, axis=2)
    pairs = np.triu_indices(len(points), 1)
    apart = squares[pairs]
    if weights is None:
        return float(np.median(apart[apart > 0]))
    masses = weights / weights.max()
    masses = (masses[pairs[0]] * masses[pairs[1]])[apart > 0]
    apart = apart[apart > 0]
    order = np.argsort(apart)
    below = np.cumsum(masses[order])
    # Both sides of the middle, as of an even number.
    middle = [np.searchsorted(below, 0.5 * below[-1], side=side) for side in ("left", "right")]
    return float(np.mean(apart[order[np.minimum(middle, len(order) - 1)]]))


def sinkhorn_ladder(
    x: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray,
    epsilons: Sequence[float] | np.ndarray,
    x_weights: RowWeights = None,
) -> Iterator[np.ndarray]:
    """g (m,) of the entropic plan from points (n, d) to (m, d), for falling ε, each from the last.

    The y have weights (m,) with sum 1, the x are equally weighted where nothing else is said. Not
    for plans that must be exact (``numerics.sinkhorn``): here they only start a map, and the kernel
    is in single precision.
    """
    n, m = len(x), len(y)
    x, y, weights = (part.astype(np.float32) for part in (x, y, weights))
    shares, logs = n * weights, np.log(weights)
    own = None if x_weights is None else (x_weights * (n / x_weights.sum())).astype(np.float32)
    cost = 0.5 * (np.sum(x * x, axis=1)[:, None] + np.sum(y * y, axis=1)) - x @ y.T
    most = int(np.clip(_WORK / (n * m), _SWEEPS, _MOST_SWEEPS))
    g = np.zeros(m, dtype=np.float32)
    for epsilon in map(float, epsilons):
        done = 0
        while True:
            kernel = (g - cost) / epsilon + logs
            kernel -= kernel.max(axis=1, keepdims=True)
            np.exp(kernel, out=kernel)
            kernel /= kernel.sum(axis=1, keepdims=True)
            error = np.abs(row_sum(kernel, own) - shares).sum() / n
            if error < _TOLERANCE or done >= most:
                break
            done += _KERNEL
            rows, columns = (np.ones(size, dtype=np.float32) for size in (n, m))
            for sweep in range(_SWEEPS):
                sums = (rows if own is None else own * rows) @ kernel
                if sweep % 10 == 9 and np.abs(sums * columns - shares).sum() < 0.5 * n * _TOLERANCE:
                    break
                columns = shares / np.maximum(sums, _LEAST_SUM)
                rows = 1.0 / np.maximum(kernel @ columns, _LEAST_SUM)
                done += 1
                if max(np.abs(np.log(rows)).max(), np.abs(np.log(columns)).max()) > _DRIFT:
                    break
            g += epsilon * np.log(columns)
        yield g.astype(np.float64)
