"""The map of a generator, chosen among kinds of convex potentials from latent points to data."""

from collections.abc import Callable

import jax
import numpy as np

from brenier._progress import ProgressCallback
from brenier._solution import Solution
from brenier._types import Key, RowWeights
from brenier.estimators.candidates import (
    AbstractPieces,
    Choice,
    Chooser,
    Fold,
    Request,
    fold_counts,
    kinds_to_try,
)
from brenier.estimators.data import shrunk_covariance
from brenier.estimators.generation._one_shot import OneShotKind
from brenier.maps import AbstractMap
from brenier.measures import Gaussian, quasi_sample
from brenier.numerics import Coordinates, row_count, row_mean

# Latent points cost nothing: at least so many to learn from, and four a datum held out.
_LEAST_LEARNT, _HELD_A_DATUM, _MOST_HELD = 512, 4, 4096
# Particles for Sinkhorn.
_PARTICLES = 2048
# Numbers in the Hessians of one trial at held-out data, for each of the atoms of the map.
_HESSIAN_WORK, _FEWEST_HELD, _ATOMS = 5e8, 32, 2000
# Dimensions up to which pieces are fitted, whose parameters grow with it: minutes beyond.
_PIECES_UP_TO = 20


def compare(
    z: np.ndarray,
    sound: np.ndarray,
    law: Gaussian,
    request: Request,
    *,
    rule: float,
    flow: Callable[[float], Solution[AbstractMap]],
    seed: int,
    callback: ProgressCallback,
    weights: RowWeights = None,
) -> tuple[Choice, Coordinates]:
    """The best convex potential, by held-out data, whose gradient carries the law to data (n, d).

    In standard coordinates of the law and the data, which are given back too.

    Args:
        z: the data.
        sound: (n,), the rows whose moments count.
        law: of the latent points, which are quasi-random: the source's side is known, only the
            data are held out from one another.
        request: what is asked for.
        rule: ε of Sinkhorn's flow, for so many data.
        flow: Sinkhorn's, at a multiple of that ε.
        seed: of all randomness.
        callback: of progress.
        weights: (n,), how many rows each datum stands for.
    """
    z, random = z.astype(np.float64), np.random.default_rng(seed)
    n = int(min(len(z), row_count(z, weights)))
    keys = list(jax.random.split(jax.random.key(seed), 5))
    learnt = _latent(law, max(n, _LEAST_LEARNT), keys[0])
    coordinates = _coordinates(law, z[sound], None if weights is None else weights[sound])
    own = coordinates.on_host()
    folds = _latent_folds(law, z, sound, learnt, own, random, key=keys[1], weights=weights)
    unit = rule * row_count(z, weights) ** 0.5
    one_shot = OneShotKind(law, _latent(law, _PARTICLES, keys[2]), own, unit, flow)
    # A map of the way back is no single evaluation.
    kinds = kinds_to_try(
        own, request, n, keys=keys[3:], callback=callback, also=[one_shot], both_ways=False
    )
    if z.shape[1] > _PIECES_UP_TO:
        kinds = [kind for kind in kinds if not isinstance(kind, AbstractPieces)]
    u, v = own.encode_source(learnt), own.encode_target(z)
    whole = Fold(u, v, u, v, own, (None, weights), (None, weights))
    chooser = Chooser(folds, whole, random, callback)
    return chooser.choose(kinds, request.effort), coordinates


def _latent_folds(
    law: Gaussian,
    z: np.ndarray,
    sound: np.ndarray,
    learnt: np.ndarray,
    coordinates: Coordinates,
    random: np.random.Generator,
    *,
    key: Key,
    weights: RowWeights,
) -> list[Fold]:
    """Folds of the data, each with all latent points to learn from and others to be judged on."""
    n, d = z.shape
    count, parts = fold_counts(int(min(n, row_count(z, weights))))
    affordable = int(_HESSIAN_WORK / (d * d * min(n, _ATOMS)))
    size = min(n // parts, _MOST_HELD, max(affordable, _FEWEST_HELD))
    latent = _latent(law, min(_HELD_A_DATUM * n, _MOST_HELD), key)
    order, folds = random.permutation(n), []
    for k in range(count):
        rows = np.s_[k * size : (k + 1) * size]
        left = np.delete(order, rows)
        out, inner = order[rows], left[sound[left]]
        rest, held, bulk = z[left], z[out], z[inner]
        own_weights, rest_weights, held_weights = (
            None if weights is None else weights[some] for some in (inner, left, out)
        )
        varies = (bulk.std(axis=0) > 0).all()
        own = _coordinates(law, bulk, own_weights).on_host() if varies else coordinates
        clouds = (learnt, rest), (latent, held)
        folds.append(Fold.encoded(*clouds, own, (None, rest_weights), (None, held_weights)))
    return folds


def _coordinates(law: Gaussian, z: np.ndarray, weights: RowWeights) -> Coordinates:
    """Those in which the Gaussian map from the law to data (n, d) is the identity."""
    moments = law.mean, law.covariance, row_mean(z, weights), shrunk_covariance(z, weights)
    return Coordinates.gaussian(*moments)


def _latent(law: Gaussian, count: int, key: Key) -> np.ndarray:
    return np.asarray(quasi_sample(law, count, key=key), np.float64)
