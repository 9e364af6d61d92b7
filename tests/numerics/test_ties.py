"""Points that mostly coincide have a scale all the same."""

import numpy as np
import pytest

from brenier import Generator
from brenier.numerics import default_flow_epsilon

RANDOM = np.random.default_rng(0)


def _tied(share, alike):
    points = RANDOM.normal(size=(300, 2))
    where = RANDOM.random((300, 1) if alike else (300, 2)) < share
    return np.where(where, 0.0, points)


@pytest.mark.parametrize("share", [0.5, 0.75, 0.8, 0.95])
@pytest.mark.parametrize("alike", [True, False])
def test_the_default_smoothing_is_positive_and_scales(share, alike):
    points = _tied(share, alike)
    epsilon = default_flow_epsilon(points)
    assert epsilon > 0.0
    assert default_flow_epsilon(1e6 * points + 1e6) == pytest.approx(1e12 * epsilon, rel=1e-3)


def test_points_that_all_coincide_have_none():
    with pytest.raises(ValueError, match="data: got 5 points that all coincide"):
        default_flow_epsilon(np.ones((5, 2)))


@pytest.mark.parametrize(
    ("share", "alike"),
    [
        pytest.param(0.8, True, marks=pytest.mark.slow),
        (0.8, False),
        pytest.param(0.75, False, marks=pytest.mark.slow),
    ],
)
def test_a_generator_of_tied_points(share, alike):
    points = _tied(share, alike)
    made = Generator(epsilon="rule", random_state=0).fit(points).sample(300, random_state=0)
    # A standard deviation of 300 heavy-tailed points, known to a quarter.
    np.testing.assert_allclose(made.std(axis=0), points.std(axis=0), rtol=0.25)
