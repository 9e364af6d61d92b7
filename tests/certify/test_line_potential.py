import jax
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from brenier import audit
from brenier.certify._line_potential import LinePotential
from brenier.measures import Gaussian

_VALUES = st.lists(st.integers(-20, 20), min_size=2, max_size=12)


@settings(deadline=None, max_examples=50)
@given(_VALUES, _VALUES, st.integers(0, 2**31))
@example([0, 11], [-11, -12], 0)  # so flat beyond its knots that slopes in sight are far off
def test_the_gap_is_the_value_of_the_conjugate_pair(xs, ys, seed):
    """Against φ* by the supremum over a fine grid; ties, kinks and flat pieces included."""
    n = min(len(xs), len(ys))
    potential = LinePotential.rearranging(np.array(xs[:n], float), np.array(ys[:n], float), 1.3)
    random = np.random.default_rng(seed)
    x, y = random.uniform(-25, 25, size=(2, 40))
    gaps = potential.gaps(x, y)
    assert (gaps >= 0).all()
    # Far enough beyond the first and the last knot for every slope in sight.
    low, high = potential.x[[0, -1]] + np.array([-60.0, 60.0]) / np.array(potential.slopes)
    ends = -400.0, 400.0
    ranges = [np.linspace(*pair, 20_001) for pair in ((low, ends[0]), ends, (ends[1], high))]
    # The knots are where the integrand bends: with them the trapezoid rule is exact.
    grid = np.unique(np.concatenate([*ranges, x, potential.x]))
    slopes = potential.gradient(grid[:, None])[:, 0]
    assert (np.diff(slopes) >= -1e-9).all()
    # Jumps of φ' lie at knots; the midpoint of each interval is inside a straight piece.
    middle = potential.gradient((0.5 * (grid[1:] + grid[:-1]))[:, None])[:, 0]
    value = np.concatenate([[0.0], np.cumsum(np.diff(grid) * middle)])
    conjugate = np.max(grid * y[:, None] - value, axis=1)
    expected = np.interp(x, grid, value) + conjugate - x * y
    spacing, steepest = 0.04, max(potential.slopes[1], potential.slopes[0], 50.0)
    np.testing.assert_allclose(gaps, expected, rtol=1e-7, atol=0.5 * steepest * spacing**2)


def test_points_on_the_curve_have_no_gap():
    x = np.random.default_rng(0).normal(size=500)
    potential = LinePotential.rearranging(x, np.sinh(x), 1.0)
    np.testing.assert_allclose(potential.gaps(x, np.sinh(x)), 0.0, atol=1e-12)
    np.testing.assert_allclose(potential.gradient(x[:, None])[:, 0], np.sinh(x), rtol=1e-12)


@pytest.mark.parametrize(
    "map",
    [
        np.sinh,
        np.floor,
        *(pytest.param(f, marks=pytest.mark.slow) for f in (lambda x: x**3, np.exp)),
    ],
)
def test_heavy_tails_on_the_line_are_optimal(map):
    certificate = audit(map, Gaussian.standard(1), key=jax.random.key(1), budget=0.1)
    assert certificate.verdict.optimality == "optimal"
    assert certificate.defect.potential == "monotone rearrangement"


def test_a_decreasing_map_with_heavy_tails_is_bounded_closely():
    """−x³: x³ is optimal, so that D = 4 E X⁴ = 12, and 98 % of that within 3.5 deviations."""
    certificate = audit(lambda x: -(x**3), Gaussian.standard(1), key=jax.random.key(0), budget=0.1)
    defect = certificate.defect
    assert defect.lower < 12.0 < defect.upper
    assert defect.lower > 0.75 * 12.0
    assert defect.upper < 1.2 * 12.0


@pytest.mark.parametrize("d", [1, 2])
def test_a_map_to_one_point_is_optimal(d):
    x = np.random.default_rng(0).normal(size=(1000, d))
    certificate = audit(lambda x: 0.0 * x + 7.0, x, key=jax.random.key(0), budget=0.1)
    assert certificate.verdict.optimality == "optimal"
    assert certificate.defect.upper < 1e-4 * certificate.cost.value
