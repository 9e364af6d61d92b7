"""The result of a fit: what was kept, as a map in the units of the data."""

from collections.abc import Sequence

from brenier._solution import Solution
from brenier.estimators.candidates import Fit, Selection
from brenier.estimators.data import Pair
from brenier.maps import GradientMap, SubspaceMap
from brenier.numerics import Coordinates, cast_floats
from brenier.potentials import Preconditioned


def learned_map(
    pair: Pair, coordinates: Coordinates, fits: Sequence[Fit], selection: Selection
) -> Solution[GradientMap | SubspaceMap]:
    """The map of the kept potential, and how the fits ended.

    Result and stats are those of the last fit, the most elaborate one, whichever was kept.
    """
    potential = Preconditioned.in_coordinates(selection.potential, coordinates)
    map: GradientMap | SubspaceMap = GradientMap(cast_floats(potential, pair.dtype))
    if pair.space is not None:
        map = pair.space.around(map)
    stats, gain = fits[-1].stats, selection.gain
    if gain is not None:
        stats = {**stats, "gain": gain.value, "gain_stderr": gain.stderr}
    return Solution(map, fits[-1].result, stats)
