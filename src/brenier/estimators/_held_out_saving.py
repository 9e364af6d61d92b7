"""What a map saves on points that were not fitted on."""

import numpy as np

from brenier.maps import AbstractMap, ConjugateMap
from brenier.numerics import RowWeights, row_mean


def held_out_saving(
    map: AbstractMap, x: np.ndarray, y: np.ndarray, a: RowWeights = None, b: RowWeights = None
) -> float:
    """½E‖X‖² + ½E‖Y‖² − J(φ) of points x (n, d), y (m, d) and their weights.

    >>> from brenier.maps import GradientMap
    >>> from brenier.potentials import Quadratic
    >>> x = np.array([[-1.0], [1.0]])
    >>> round(held_out_saving(GradientMap(Quadratic.identity(1)), x, x), 6)
    0.0
    """
    from brenier.flows import HeldOutDual

    # J is the same both ways; of a map that is a conjugate's the potential is of the way back.
    way, map = (
        ((y, x, b, a), map.inverse()) if isinstance(map, ConjugateMap) else ((x, y, a, b), map)
    )
    dual = HeldOutDual(*way)(map)
    squares = ((np.sum(z**2, axis=1), own) for z, own in ((x, a), (y, b)))
    halves = 0.5 * sum(
        z.mean(dtype=np.float64) if own is None else row_mean(z, own) for z, own in squares
    )
    return float(halves - dual)
