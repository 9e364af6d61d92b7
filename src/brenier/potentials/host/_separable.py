"""Monotone maps of single coordinates, by quantiles, on the host."""

from dataclasses import dataclass

import numpy as np

from brenier._types import RowWeights
from brenier.numerics import row_count, row_variance
from brenier.potentials.host._potentials import HostExpansion, HostPotential

# The least slope: the map stays a bijection.
_LEAST_SLOPE = 0.01
# Beyond the last knots, between what the outermost ones say and 1, which errs least in the dual.
_END_SLOPES = (0.5, 2.5)
# The outermost block, in parts of those inside, and how much larger the next one is.
_FINEST, _GROWTH = 0.125, 1.6
# Knots nearer than this part of the spread are one atom, which the map tears over that width.
_ATOM = 1e-3
# A spread of this part of the numbers themselves is none.
_ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class HostSeparable(HostPotential):
    """φ(x) = Σ_i f_i((Bx)_i), f_i' piecewise linear and increasing, as ``potentials.Separable``.

    Args:
        axes: B, (d, d), invertible.
        knots: t, (d, k), increasing along each row.
        images: f_i'(t), (d, k), increasing along each row.
        ends: the slopes of f_i' below the first knot and above the last, (d, 2).
    """

    axes: np.ndarray
    knots: np.ndarray
    images: np.ndarray
    ends: np.ndarray

    @property
    def dimension(self) -> int:
        return len(self.axes)

    def value(self, x: np.ndarray) -> np.ndarray:
        return self._columns(x)[0]

    def expand(self, x: np.ndarray) -> HostExpansion:
        value, images, slopes = self._columns(x)
        weighted = slopes[:, :, None] * self.axes
        return HostExpansion(value, images @ self.axes, np.matmul(self.axes.T, weighted))

    def near_conjugates(self, y: np.ndarray) -> np.ndarray:
        """∇φ*(y) itself, by the inverse of each monotone map."""
        w = np.linalg.solve(self.axes.T, y.T)
        z = np.empty_like(w)
        for i, (t, q, (low, high)) in enumerate(
            zip(self.knots, self.images, self.ends, strict=True)
        ):
            inside = np.interp(w[i], q, t)
            z[i] = (
                inside + np.minimum(w[i] - q[0], 0.0) / low + np.maximum(w[i] - q[-1], 0.0) / high
            )
        return np.linalg.solve(self.axes, z).T

    def _columns(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """φ (n,), and f_i' and f_i'' of every coordinate (n, d)."""
        z = x @ self.axes.T
        value, images, slopes = np.zeros(len(x)), np.empty_like(z), np.empty_like(z)
        for i, (t, q, (low, high)) in enumerate(
            zip(self.knots, self.images, self.ends, strict=True)
        ):
            widths = np.diff(t)
            own = np.concatenate([[low], np.diff(q) / widths, [high]])
            starts = np.concatenate([[0.0], np.cumsum(0.5 * (q[1:] + q[:-1]) * widths)])
            piece = np.searchsorted(t, z[:, i], side="right")
            left = np.maximum(piece - 1, 0)
            step = z[:, i] - t[left]
            slopes[:, i] = own[piece]
            images[:, i] = q[left] + own[piece] * step
            value += starts[left] + q[left] * step + 0.5 * own[piece] * step**2
        return value, images, slopes


def fit_separable(
    u: np.ndarray,
    v: np.ndarray,
    axes: np.ndarray,
    blocks: int,
    u_weights: RowWeights = None,
    v_weights: RowWeights = None,
) -> HostSeparable:
    """The monotone map of each coordinate of Bu onto that of B⁻ᵀv, from (n, d) and (m, d).

    Quantiles are averaged over about ``blocks`` blocks of equal mass, finer in the tails. An atom
    of u is sent to the median of its share of v.
    """
    z, w = u @ axes.T, np.linalg.solve(axes.T, v.T).T
    pairs = [
        _knots(*_sorted(z[:, i], u_weights), *_sorted(w[:, i], v_weights), blocks)
        for i in range(z.shape[1])
    ]
    most = max(len(t) for t, _ in pairs)
    knots, images, ends = [], [], []
    for t, q in pairs:
        some = max(2, len(t) // 6)
        slopes = [
            (part_q[-1] - part_q[0]) / (part_t[-1] - part_t[0])
            for part_t, part_q in ((t[:some], q[:some]), (t[-some:], q[-some:]))
        ]
        ends.append(np.clip(np.sqrt(slopes), *_END_SLOPES))
        # Rows of one length: more knots on the last slope change nothing.
        beyond = 1.0 + np.arange(most - len(t))
        knots.append(np.concatenate([t, t[-1] + beyond]))
        images.append(np.concatenate([q, q[-1] + ends[-1][1] * beyond]))
    return HostSeparable(axes, np.array(knots), np.array(images), np.array(ends))


def _sorted(points: np.ndarray, weights: RowWeights) -> tuple[np.ndarray, RowWeights]:
    """Points (n,) in ascending order, and their weights."""
    if weights is None:
        return np.sort(points), None
    order = np.argsort(points)
    return points[order], weights[order]


def _knots(
    x: np.ndarray, x_weights: RowWeights, y: np.ndarray, y_weights: RowWeights, blocks: int
) -> tuple[np.ndarray, np.ndarray]:
    """Knots and images of the monotone map between sorted points (n,) and (m,)."""
    edges = _edges(max(int(min(row_count(x, x_weights), row_count(y, y_weights))), 1), blocks)
    masses = np.diff(edges)
    t, q = _block_means(x, x_weights, edges), _block_means(y, y_weights, edges)
    tear = _ATOM * _spread(x, x_weights, y, y_weights)
    knots: list[float] = []
    images: list[float] = []
    first = 0
    while first < len(t):
        last = first
        while last + 1 < len(t) and t[last + 1] - t[first] < 3.0 * tear:
            last += 1
        if last == first:
            knots.append(t[first])
            images.append(q[first])
        else:
            mass = masses[first : last + 1]
            middle = np.cumsum(mass) - 0.5 * mass
            centre = 0.5 * (t[first] + t[last])
            knots += [centre - tear, centre, centre + tear]
            half = np.interp(0.5 * mass.sum(), middle, q[first : last + 1])
            images += [q[first], float(half), q[last]]
        first = last + 1
    t, q = np.array(knots), np.maximum.accumulate(images)
    if len(t) == 1:
        t, q = t + np.array([-tear, tear]), q + np.array([-tear, tear])
    q = (1.0 - _LEAST_SLOPE) * q + _LEAST_SLOPE * (t - t.mean() + q.mean())
    return t, q


def _spread(x: np.ndarray, x_weights: RowWeights, y: np.ndarray, y_weights: RowWeights) -> float:
    """That of x; where all x are one, as happens within a fold, that of y."""
    for points, weights in ((x, x_weights), (y, y_weights)):
        spread = float(np.sqrt(row_variance(points, weights)))
        if spread > _ROUNDING * np.abs(points).max():
            return spread
    return 1.0


def _edges(n: int, blocks: int) -> np.ndarray:
    """Levels of quantiles: steps of 1/blocks inside, and finer towards both ends."""
    most = max(n / blocks, 1.0)
    # Half of them reach the middle, after a few that grow; 1.6^100 does not overflow.
    growth = _GROWTH ** np.minimum(np.arange(min(n, blocks + 100)), 100)
    steps = np.minimum(max(_FINEST * most, 1.0) * growth, most) / n
    below = np.cumsum(steps)
    below = below[below < 0.5 - 0.25 * steps]
    return np.concatenate([[0.0], below, 1.0 - below[::-1], [1.0]])


def _block_means(points: np.ndarray, weights: RowWeights, edges: np.ndarray) -> np.ndarray:
    """The mean of the quantile function of sorted points between the edges."""
    n = len(points)
    if weights is None:
        levels, sums = np.linspace(0.0, 1.0, n + 1), np.cumsum(points) / n
    else:
        below = np.cumsum(weights)
        levels = np.concatenate([[0.0], below / below[-1]])
        sums = np.cumsum(weights * points) / below[-1]
    return np.diff(np.interp(edges, levels, np.concatenate([[0.0], sums]))) / np.diff(edges)
