"""The result of a fit: what was kept, as a map in the units of the data."""

from brenier._solution import Solution
from brenier.estimators.candidates import Choice
from brenier.estimators.data import Pair
from brenier.maps import GradientMap, SubspaceMap
from brenier.numerics import Coordinates, cast_floats
from brenier.potentials import Preconditioned


def learned_map(
    pair: Pair, coordinates: Coordinates, choice: Choice
) -> Solution[GradientMap | SubspaceMap]:
    """The map of the chosen potential, and how its fit ended."""
    potential = Preconditioned.in_coordinates(choice.potential, coordinates)
    map: GradientMap | SubspaceMap = GradientMap(cast_floats(potential, pair.dtype))
    if pair.space is not None:
        map = pair.space.around(map)
    return Solution(map, choice.result, choice.stats)
