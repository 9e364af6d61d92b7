"""What is compared on small samples: ours, its candidates alone, POT's maps and a mean shift."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import brenier
from brenier.estimators import energy_score
from brenier.experiments.peers._small_problems import Map

OURS: dict[str, dict[str, Any]] = {"default": {}, "best": {"effort": "best"}}
CANDIDATES = ("gaussian", "separable", "entropic", "ridges", "log-sum-exp", "network")
# The validated ε, in units of the median cost, and the share of points that it is chosen by.
_RATIOS, _HELD = (0.01, 0.03, 0.1, 0.3, 1.0), 0.2
# Error of a marginal (L2; a weight is 1/n): far below what is seen of the map, a tenth of the time.
_TOLERANCE = 1e-4


@dataclass(frozen=True)
class Fitted:
    """A map of points, and what its method chose."""

    move: Map
    chosen: str = ""


# From two clouds (n, d), (m, d) and a seed.
Method = Callable[[np.ndarray, np.ndarray, int], Fitted]


def _ours(x: np.ndarray, y: np.ndarray, seed: int, **settings: Any) -> Fitted:
    estimator: Any = brenier.MongeMap(random_state=seed, **settings).fit(x, y)
    chosen = [row.name for row in estimator.candidates_ if row.chosen]
    return Fitted(estimator.transform, ", ".join(chosen))


def _mean_shift(x: np.ndarray, y: np.ndarray, seed: int) -> Fitted:
    shift = y.mean(axis=0) - x.mean(axis=0)
    return Fitted(lambda points: points + shift)


def _pot(x: np.ndarray, y: np.ndarray, seed: int, *, transport: str, **settings: Any) -> Fitted:
    """One of POT's maps, by the name of its class in ``ot.da``, with its settings."""
    import ot

    with _quiet():
        fitted = getattr(ot.da, transport)(**settings).fit(Xs=x, Xt=y)

    def move(points: np.ndarray) -> np.ndarray:
        with _quiet():
            moved: np.ndarray = fitted.transform(Xs=points)
        return moved

    return Fitted(move)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without warnings: of what they warn of, the error tells."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def _validated_sinkhorn(x: np.ndarray, y: np.ndarray, seed: int) -> Fitted:
    """Sinkhorn at the ε whose map of held-out points is nearest to held-out points."""
    import ot

    random = np.random.default_rng(seed)
    (x_fit, x_held), (y_fit, y_held) = (_split(random, cloud) for cloud in (x, y))
    unit = float(np.median(ot.dist(x, y)))

    def fit(source: np.ndarray, target: np.ndarray, ratio: float) -> Fitted:
        settings = {"reg_e": ratio * unit, "tol": _TOLERANCE}
        return _pot(source, target, seed, transport="SinkhornTransport", **settings)

    scores = [energy_score(fit(x_fit, y_fit, ratio).move(x_held), y_held) for ratio in _RATIOS]
    best = _RATIOS[int(np.nanargmax(scores))]
    return Fitted(fit(x, y, best).move, f"{best:g} of the median cost")


def _split(random: np.random.Generator, cloud: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mixed = random.permutation(cloud)
    held = round(_HELD * len(cloud))
    return mixed[held:], mixed[:held]


def alone(candidate: str) -> str:
    """What a candidate is called that is fitted without the others."""
    return f"{candidate} alone"


POT: dict[str, Method] = {
    "POT EMD": partial(_pot, transport="EMDTransport"),
    "POT Sinkhorn": partial(_pot, transport="SinkhornTransport"),
    "POT Sinkhorn, validated": _validated_sinkhorn,
    "POT linear": partial(_pot, transport="LinearTransport"),
    "POT mapping, linear": partial(_pot, transport="MappingTransport"),
    "POT mapping, gaussian": partial(_pot, transport="MappingTransport", kernel="gaussian"),
}
METHODS: dict[str, Method] = {
    **{name: partial(_ours, **settings) for name, settings in OURS.items()},
    **{alone(name): partial(_ours, candidates=(name,)) for name in CANDIDATES},
    "mean shift": _mean_shift,
    **POT,
}

# Networks are trained on every fold: half a minute or more a fit.
TRAINED = ("best", alone("network"))
_TRAINED = ((1000, 1),)
# Seeds of a method that is slow: (up to so many points, so many seeds); beyond, none.
_SLOW: dict[str, tuple[tuple[int, int], ...]] = {
    **dict.fromkeys(TRAINED, _TRAINED),
    "POT Sinkhorn": ((100, 20), (300, 5), (1000, 1)),
    "POT Sinkhorn, validated": ((100, 20), (300, 2)),
    "POT mapping, linear": ((100, 20), (300, 2)),
    "POT mapping, gaussian": ((100, 20), (300, 2)),
}
# Of every other method.
_SEEDS = ((100, 20), (300, 10), (1000, 4), (3000, 2))


def seeds_at(n: int, method: str | None = None) -> int:
    """How many seeds are studied at n points a side, by all or by a method that is slow.

    >>> seeds_at(50), seeds_at(1000), seeds_at(1000, "POT mapping, linear")
    (20, 4, 0)
    """
    table = _SLOW.get(method, _SEEDS) if method else _SEEDS
    return next((seeds for most, seeds in table if n <= most), 0)
