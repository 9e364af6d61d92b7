"""Does the map reach the target? Two-sample and one-sample tests of T#μ against ν."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from scipy.spatial.distance import cdist, pdist

from brenier._row_checks import FEWEST
from brenier.certify._axis_distance import axis_distance
from brenier.certify._black_box import BlackBox
from brenier.certify._feature_test import feature_test
from brenier.certify._weights import Shares
from brenier.measures import AbstractMeasure, Gibbs
from brenier.numerics import energy_distance_squared

# Points of each cloud in a test: its matrix of distances then takes about a second. On the line
# and near it 1000 leave effects open that count; in many dimensions distances cost, and vary less.
_TESTED, _TESTED_LOW, _LOW_DIMENSION = 1000, 2000, 5
_PERMUTATIONS, _MOST_PERMUTATIONS = 999, 9999
_MEASURED = 10_000
# Seconds of a whole audit from which on that many are measured, and the least share of them.
_FULL, _LEAST_SHARE = 10.0, 0.1
_DIRECTIONS = 200
_KL_POINTS, _KL_DIMENSION = 2000, 20


@dataclass(frozen=True, kw_only=True)
class TargetTests:
    """Tests of the image T#μ against the target ν. Theory (5.8), (6.18).

    Attributes:
        energy_distance: 2E‖T(X) − Y‖ − E‖T(X) − T(X')‖ − E‖Y − Y'‖ ≥ 0, 0 only where T#μ = ν.
        effect: the energy distance divided by 2E‖T(X) − Y‖, between 0 and 1, corrected for bias.
        effect_upper: a bound of the effect at the certificate's level, by the permutations.
        p_value: of a permutation test of the energy distance, on ``tested`` points of each cloud.
        sliced_w2: root mean squared W₂ of one-dimensional projections.
        sliced_w2_floor: the same between two halves of the sample of the target.
        stein_p_value: of a kernel Stein test, where the target's score is known; else NaN.
        kl, kl_stderr: KL(T#μ | ν) where both densities are known and T is invertible; else NaN.
        tested: how many points of each cloud the permutation test took.
        feature_p_value: of the permutation test of the largest standardised difference over means,
            spreads and quantiles along columns, principal axes and random directions.
        feature: the feature of the largest difference, in words; columns are counted from 1.
        feature_difference: its mean in the images less that in the target, in pooled deviations.
        feature_tested: how many points of each cloud that test took.
        axis_distance: the largest sup|F − G| over columns, of the samples' distribution functions.
        axis_distance_upper: a bound of it for the laws, all columns at once, at the certificate's
            level.
        axis: the column of the largest, in words.
        axis_tested: how many points of each cloud that distance is of.
        axis_points: from so many points of each on, equal laws are found to be within 5 %.

    >>> import numpy as np
    >>> from brenier import audit_pairs
    >>> x = np.random.default_rng(0).normal(size=(400, 2))
    >>> tests = audit_pairs(x, x + 1.0, x + 1.0, budget=0.1).pushforward
    >>> tests.p_value, tests.axis_distance
    (1.0, 0.0)
    """

    energy_distance: float
    effect: float
    effect_upper: float
    p_value: float
    sliced_w2: float
    sliced_w2_floor: float
    stein_p_value: float
    kl: float
    kl_stderr: float
    tested: int
    # Files of earlier versions lack these.
    feature_p_value: float = math.nan
    feature: str = ""
    feature_difference: float = math.nan
    feature_tested: int = 0
    axis_distance: float = math.nan
    axis_distance_upper: float = math.nan
    axis: str = ""
    axis_tested: int = 0
    axis_points: int = 0

    def p_values(self) -> dict[str, float]:
        """Of the tests that were done, by name."""
        tests = {
            "energy": self.p_value,
            "feature": self.feature_p_value,
            "Stein": self.stein_p_value,
        }
        return {name: p for name, p in tests.items() if not math.isnan(p)}

    def largest_feature(self) -> str:
        """The feature of the largest difference, and which way it differs."""
        if not self.feature:
            return "no feature: all are equal"
        side = "larger" if self.feature_difference > 0 else "smaller"
        return f"{self.feature}, {side} in the images"


def target_tests(
    tx: np.ndarray,
    y: np.ndarray,
    random: np.random.Generator,
    *,
    level: float,
    seconds: float = 20.0,
    target: AbstractMeasure | None = None,
    kl: tuple[float, float] = (np.nan, np.nan),
    shares: Shares | None = None,
    target_shares: Shares | None = None,
) -> TargetTests:
    """Tests of images tx (n, d) against y (m, d), and against ``target`` where it has a score.

    With few ``seconds`` distances are of fewer points, and features of fewer rows. With ``shares``
    of weights distances are weighted, and tests take independent draws: rows accepted by weight.
    """
    share = float(np.clip(seconds / _FULL, _LEAST_SHARE, 1.0))
    images, points = (
        cloud if own is None else cloud[own.accepted(random)]
        for cloud, own in ((tx, shares), (y, target_shares))
    )
    if min(len(images), len(points)) < FEWEST and (images is not tx or points is not y):
        return _untested(_distances((tx, y), (shares, target_shares), random, share))
    tested = _TESTED_LOW if tx.shape[1] <= _LOW_DIMENSION else _TESTED
    permutations = _permutations(level)
    first, second = (_some(cloud, tested, random) for cloud in (images, points))
    effect, p_value, spread = _energy_permutations(first, second, level, random, permutations)
    distances = _distances((tx, y), (shares, target_shares), random, share)
    stein = np.nan
    if target is not None and target.has_density:
        stein = _stein_p_value(first, np.asarray(target.score(first)), random, permutations)
    features = feature_test(images, points, random, permutations, share)
    axes = axis_distance(images, points, level=level, target=target)
    return TargetTests(
        energy_distance=distances.energy,
        effect=effect,
        effect_upper=effect + spread,
        p_value=p_value,
        sliced_w2=distances.sliced,
        sliced_w2_floor=distances.floor,
        stein_p_value=stein,
        kl=kl[0],
        kl_stderr=kl[1],
        tested=min(len(first), len(second)),
        feature_p_value=features.p_value,
        feature=features.feature,
        feature_difference=features.difference,
        feature_tested=features.tested,
        axis_distance=axes.observed,
        axis_distance_upper=axes.upper,
        axis=axes.axis,
        axis_tested=axes.tested,
        axis_points=axes.points,
    )


class _Distances(NamedTuple):
    """Between the images and the target, and of two halves of the target."""

    energy: float
    sliced: float
    floor: float


def _distances(
    clouds: tuple[np.ndarray, np.ndarray],
    weights: tuple[Shares | None, Shares | None],
    random: np.random.Generator,
    share: float,
) -> _Distances:
    """Of that share of as many points as are measured at most, by their weights."""
    most = int(share * _MEASURED)
    rows, others = (random.permutation(len(cloud))[:most] for cloud in clouds)
    shuffled = random.permutation(others)
    half, seed = len(shuffled) // 2, int(random.integers(2**31))
    masses = [None if own is None else own.values for own in weights]
    if weights != (None, None):  # those of one cloud alone are equal ones of the other
        pairs = zip(clouds, masses, strict=True)
        masses = [np.ones(len(cloud)) if own is None else own for cloud, own in pairs]

    def sliced(i: int, first: np.ndarray, second: np.ndarray) -> float:
        a, b = masses[i], masses[1]
        if a is None or b is None:
            return _sliced(clouds[i][first], clouds[1][second], seed)
        return _weighted_sliced(clouds[i][first], clouds[1][second], a[first], b[second], seed)

    energy = energy_distance_squared(
        jnp.asarray(clouds[0][rows]),
        jnp.asarray(clouds[1][others]),
        None if masses[0] is None else masses[0][rows],
        None if masses[1] is None else masses[1][others],
    )
    floor = sliced(1, shuffled[:half], shuffled[half:]) if half else float("nan")
    return _Distances(float(energy), sliced(0, rows, others), floor)


def _untested(distances: _Distances) -> TargetTests:
    """Where too few rows are accepted for a test."""
    return TargetTests(
        energy_distance=distances.energy,
        effect=np.nan,
        effect_upper=np.nan,
        p_value=np.nan,
        sliced_w2=distances.sliced,
        sliced_w2_floor=distances.floor,
        stein_p_value=np.nan,
        kl=np.nan,
        kl_stderr=np.nan,
        tested=0,
    )


def relative_entropy(
    map: BlackBox, x: np.ndarray, tx: np.ndarray, source: AbstractMeasure, target: AbstractMeasure
) -> tuple[float, float]:
    """KL(T#μ | ν) = E[log μ(X) − log|det DT(X)| − log ν(T(X))] and its standard error, or NaN."""
    known = all(m.has_density and not isinstance(m, Gibbs) for m in (source, target))
    if not known or x.shape[1] > _KL_DIMENSION:
        return float("nan"), float("nan")
    x, tx = x[:_KL_POINTS], tx[:_KL_POINTS]
    log_det = np.linalg.slogdet(map.jacobian(x)[0])[1]
    terms = np.asarray(source.log_density(x)) - log_det - np.asarray(target.log_density(tx))
    return float(terms.mean()), float(terms.std(ddof=1) / np.sqrt(len(terms)))


def _permutations(level: float) -> int:
    """So many that each of three tests that share 1 − level (Bonferroni) can reject."""
    return min(max(_PERMUTATIONS, math.ceil(3.0 / (1.0 - level))), _MOST_PERMUTATIONS)


def _some(cloud: np.ndarray, most: int, random: np.random.Generator) -> np.ndarray:
    return cloud[random.permutation(len(cloud))[:most]]


def _energy_permutations(
    first: np.ndarray,
    second: np.ndarray,
    level: float,
    random: np.random.Generator,
    permutations: int,
) -> tuple[float, float, float]:
    """The effect size less its bias, its p-value, and its spread under random labels."""
    pooled = np.concatenate([first, second])
    n, m = len(first), len(second)
    distances = cdist(pooled, pooled)
    labels = np.concatenate([np.full(n, 1.0 / n), np.full(m, -1.0 / m)])
    columns = np.stack([labels, *(random.permutation(labels) for _ in range(permutations))], axis=1)
    energies = -np.sum(columns * (distances @ columns), axis=0)
    scale = 2.0 * max(float(distances[:n, n:].mean()), np.finfo(float).tiny)
    observed, chance = energies[0], energies[1:]
    p_value = float((1 + np.sum(chance >= observed)) / (1 + permutations))
    effect = float(max(observed - chance.mean(), 0.0) / scale)
    spread = float((np.quantile(chance, level) - chance.mean()) / scale)
    return effect, p_value, spread


def _sliced(first: np.ndarray, second: np.ndarray, seed: int) -> float:
    """Root mean W₂² of projections; on a line the optimal plan pairs equal quantiles."""
    drawn = np.random.RandomState(seed).randn(first.shape[1], _DIRECTIONS)
    drawn /= np.linalg.norm(drawn, axis=0)
    n, m = len(first), len(second)
    ends = np.union1d(np.arange(1, n + 1) / n, np.arange(1, m + 1) / m)
    mass = np.diff(ends, prepend=0.0)
    middle = ends - 0.5 * mass
    one, other = (
        np.sort(cloud @ drawn, axis=0)[np.minimum((middle * size).astype(int), size - 1)]
        for cloud, size in ((first, n), (second, m))
    )
    return float(np.sqrt(np.mean(mass @ (one - other) ** 2)))


def _weighted_sliced(
    first: np.ndarray, second: np.ndarray, a: np.ndarray, b: np.ndarray, seed: int
) -> float:
    """``_sliced`` of rows with weights (n,), (m,), above 0."""
    drawn = np.random.RandomState(seed).randn(first.shape[1], _DIRECTIONS)
    drawn /= np.linalg.norm(drawn, axis=0)
    total = 0.0
    for direction in drawn.T:
        places, ends = [], []
        for cloud, mass in ((first, a), (second, b)):
            along = cloud @ direction
            order = np.argsort(along)
            places.append(along[order])
            ends.append(np.cumsum(mass[order]))
            ends[-1] /= ends[-1][-1]
        cuts = np.union1d(*ends)
        mass = np.diff(cuts, prepend=0.0)
        one, other = (
            place[np.minimum(np.searchsorted(end, cuts - 0.5 * mass), len(place) - 1)]
            for place, end in zip(places, ends, strict=True)
        )
        total += float(mass @ (one - other) ** 2)
    return float(np.sqrt(total / _DIRECTIONS))


def _stein_p_value(
    x: np.ndarray, score: np.ndarray, random: np.random.Generator, permutations: int = _PERMUTATIONS
) -> float:
    """p-value of the kernel Stein test with k = (1 + ‖x − x'‖²/h²)^{-1/2}, by a wild bootstrap.

    Liu, Lee, Jordan (2016), eq. 14; the inverse multiquadric of Gorham and Mackey (2017).
    """
    n, d = x.shape
    width = float(np.median(pdist(x, "sqeuclidean")))
    width = width if width > 0 else 1.0
    squares = cdist(x, x, "sqeuclidean")
    base = 1.0 + squares / width
    kernel = base**-0.5
    slope = -(base**-1.5) / width  # ∇_x k = slope·(x − x')
    between = (score @ x.T).T  # (i, j): ⟨x_i, s_j⟩
    own = np.sum(score * x, axis=1)
    # ⟨s_i, x_i − x_j⟩ and ⟨s_j, x_i − x_j⟩.
    ahead, behind = own[:, None] - between.T, between - own[None, :]
    trace = -slope * d - 3.0 * base**-2.5 / width**2 * squares
    stein = kernel * (score @ score.T) + slope * (behind - ahead) + trace
    np.fill_diagonal(stein, 0.0)
    signs = random.choice([-1.0, 1.0], size=(n, permutations))
    chance = np.sum(signs * (stein @ signs), axis=0)
    return float((1 + np.sum(chance >= stein.sum())) / (1 + permutations))
