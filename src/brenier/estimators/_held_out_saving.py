"""What a map saves on points that were not fitted on."""

import numpy as np

from brenier._types import RowWeights
from brenier.maps import AbstractMap, ConjugateMap
from brenier.numerics import row_mean


def held_out_saving(
    map: AbstractMap, source: tuple[np.ndarray, RowWeights], target: tuple[np.ndarray, RowWeights]
) -> float:
    """½E‖X‖² + ½E‖Y‖² − J(φ) of points (n, d), (m, d) and their weights.

    >>> from brenier.maps import GradientMap
    >>> from brenier.potentials import Quadratic
    >>> x = np.array([[-1.0], [1.0]])
    >>> round(held_out_saving(GradientMap(Quadratic.identity(1)), (x, None), (x, None)), 6)
    0.0
    """
    from brenier.flows import HeldOutDual

    (x, a), (y, b) = source, target
    # J is the same both ways; of a map that is a conjugate's the potential is of the way back.
    way, map = (
        ((y, x, b, a), map.inverse()) if isinstance(map, ConjugateMap) else ((x, y, a, b), map)
    )
    dual = HeldOutDual(*way)(map)
    squares = ((np.sum(z**2, axis=1), own) for z, own in (source, target))
    halves = 0.5 * sum(
        z.mean(dtype=np.float64) if own is None else row_mean(z, own) for z, own in squares
    )
    return float(halves - dual)
