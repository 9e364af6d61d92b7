"""The steps of a generator: settings, scaling, source, and what is chosen by held-out data."""

from brenier.estimators.generation._choice import energy_score
from brenier.estimators.generation._fit import fit_generator
from brenier.estimators.generation._scaling import map_in_units, scaled_coordinates, source_in_units
from brenier.estimators.generation._settings import GeneratorSettings

__all__ = [
    "GeneratorSettings",
    "energy_score",
    "fit_generator",
    "map_in_units",
    "scaled_coordinates",
    "source_in_units",
]
