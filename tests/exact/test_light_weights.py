"""Weights that differ by orders of magnitude, down to less than a plan's rounding."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from brenier.exact import solve_assignment

RANDOM = np.random.default_rng(0)


def _softmax(scale, n):
    logits = scale * RANDOM.normal(size=n)
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


@pytest.mark.parametrize("scale", [1.0, 5.0, 10.0, 20.0, 100.0])
@pytest.mark.parametrize(("n", "m"), [(60, 50), (40, 40)])
def test_light_points_are_left_to_the_map(scale, n, m):
    ot = pytest.importorskip("ot")
    x, y = RANDOM.normal(size=(n, 2)), RANDOM.normal(size=(m, 2))
    a, b = _softmax(scale, n), _softmax(scale, m)
    stats = solve_assignment(x, y, a, b).stats
    cost = cdist(x, y, "sqeuclidean")
    # Rounding of sums of a hundred terms, and masses below 1e-15.
    assert stats["cost"] == pytest.approx(ot.emd2(a, b, cost), rel=1e-11)
    assert stats["dual"] == pytest.approx(stats["cost"], rel=1e-11)
    slack = cost - stats["source_potential"][:, None] - stats["target_potential"]
    assert slack.min() > -1e-11
