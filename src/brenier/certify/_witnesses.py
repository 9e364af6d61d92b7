"""Pointwise and pairwise witnesses against optimality: Jacobian asymmetry, monotonicity, rings."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import eigh

from brenier._checks import check_points
from brenier._types import Float
from brenier.certify._bets import mean_of_pairs_from_above
from brenier.certify._black_box import BlackBox
from brenier.certify._pair_savings import Cycle, two_costs

# Up to this dimension the whole Jacobian is computed; above it, products with random directions.
_WHOLE_DIMENSION = 20
_JACOBIAN_FLOATS = 2**20
_MOST_POINTS = 2000
_PROBES = 20
# Points at which a map is seen to be deterministic, where no audit has done so.
_CHECKED = 256
# Pairs are compared within blocks of so many rows, as many blocks as so many operations allow.
# A block is worth so many seconds of the budget.
_BLOCK_ROWS, _BLOCK_FLOPS, _BLOCK_SECONDS = 1000, 2e9, 2.0
# What rounding may leave of products and squares.
_ROUNDING = 1e-12
# The quantiles of the asymmetry that a certificate states.
_QUANTILES = (0.5, 0.9, 0.99)
# Radius of a ring, as a share of the source's spread.
_RADIUS = 0.02
_MOST_NEIGHBOURS = 100_000
# An asymmetry, or what a ring saves, must be so much more than the map's errors could make.
_NOISE_MARGIN = 4.0


@dataclass(frozen=True, kw_only=True)
class Asymmetry:
    """a(x) = ‖DT − DTᵀ‖_F / (2‖DT‖_F) over ``n`` points of the source. Theory (5.6).

    Attributes:
        mean, max, argmax: of a, and where it is largest, of the points where it is visible if any.
        quantiles: a's 0.5, 0.9 and 0.99 quantiles.
        negative_share: the share of points where DT + DTᵀ has a negative eigenvalue (in d > 20,
            where it has one on the span of the probed directions).
        n: how many points.
        visible: whether, somewhere, it is more than the errors there could make.
        step, error: of central differences: their step, and an estimate of a's error, the mean
            over the points; 0 where DT is exact.
        points, values: the points (n, d), and a there (n,).

    >>> import numpy as np
    >>> sheared = jacobian_asymmetry(lambda x: x @ np.array([[1.0, 0.0], [1.0, 1.0]]), np.eye(2))
    >>> round(sheared.mean, 6)  # 1/√6
    0.408248
    """

    mean: float
    max: float
    argmax: tuple[float, ...]
    quantiles: tuple[float, ...]
    negative_share: float
    n: int
    step: float
    error: float
    visible: bool
    points: np.ndarray
    values: np.ndarray


@dataclass(frozen=True)
class Monotonicity:
    """⟨x − x', T(x) − T(x')⟩ over ``pairs`` pairs. Theory (5.7).

    Attributes:
        min: the smallest value divided by ‖x − x'‖²: 1 for the identity, −1 for x ↦ −x.
        violated_share: the share of pairs below 0: swapping their images costs less.
        violated_upper: an upper bound of the probability that a pair is violated (Hoeffding's, of
            means over pairs).
        pairs: how many pairs.
        points_moved: how many points the cheaper permutation of the lower bound moves.

    >>> import numpy as np
    >>> from brenier import audit_pairs
    >>> x = np.random.default_rng(0).normal(size=(400, 2))
    >>> audit_pairs(x, -x, budget=0.1).monotonicity.violated_share
    1.0
    """

    min: float
    violated_share: float
    violated_upper: float
    pairs: int
    points_moved: int


@dataclass(frozen=True, kw_only=True)
class Ring:
    """k neighbours whose images, shifted by one place, cost less: T is not optimal. Theory (5.2b).

    Attributes:
        k: points on the ring; with 2, swapping the images of a pair costs less.
        threshold: a ring of fewer points than about this saves nothing here.
        relative_saving: (Σ‖x_j − T(x_j)‖² − Σ‖x_j − T(x_{j+1})‖²) / Σ‖x_j − T(x_j)‖².
        saving, noise: that difference itself, and what rounding and noise of T could make alone.
        proven: the saving is above the noise: these points and images refute cyclical monotonicity.
        centre, radius: of the ring, in the plane of the largest asymmetry there.
        points, images: x_j and T(x_j), (k, d): anyone can add the two costs up.

    >>> import numpy as np
    >>> from brenier import audit
    >>> x = np.random.default_rng(0).normal(size=(400, 2))
    >>> ring = audit(lambda x: -x, x, budget=0.1).ring
    >>> ring.k, ring.proven
    (2, True)
    """

    k: int
    threshold: float
    relative_saving: float
    saving: float
    noise: float
    proven: bool
    centre: tuple[float, ...]
    radius: float
    points: Float[np.ndarray, "k d"]
    images: Float[np.ndarray, "k d"]

    def proof(self) -> str:
        """The ring, its two costs and the conclusion, to be checked by hand."""
        return (
            f"{self.k} points about x = {np.array2string(np.asarray(self.centre), precision=6)}, "
            f"radius {self.radius:.3g}. "
            f"{two_costs(self.points, self.images, self.saving, self.noise)}"
        )


def jacobian_asymmetry(
    map: Callable[[np.ndarray], Any], x: Any, *, jacobian: Callable[[np.ndarray], Any] | None = None
) -> Asymmetry:
    """How far the derivative DT of any map is from symmetric: a(x) = ‖DT − DTᵀ‖_F / (2‖DT‖_F).

    A Monge map has a = 0 everywhere. Up to d = 20 whole Jacobians are compared; above, products of
    DT with 20 random directions at each point. Of many points the first ones are taken: at most
    2,000, and fewer in high dimension.

    Not a bound: it says that a map is not optimal, not by how much (``audit`` does).

    Args:
        map: (n, d) → (n, d), deterministic: a brenier map, a ``torch.nn.Module``, or any function
            of NumPy arrays.
        x: points (n, d) of the source.
        jacobian: (n, d) → (n, d, d), where it is known; taken up to d = 20.

    Raises:
        ValueError: bad points; a map that changes the shape, gives NaN, is not deterministic, or
            hangs on the batch.

    >>> turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    >>> round(jacobian_asymmetry(lambda x: x @ turn.T, np.eye(2)).mean, 6)
    1.0

    Theory (5.6).
    """
    points = check_points("x", x).astype(np.float64)
    box = BlackBox(map, jacobian)
    box.checked(points[:_CHECKED])
    return asymmetry_at(box, points)


def asymmetry_at(map: BlackBox, x: np.ndarray) -> Asymmetry:
    """``jacobian_asymmetry`` of a map that is checked already."""
    d = x.shape[1]
    n = min(len(x), _MOST_POINTS, max(1, _JACOBIAN_FLOATS // (d * min(d, _PROBES))))
    points = x[:n]
    if d <= _WHOLE_DIMENSION:
        jacobians, differences = map.jacobian(points)
        skew = 0.5 * np.linalg.norm(jacobians - jacobians.swapaxes(1, 2), axis=(1, 2))
        size = np.linalg.norm(jacobians, axis=(1, 2))
        lowest = np.linalg.eigvalsh(0.5 * (jacobians + jacobians.swapaxes(1, 2)))[:, 0]
    else:
        # For orthonormal u, v: E⟨u, Av⟩² = ‖A‖²/d(d − 1) for skew A, E‖DT v‖² = ‖DT‖²/d.
        random = np.random.default_rng(0)
        frame = np.linalg.qr(random.normal(size=(n, d, _PROBES)))[0].swapaxes(1, 2)
        images, differences = map.along(points, frame)
        products = images @ frame.swapaxes(1, 2)
        between = 0.5 * (products - products.swapaxes(1, 2))
        share = d * (d - 1) / (_PROBES * (_PROBES - 1))
        skew = np.sqrt(share * np.sum(between**2, axis=(1, 2)))
        size = np.sqrt(d / _PROBES * np.sum(images**2, axis=(1, 2)))
        lowest = np.linalg.eigvalsh(0.5 * (products + products.swapaxes(1, 2)))[:, 0]
    values = np.divide(skew, size, out=np.zeros(n), where=size > 0)
    errors = np.divide(differences.errors, size, out=np.zeros(n), where=size > 0)
    errors = np.minimum(errors, 1.0)  # as a is
    visible = values > np.maximum(_NOISE_MARGIN * np.maximum(errors, map.precision), _ROUNDING)
    worst = int(np.argmax(np.where(visible, 1.0 + values, values)))
    return Asymmetry(
        mean=float(values.mean()),
        max=float(values[worst]),
        argmax=tuple(float(v) for v in points[worst]),
        quantiles=tuple(float(q) for q in np.quantile(values, _QUANTILES)),
        # What differences cannot tell from 0 is not called negative.
        negative_share=float(np.mean(lowest < -differences.errors)),
        n=n,
        step=differences.step,
        error=float(errors.mean()),
        visible=bool(visible[worst]),
        points=points,
        values=values,
    )


def monotonicity(
    x: np.ndarray,
    tx: np.ndarray,
    points_moved: int,
    level: float,
    random: np.random.Generator,
    precision: float = float(np.finfo(np.float64).eps),
    seconds: float = 20.0,
) -> tuple[Monotonicity, Cycle | None]:
    """The sign of ⟨x − x', T(x) − T(x')⟩, ≥ 0 for a Monge map, over all pairs within blocks.

    And the pair that would gain the most by a swap, where one would beyond the errors of its
    images, which are ``precision`` of the largest.
    """
    n, d = x.shape
    a, b = x - x.mean(axis=0), tx - tx.mean(axis=0)
    order = random.permutation(n)
    most = int(min(_BLOCK_FLOPS / (_BLOCK_ROWS**2 * d), seconds / _BLOCK_SECONDS))
    blocks = max(1, min(n // _BLOCK_ROWS, most))
    pairs, violated, rows, least = 0, 0, 0, np.inf
    noise = np.sqrt(d) * precision * float(np.abs(tx).max())
    swap: Cycle | None = None
    for start in range(0, min(blocks * _BLOCK_ROWS, n), _BLOCK_ROWS):
        own = order[start : start + _BLOCK_ROWS]
        squares, products = _between(a[own], a[own]), _between(a[own], b[own])
        sizes = np.linalg.norm(a[own], axis=1), np.linalg.norm(b[own], axis=1)
        own_doubt, unseen = _ROUNDING * (sizes[0] * sizes[1]), _ROUNDING * sizes[0] ** 2
        doubt = own_doubt[:, None] + own_doubt + 2.0 * noise * np.sqrt(np.maximum(squares, 0.0))
        apart = np.triu(squares > unseen[:, None] + unseen, 1)
        ratios = products[apart] / squares[apart]
        sure = apart & (products < -doubt)
        violated += int(np.sum(sure))
        if sure.any():
            best = np.unravel_index(np.argmin(np.where(sure, products, 0.0)), products.shape)
            gained, error = -2.0 * float(products[best]), 2.0 * float(doubt[best])
            if swap is None or gained > swap.saving:
                two = own[list(best)]
                swap = Cycle(x[two], tx[two], gained, error)
        pairs += len(own) * (len(own) - 1) // 2
        rows += len(own) // 2
        least = min(least, float(ratios.min(initial=np.inf)))
    share = violated / max(pairs, 1)
    found = Monotonicity(
        min=least if np.isfinite(least) else float("nan"),
        violated_share=share,
        violated_upper=mean_of_pairs_from_above(share, rows, 1.0 - level),
        pairs=pairs,
        points_moved=points_moved,
    )
    return found, swap


def _between(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """⟨a_i − a_j, b_i − b_j⟩ of all pairs, (n, n)."""
    products = a @ b.T
    own = np.diag(products)
    return np.asarray(own[:, None] + own - products - products.T)


def ring_test(map: BlackBox, x: np.ndarray, asymmetry: Asymmetry) -> Ring:
    """The ring about the point of the largest asymmetry, with as many points as save the most.

    Let DT = S + A there, S symmetric, A skew. The ring c + r S^{-1/2}(cos θ u + sin θ v) lies in
    the plane where S^{-1/2} A S^{-1/2} turns the most, by a. With neighbours δ = 2π/k apart it
    saves a sin δ + cos δ − 1 per point: most at tan δ = a, nothing for k below π/arctan a.
    """
    centre = np.asarray(asymmetry.argmax)
    jacobian = map.jacobian(centre[None])[0][0]
    symmetric, skew = 0.5 * (jacobian + jacobian.T), 0.5 * (jacobian - jacobian.T)
    radius = _RADIUS * float(np.sqrt(x.var(axis=0).mean())) or _RADIUS
    values, vectors = np.linalg.eigh(symmetric)
    if values[0] <= 1e-10 * abs(values[-1]):
        # T turns the order of two points along this direction round: a ring of two is enough.
        k, threshold = 2, 2.0
        points = centre + radius * np.array([1.0, -1.0])[:, None] * vectors[:, 0]
    else:
        root = (vectors / np.sqrt(values)) @ vectors.T
        turned = root @ skew @ root
        # The plane of the largest singular value, from one eigenvector of its square.
        _, most = eigh(turned.T @ turned, subset_by_index=[len(root) - 1, len(root) - 1])
        right = most[:, 0]
        turn = float(np.linalg.norm(turned @ right))
        left = turned @ right / turn if turn > 0 else right
        # Where nothing turns, the best ring would have infinitely many neighbours.
        angle = max(np.arctan(turn), 2.0 * np.pi / _MOST_NEIGHBOURS)
        k = max(3, int(np.ceil(2.0 * np.pi / angle)))
        threshold = np.pi / angle
        theta = 2.0 * np.pi * np.arange(k) / k
        # ⟨left, turned right⟩ = turn: the ring runs the way that the map turns.
        ring = np.cos(theta)[:, None] * right + np.sin(theta)[:, None] * left
        # In units of the mean eigenvalue, so that the radius is one of the source.
        points = centre + radius * np.sqrt(values.mean()) * ring @ root
    images = map(points)
    shifted, around = np.roll(images, -1, axis=0), points - centre
    saving = 2.0 * float(np.sum(around * (shifted - images)))
    opposite = 2.0 * float(np.sum(around * (np.roll(images, 1, axis=0) - images)))
    if opposite > saving:
        saving, points, images = opposite, points[::-1], images[::-1]
    cost = float(np.sum((points - images) ** 2))
    noise = _ring_noise(points - centre, images, map.precision)
    return Ring(
        k=k,
        threshold=float(threshold),
        relative_saving=saving / cost if cost > 0 else 0.0,
        saving=saving,
        noise=noise,
        proven=saving > _NOISE_MARGIN * noise,
        centre=tuple(float(c) for c in centre),
        radius=radius,
        points=points,
        images=images,
    )


def _ring_noise(around: np.ndarray, images: np.ndarray, precision: float) -> float:
    """The saving that rounding of the images and their roughness along the ring could make alone.

    A smooth map leaves nothing in the upper half of the ring's Fourier modes.
    """
    k = len(images)
    rounding = precision * np.abs(images).max()
    modes = np.fft.rfft(images, axis=0)[max(k // 4, 4) :]
    rough = np.sqrt(2.0 * np.mean(np.abs(modes) ** 2) / k) if len(modes) else 0.0
    neighbours = np.linalg.norm(around - np.roll(around, 1, axis=0), axis=1)
    return float(2.0 * max(rounding, rough) * np.sqrt(np.sum(neighbours**2)))
