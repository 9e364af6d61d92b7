"""From data to a generator: Sinkhorn's flow as asked for, or the best of several kinds of maps."""

import functools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from brenier._progress import Progress, ProgressCallback
from brenier._solution import Result, Solution
from brenier._types import RowWeights
from brenier.estimators.candidates import CandidateTable, Request, fold_counts
from brenier.estimators.generation._choice import Choice, choose, run_flow
from brenier.estimators.generation._latent import compare
from brenier.estimators.generation._settings import GeneratorSettings
from brenier.estimators.generation._source_law import fitted_source
from brenier.maps import AbstractMap, GradientMap
from brenier.measures import Gaussian, GaussianMixture
from brenier.numerics import cast_floats, default_flow_epsilon, row_count
from brenier.potentials import Preconditioned


@dataclass(frozen=True, eq=False)
class GeneratorFit:
    """A map onto data in scaled coordinates, and how it came about.

    Args:
        solution: the map, how its fit ended and what it measured.
        law: of the latent points.
        source: its name.
        epsilon, time: of Sinkhorn's flow; None where it is another map, or, of time, the limit.
        candidates: the kinds it was chosen from, where they were compared.
        cv_results: the scores of cross-validation, where a flow was chosen by it.
    """

    solution: Solution[AbstractMap]
    law: Gaussian | GaussianMixture
    source: str
    epsilon: float | None
    time: float | None
    candidates: CandidateTable | None = None
    cv_results: dict[str, list[Any]] | None = None

    def in_units(self, unit: float) -> "GeneratorFit":
        """The same, its ε and times in units so much larger."""

        def moved(value: float | None) -> float | None:
            return None if value is None else unit * value

        table, stats = self.cv_results, self.solution.stats
        if table is not None:
            table = {**table, "time": [moved(time) for time in table["time"]]}
        if "epsilon" in stats:
            stats = {**stats, "epsilon": moved(stats["epsilon"])}
        return replace(
            self,
            solution=replace(self.solution, stats=stats),
            epsilon=moved(self.epsilon),
            time=moved(self.time),
            cv_results=table,
        )


def fit_generator(
    z: np.ndarray,
    sound: np.ndarray,
    settings: GeneratorSettings,
    tell: ProgressCallback,
    weights: RowWeights = None,
) -> GeneratorFit:
    """The map onto data (n, d) in scaled coordinates; moments are of the ``sound`` rows (n,).

    ``weights`` say how many rows each stands for.

    Raises:
        ValueError: too few points for the folds that were asked for.
        KeyboardInterrupt: interrupted before there was any map.
    """
    own = None if weights is None else weights[sound]
    if settings.one_shot or fold_counts(int(min(len(z), row_count(z, weights)))) == (0, 0):
        choice = choose(z, settings, tell, weights)
        return _flowed(z, sound, choice, settings, tell, weights)
    seed = settings.random_state
    law = fitted_source("isotropic", z[sound], None, own, random_state=seed)
    assert isinstance(law, Gaussian)
    request = Request(None, settings.effort, None, settings.widths, None)
    rule = default_flow_epsilon(z, weights)

    @functools.cache  # the map that was chosen may be it alone
    def flow(ratio: float) -> Solution[AbstractMap]:
        epsilon = ratio * rule
        return run_flow(
            z, law, settings, epsilon=epsilon, time=None, callback=tell, weights=weights
        )

    compared, coordinates = compare(
        z, sound, law, request, rule=rule, flow=flow, seed=seed, callback=tell, weights=weights
    )
    chosen = compared.table.chosen
    if chosen.name == "one-shot":
        done, epsilon = flow(chosen.settings["ratio"]), chosen.settings["ratio"] * rule
        result = compared.result if compared.result is Result.interrupted else done.result
        solution = replace(done, result=result, stats={**done.stats, **compared.stats})
        return GeneratorFit(solution, law, "isotropic", epsilon, None, candidates=compared.table)
    potential = cast_floats(Preconditioned.in_coordinates(compared.potential, coordinates), z.dtype)
    solution = Solution[AbstractMap](GradientMap(potential), compared.result, compared.stats)
    return GeneratorFit(solution, law, "isotropic", None, None, candidates=compared.table)


def _flowed(
    z: np.ndarray,
    sound: np.ndarray,
    choice: Choice,
    settings: GeneratorSettings,
    tell: ProgressCallback,
    weights: RowWeights,
) -> GeneratorFit:
    """The map of Sinkhorn's flow."""
    tell(Progress(0, 0, "Sinkhorn"))
    seed = settings.random_state
    own = None if weights is None else weights[sound]
    law = fitted_source(choice.source, z[sound], settings.components, own, random_state=seed)
    epsilon = choice.epsilon_for(default_flow_epsilon(z, weights))
    solution = run_flow(
        z, law, settings, epsilon=epsilon, time=choice.time, callback=tell, weights=weights
    )
    return GeneratorFit(solution, law, choice.source, epsilon, choice.time, cv_results=choice.table)
