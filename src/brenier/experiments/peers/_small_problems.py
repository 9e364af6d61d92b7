"""Problems of small samples: laws that are drawn from, and data sets that are split."""

import functools
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import gamma, norm
from sklearn.datasets import load_digits, load_wine, make_moons
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from brenier.problems import Problem, radial, random_convex, separable

# From a generator, n and d: n points (n, d).
Law = Callable[[np.random.Generator, int, int], np.ndarray]
# From points (n, d): their images under the true map.
Map = Callable[[np.ndarray], np.ndarray]

_SIZES = (50, 100, 300, 1000, 3000)
_FRESH = 4000
# The two digits, and the two classes of wine.
_DIGITS, _WINES = (3, 8), (0, 1)


@dataclass(frozen=True)
class Sample:
    """Unpaired points to learn from, and fresh ones to measure by.

    ``truth`` holds the images of ``x_test`` under the true map, where that is known.
    """

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    truth: np.ndarray | None


@dataclass(frozen=True)
class SmallProblem:
    """A source and its target: a law of its own, or the source's image under a known map.

    Args:
        name: in the results.
        source: never gives a point twice in one call, where it is a data set.
        target: as ``source``.
        map: the true one, where it is known; ``target`` is then the image.
        dimensions, sizes: the d and n that are studied.
        fresh: points a side to measure by.
        shown: the dimension of the picture.
    """

    name: str
    source: Law
    target: Law
    map: Map | None
    dimensions: tuple[int, ...]
    shown: int
    sizes: tuple[int, ...] = _SIZES
    fresh: int = _FRESH

    def sample(self, dimension: int, n: int, seed: int) -> Sample:
        """n points a side, part of those of every larger n, and the same fresh ones."""
        random = self._generator(dimension, seed)
        most = max(self.sizes) + self.fresh
        x, y = (law(random, most, dimension) for law in (self.source, self.target))
        x_test, y_test = x[-self.fresh :], y[-self.fresh :]
        truth = None if self.map is None else self.map(x_test)
        return Sample(x[:n], y[:n], x_test, y_test, truth)

    def target_twice(self, dimension: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Two fresh clouds of the target, which no map could tell from each other."""
        both = self.target(self._generator(dimension, seed), 2 * self.fresh, dimension)
        return both[: self.fresh], both[self.fresh :]

    def _generator(self, dimension: int, seed: int) -> np.random.Generator:
        return np.random.default_rng([seed, dimension, zlib.crc32(self.name.encode())])


def _mapped(
    name: str, source: Law, map: Map, dimensions: tuple[int, ...], shown: int
) -> SmallProblem:
    def target(random: np.random.Generator, n: int, d: int) -> np.ndarray:
        return map(source(random, n, d))

    return SmallProblem(name, source, target, map, dimensions, shown)


def _of_bank(
    name: str, make: Callable[[int], Problem], dimensions: tuple[int, ...], shown: int
) -> SmallProblem:
    """A problem of the library's bank."""
    known = functools.cache(make)

    def source(random: np.random.Generator, n: int, d: int) -> np.ndarray:
        key = jax.random.key(int(random.integers(2**31)))
        return np.asarray(known(d).source.sample(key, n))

    def map(x: np.ndarray) -> np.ndarray:
        true = known(x.shape[1]).map
        assert true is not None
        return np.asarray(true(jnp.asarray(x)))

    return _mapped(name, source, map, dimensions, shown)


def _normal(random: np.random.Generator, n: int, d: int) -> np.ndarray:
    return random.normal(size=(n, d))


def _correlated(random: np.random.Generator, n: int, d: int, correlation: float) -> np.ndarray:
    """Standard normal columns, each two of them equally correlated."""
    common = random.normal(size=(n, 1))
    return np.sqrt(correlation) * common + np.sqrt(1.0 - correlation) * random.normal(size=(n, d))


def _ridges(x: np.ndarray) -> np.ndarray:
    """T(x) = 0.3 x + Wᵀ(a tanh(2 W x + b)), random ridges W, always the same in a dimension."""
    d = x.shape[1]
    random = np.random.default_rng(d)
    count = 3 if d == 2 else 8
    directions = random.normal(size=(count, d))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    heights, offsets = random.uniform(0.5, 1.5, count), random.normal(size=count)
    return 0.3 * x + (heights * np.tanh(2.0 * x @ directions.T + offsets)) @ directions


def _lognormal(random: np.random.Generator, n: int, d: int) -> np.ndarray:
    return np.exp(0.7 * _correlated(random, n, d, 0.4))


def _powers(x: np.ndarray) -> np.ndarray:
    """T_i(x) = x_i^s_i, s from 1.3 down to 0.7: of lognormal columns lognormal ones."""
    return x ** np.linspace(1.3, 0.7, x.shape[1])


def _showers(
    random: np.random.Generator, n: int, zeros: np.ndarray, scale: float, correlation: float
) -> np.ndarray:
    """Columns of gamma laws with so large shares of zeros, correlated by a Gaussian copula."""
    d = len(zeros)
    levels = norm.cdf(_correlated(random, n, d, correlation))
    wet = np.clip((levels - zeros) / (1.0 - zeros), 0.0, 1.0 - 1e-12)
    return scale * gamma.ppf(wet, np.linspace(0.8, 2.0, d))


def _dry_rain(random: np.random.Generator, n: int, d: int) -> np.ndarray:
    return _showers(random, n, np.linspace(0.2, 0.6, d), 1.0, 0.5)


def _wet_rain(random: np.random.Generator, n: int, d: int) -> np.ndarray:
    """The columns that were the driest are now the wettest, and they go less together."""
    return _showers(random, n, np.linspace(0.6, 0.2, d), 1.5, 0.2)


def _moons(random: np.random.Generator, n: int, d: int) -> np.ndarray:
    points, _ = make_moons(n, noise=0.08, random_state=int(random.integers(2**31)))
    return points


def _turned_moons(random: np.random.Generator, n: int, d: int) -> np.ndarray:
    """Turned by 45° and shifted."""
    turn = np.array([[1.0, 1.0], [-1.0, 1.0]]) / np.sqrt(2.0)
    return _moons(random, n, d) @ turn + np.array([2.0, 1.0])


def _banana(random: np.random.Generator, n: int, d: int) -> np.ndarray:
    z = random.normal(size=(n, 2))
    return np.stack([z[:, 0], 0.4 * z[:, 1] + 0.6 * z[:, 0] ** 2], axis=1)


def _three_spots(random: np.random.Generator, n: int, d: int) -> np.ndarray:
    angles = np.pi * (0.5 + 2.0 * random.integers(3, size=n) / 3.0)
    centres = 2.0 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return centres + 0.25 * random.normal(size=(n, 2))


@functools.cache
def _wine() -> tuple[np.ndarray, np.ndarray]:
    """Columns of unit variance, and the classes."""
    data = load_wine()
    return StandardScaler().fit_transform(data.data), data.target


@functools.cache
def _digits() -> tuple[np.ndarray, np.ndarray]:
    """Two principal components of all digits, and which digits they are."""
    data = load_digits()
    return PCA(2, random_state=0).fit_transform(data.data), data.target


def _class_of(read: Callable[[], tuple[np.ndarray, np.ndarray]], label: int) -> Law:
    """Members of a class, drawn without replacement."""

    def draw(random: np.random.Generator, n: int, d: int) -> np.ndarray:
        points, labels = read()
        own = points[labels == label]
        return own[random.choice(len(own), n, replace=False)]

    return draw


PROBLEMS: dict[str, SmallProblem] = {
    problem.name: problem
    for problem in (
        _mapped("smooth", _normal, _ridges, (2, 5), 5),
        _of_bank("convex", random_convex, (2, 5, 10, 30), 2),
        _of_bank("mixture", functools.partial(random_convex, source="mixture"), (2, 5, 10), 5),
        _of_bank("separable", separable, (2, 5, 10, 30), 10),
        _of_bank("radial", radial, (2, 5, 10, 30), 5),
        _mapped("lognormal", _lognormal, _powers, (2, 5, 10), 5),
        _mapped("zero-inflated", _dry_rain, _powers, (2, 5, 10), 5),
        SmallProblem("rain", _dry_rain, _wet_rain, None, (2, 5, 10), 5),
        SmallProblem("moons", _moons, _turned_moons, None, (2,), 2),
        SmallProblem("banana", _banana, _three_spots, None, (2,), 2),
        SmallProblem(
            "digits",
            _class_of(_digits, _DIGITS[0]),
            _class_of(_digits, _DIGITS[1]),
            None,
            (2,),
            2,
            sizes=(50, 100),
            fresh=74,
        ),
        # The smaller class has 59 wines, of which 19 are held out.
        SmallProblem(
            "wine",
            _class_of(_wine, _WINES[0]),
            _class_of(_wine, _WINES[1]),
            None,
            (13,),
            13,
            sizes=(40,),
            fresh=19,
        ),
    )
}
