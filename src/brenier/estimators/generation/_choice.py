"""The source, ε and time of a one-shot generator, chosen by held-out energy distance."""

import itertools
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brenier._progress import Progress, ProgressCallback
from brenier._solution import Result, Solution
from brenier._types import Points, RowWeights, Scalar, Weights
from brenier.estimators.generation._settings import GeneratorSettings
from brenier.estimators.generation._source_law import SOURCES, fitted_source
from brenier.measures import Gaussian, GaussianMixture
from brenier.numerics import default_flow_epsilon, mean_distance

# Multiples of the rule's ε, from the largest: each starts at the potential of the one before.
RATIOS = (8.0, 4.0, 2.0, 1.0, 0.5, 0.25)
_TIMES = (0.25, 0.5, 1.0, 2.0, None)
# Latent points pushed to score a candidate, the same for all.
_PUSHED = 2048


@dataclass(frozen=True)
class Choice:
    """A source, an ε and a time.

    Args:
        source: its name.
        epsilon: a number; None for a multiple of the rule's.
        ratio: that multiple.
        time: of the flow; None to its limit.
        table: what it was chosen from, columns of equal length, where it was chosen.
    """

    source: str
    epsilon: float | None
    ratio: float
    time: float | None
    table: dict[str, list[Any]] | None = None

    def epsilon_for(self, rule: float) -> float:
        """ε, where the rule gives ``rule``."""
        return self.epsilon or self.ratio * rule


def run_flow(
    z: np.ndarray,
    law: Gaussian | GaussianMixture,
    settings: GeneratorSettings,
    *,
    epsilon: float,
    time: float | None,
    potential: Any = None,
    callback: ProgressCallback | None = None,
    weights: RowWeights = None,
) -> Solution:
    """Sinkhorn's flow from a source to data (n, d), both in standard coordinates.

    Raises:
        KeyboardInterrupt: it was interrupted.
    """
    from brenier.flows import sample_sinkhorn_flow

    solution = sample_sinkhorn_flow(
        law,
        z,
        epsilon=epsilon,
        time=time,
        debias=settings.debias,
        potential=potential,
        weights=weights,
        key=jax.random.key(settings.random_state),
        callback=callback,
        throw=False,
    )
    if solution.result is Result.interrupted:
        raise KeyboardInterrupt
    return solution


def choose(
    z: np.ndarray, settings: GeneratorSettings, tell: ProgressCallback, weights: RowWeights = None
) -> Choice:
    """The candidate of the best mean held-out score over the folds; the first where there is one.

    Raises:
        ValueError: too few points for the folds.
    """
    candidates = _candidates(settings)
    if len(candidates) == 1:
        return candidates[0]
    folds = settings.folds
    size = len(z) // folds
    if size < 2 or len(z) - size < 2:
        raise ValueError(
            f"X: got {len(z)} points; wants at least {2 * folds} for {folds} folds (or no 'cv')."
        )
    # Folds of one size, so that each shape is compiled once.
    random = np.random.default_rng(settings.random_state)
    order = random.permutation(len(z))[: size * folds]
    scores = np.empty((len(candidates), folds))
    for fold in range(folds):
        held = np.zeros(len(order), bool)
        held[fold * size : (fold + 1) * size] = True
        train, test = _rows(z, weights, order[~held]), _rows(z, weights, order[held])
        tell(Progress(fold * len(candidates), folds * len(candidates), "cross-validating"))
        scores[:, fold] = _fold_scores(candidates, train, test, settings)
    means = scores.mean(axis=1)
    table = {
        "source": [c.source for c in candidates],
        "epsilon_ratio": [c.ratio if c.epsilon is None else None for c in candidates],
        "time": [c.time for c in candidates],
        "mean_score": means.tolist(),
        "standard_error": (scores.std(axis=1, ddof=1) / np.sqrt(folds)).tolist(),
    }
    best = candidates[int(np.argmax(np.where(np.isnan(means), -np.inf, means)))]
    return replace(best, table=table)


def energy_score(
    made: np.ndarray,
    held: np.ndarray,
    made_weights: np.ndarray | None = None,
    held_weights: np.ndarray | None = None,
) -> float:
    """Minus the squared energy distance between two samples, unbiased: higher is better, best 0.

    −(2E‖G − Y‖ − E‖G − G'‖ − E‖Y − Y'‖) over pairs of different points, so that it may be a little
    above 0. Not a distance between clouds that are all there is: ``numerics`` has that,
    ``energy_distance_squared``, which counts each point with itself and is biased from samples.

    Args:
        made: G, (n, d), generated; two points at least.
        held: Y, (m, d), held out; two at least.
        made_weights, held_weights: of the points, (n,) and (m,); equal where None.

    >>> import numpy as np
    >>> energy_score(np.array([[0.0], [2.0]]), np.array([[0.0], [2.0]]))
    2.0
    >>> energy_score(np.array([[0.0], [2.0]]), np.array([[10.0], [12.0]]))
    -16.0
    """
    x, y = jnp.asarray(made), jnp.asarray(held)
    a, b = (
        None if own is None else jnp.asarray(own / own.sum())
        for own in (made_weights, held_weights)
    )
    return float(_within(x, a) + _within(y, b) - 2.0 * mean_distance(x, y, a, b))


def _within(points: Points, shares: Weights | None) -> Scalar:
    """The mean distance of different points (n, d), of weights (n,) with sum 1."""
    if shares is None:
        n = len(points)
        return mean_distance(points) * n / (n - 1)
    return mean_distance(points, None, shares) / (1.0 - shares @ shares)


def _candidates(settings: GeneratorSettings) -> list[Choice]:
    sources = SOURCES if settings.source == "cv" else (settings.source or "isotropic",)
    times = (settings.time,) if not isinstance(settings.time, str) else _TIMES
    if settings.epsilon == "cv":
        sizes: list[tuple[float | None, float]] = [(None, ratio) for ratio in RATIOS]
    elif settings.epsilon is None or settings.epsilon == "rule":
        sizes = [(None, 1.0)]
    else:
        sizes = [(float(settings.epsilon), 1.0)]
    return [
        Choice(source, *size, time)
        for source, time, size in itertools.product(sources, times, sizes)
    ]


def _fold_scores(
    candidates: list[Choice],
    train: tuple[np.ndarray, RowWeights],
    test: tuple[np.ndarray, RowWeights],
    settings: GeneratorSettings,
) -> list[float]:
    (points, weights), (held, held_weights) = train, test
    rule, seed = default_flow_epsilon(points, weights), settings.random_state
    laws = {
        name: fitted_source(name, points, settings.components, weights, random_state=seed)
        for name in dict.fromkeys(choice.source for choice in candidates)
    }
    potential, scores, last = None, [], None
    for choice in candidates:
        law = laws[choice.source]
        # Down the ladder of ε each flow starts where the one before ended.
        if (choice.source, choice.time) != last:
            potential, last = None, (choice.source, choice.time)
        solution = run_flow(
            points,
            law,
            settings,
            epsilon=choice.epsilon_for(rule),
            time=choice.time,
            potential=potential,
            weights=weights,
        )
        potential = solution.stats["potential"]
        key = jax.random.key(settings.random_state)
        latent = law.sample(key, _PUSHED).astype(points.dtype)
        made = np.asarray(solution.map(latent))
        scores.append(energy_score(made, held, None, held_weights))
    return scores


def _rows(z: np.ndarray, weights: RowWeights, rows: np.ndarray) -> tuple[np.ndarray, RowWeights]:
    return z[rows], None if weights is None else weights[rows]
