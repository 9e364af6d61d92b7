"""The steps of a one-shot generator: settings, scaling, source, choice by cross-validation."""

from brenier.estimators.generation._choice import choose, energy_score, run_flow
from brenier.estimators.generation._scaling import map_in_units, scaled_coordinates, source_in_units
from brenier.estimators.generation._settings import GeneratorSettings
from brenier.estimators.generation._source_law import fitted_source

__all__ = [
    "GeneratorSettings",
    "choose",
    "energy_score",
    "fitted_source",
    "map_in_units",
    "run_flow",
    "scaled_coordinates",
    "source_in_units",
]
