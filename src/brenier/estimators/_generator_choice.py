"""What a generator leaves to the data: its source, ε and time, by held-out energy distance."""

import itertools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brenier._progress import Progress, ProgressCallback
from brenier._solution import Result
from brenier.estimators._latent import SOURCES, fitted_source
from brenier.flows import default_flow_epsilon, sample_sinkhorn_flow
from brenier.numerics import mean_distance

# Multiples of the rule's ε, from the largest: each starts at the potential of the one before.
_RATIOS = (8.0, 4.0, 2.0, 1.0, 0.5, 0.25)
_TIMES = (0.25, 0.5, 1.0, 2.0, None)
# Latent points pushed to score a candidate, the same for all.
_PUSHED = 2048


@dataclass(frozen=True)
class Setting:
    """What the user asked for."""

    source: str
    epsilon: float | str
    time: float | str | None
    debias: bool
    components: int | None
    folds: int
    seed: int


@dataclass(frozen=True)
class Choice:
    """A source, an ε (or a multiple of the rule's) and a time; and the table it was chosen from."""

    source: str
    epsilon: float | None
    ratio: float
    time: float | None
    table: dict[str, list[Any]] | None = None


def choose(z: np.ndarray, setting: Setting, told: ProgressCallback) -> Choice:
    """The candidate of the best mean held-out score over the folds; the first where there is one.

    Raises:
        ValueError: too few points for the folds.
    """
    candidates = _candidates(setting)
    if len(candidates) == 1:
        return candidates[0]
    size = len(z) // setting.folds
    if size < 2 or len(z) - size < 2:
        raise ValueError(
            f"X: got {len(z)} points; wants at least {2 * setting.folds} for "
            f"{setting.folds} folds (or no 'cv')."
        )
    # Folds of one size, so that each shape is compiled once.
    order = np.random.default_rng(setting.seed).permutation(len(z))[: size * setting.folds]
    scores = np.empty((len(candidates), setting.folds))
    for fold in range(setting.folds):
        held = np.zeros(len(order), bool)
        held[fold * size : (fold + 1) * size] = True
        train, test = z[order[~held]], z[order[held]]
        told(Progress(fold * len(candidates), setting.folds * len(candidates), "cross-validating"))
        scores[:, fold] = _fold_scores(candidates, train, test, setting)
    means = scores.mean(axis=1)
    table = {
        "source": [c.source for c in candidates],
        "epsilon_ratio": [c.ratio if c.epsilon is None else None for c in candidates],
        "time": [c.time for c in candidates],
        "mean_score": means.tolist(),
        "standard_error": (scores.std(axis=1, ddof=1) / np.sqrt(setting.folds)).tolist(),
    }
    best = candidates[int(np.argmax(np.where(np.isnan(means), -np.inf, means)))]
    return Choice(best.source, best.epsilon, best.ratio, best.time, table)


def energy_score(made: np.ndarray, held: np.ndarray) -> float:
    """−(2E‖G − Y‖ − E‖G − G'‖ − E‖Y − Y'‖), pairs of different points only: unbiased."""
    x, y = jnp.asarray(made), jnp.asarray(held)
    n, m = len(x), len(y)
    within = mean_distance(x) * n / (n - 1) + mean_distance(y) * m / (m - 1)
    return float(within - 2.0 * mean_distance(x, y))


def _candidates(setting: Setting) -> list[Choice]:
    sources = SOURCES if setting.source == "cv" else (setting.source,)
    times = (setting.time,) if not isinstance(setting.time, str) else _TIMES
    if setting.epsilon == "cv":
        sizes: list[tuple[float | None, float]] = [(None, ratio) for ratio in _RATIOS]
    elif setting.epsilon == "rule":
        sizes = [(None, 1.0)]
    else:
        sizes = [(float(setting.epsilon), 1.0)]
    return [
        Choice(source, *size, time)
        for source, time, size in itertools.product(sources, times, sizes)
    ]


def _fold_scores(
    candidates: list[Choice], train: np.ndarray, test: np.ndarray, setting: Setting
) -> list[float]:
    rule = default_flow_epsilon(train)
    laws: dict[str, Any] = {}
    potential, scores, last = None, [], None
    for choice in candidates:
        if choice.source not in laws:
            laws[choice.source] = fitted_source(
                choice.source, train, setting.components, setting.seed
            )
        law = laws[choice.source]
        # Down the ladder of ε only.
        if (choice.source, choice.time) != last:
            potential, last = None, (choice.source, choice.time)
        solution = sample_sinkhorn_flow(
            law,
            train,
            epsilon=choice.epsilon or choice.ratio * rule,
            time=choice.time,
            debias=setting.debias,
            potential=potential,
            key=jax.random.key(setting.seed),
            throw=False,
        )
        if solution.result is Result.interrupted:
            raise KeyboardInterrupt
        potential = solution.stats["potential"]
        latent = law.sample(jax.random.key(setting.seed), _PUSHED).astype(train.dtype)
        scores.append(energy_score(np.asarray(solution.map(latent)), test))
    return scores
