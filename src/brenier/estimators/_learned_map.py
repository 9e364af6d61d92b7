"""The result of a fit: what was kept, as a map in the units of the data."""

from typing import TypeAlias

from brenier._solution import Solution
from brenier.estimators.candidates import Choice
from brenier.estimators.data import Pair
from brenier.maps import ConjugateMap, GradientMap, SubspaceMap
from brenier.numerics import Coordinates, cast_floats
from brenier.potentials import Preconditioned

LearnedMap: TypeAlias = GradientMap | ConjugateMap | SubspaceMap


def learned_map(pair: Pair, coordinates: Coordinates, choice: Choice) -> Solution[LearnedMap]:
    """The map of the chosen potential, and how its fit ended."""
    own = pair.in_units(coordinates)
    own = own.reversed() if choice.reverse else own
    potential = cast_floats(Preconditioned.in_coordinates(choice.potential, own), pair.dtype)
    map: LearnedMap = ConjugateMap(potential) if choice.reverse else GradientMap(potential)
    if pair.space is not None:
        map = pair.space.around(map)
    return Solution(map, choice.result, choice.stats)
