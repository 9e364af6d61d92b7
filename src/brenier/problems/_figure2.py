"""The experiment of DLV26, Figure 2."""

import numpy as np

from brenier.measures import Gaussian, GaussianMixture
from brenier.problems._problem import Problem


def figure2() -> Problem:
    """A mixture of four Gaussians in the plane to N(0, I); no closed form for the map.

    >>> [round(entry, 9) for entry in figure2().source.mean.tolist()]
    [0.2, -0.7]
    """
    source = GaussianMixture(
        np.array([0.3, 0.2, 0.3, 0.2]),
        2.0 * np.array([[-1.0, -1.0], [-0.5, 1.0], [1.0, -1.5], [1.0, 1.0]]),
        np.array(
            [
                [[0.10, 0.06], [0.06, 0.10]],
                [[0.10, 0.01], [0.01, 0.50]],
                [[0.10, 0.03], [0.03, 0.10]],
                [[0.10, 0.00], [0.00, 0.10]],
            ]
        ),
    )
    return Problem("figure2", source, Gaussian.standard(2), None, "DLV26, Figure 2")
