"""What a fit is handed: points, or laws that give as many as are wanted."""

import jax
import numpy as np
import pytest

from brenier.estimators.data import Layout, read_pair
from brenier.measures import Empirical, Gaussian

_POINTS = np.random.default_rng(0).normal(size=(300, 2))
_LAW = Gaussian.standard(2)
_WEIGHTED = Empirical(_POINTS, np.linspace(1.0, 2.0, 300))


@pytest.mark.parametrize(
    ("x", "y", "learnable"),
    [
        (_POINTS, _POINTS[:200], 200),
        (_LAW, _POINTS, 300),
        (_POINTS, _LAW, 300),
        (_LAW, _WEIGHTED, 289),  # atoms and their weights
        (_LAW, Gaussian.standard(2), 2**17),
    ],
    ids=["points", "from a law", "onto a law", "onto weighted points", "laws"],
)
def test_a_law_gives_points_without_end(x, y, learnable):
    layout = Layout(None, None, None)
    pair = read_pair(x, y, layout, outliers="warn", random_state=0, key=jax.random.key(0))
    assert pair.learnable == learnable
