"""Monotone maps from quantiles: exact maps between laws, atoms, and the ends."""

import numpy as np
import pytest
from scipy import stats

from brenier.potentials.host import fit_separable, host_conjugates

ONE = np.eye(1)


def _levels(n):
    return (np.arange(n) + 0.5) / n


def _fit(x, y, blocks=150):
    return fit_separable(x[:, None], y[:, None], ONE, blocks)


def _map(potential, x):
    return potential.expand(np.asarray(x)[:, None]).gradient[:, 0]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (stats.norm(), stats.norm(3.0, 2.0)),
        (stats.norm(), stats.expon()),
        (stats.expon(), stats.norm()),
        (stats.uniform(), stats.expon()),
        (stats.lognorm(0.7), stats.norm(0.0, 0.5)),
    ],
    ids=["affine", "normal to exponential", "back", "uniform", "lognormal"],
)
def test_exact_quantiles_give_the_exact_map_and_more_blocks_more_of_it(source, target):
    """Piecewise linear between block means: of second order in the blocks' width."""
    x, y = (law.ppf(_levels(20_000)) for law in (source, target))
    middle = source.ppf(np.linspace(0.1, 0.9, 200))
    exact = target.ppf(np.linspace(0.1, 0.9, 200))
    errors = []
    for blocks in (10, 20, 40, 80):
        found = _map(_fit(x, y, blocks), middle)
        errors.append(np.abs(found - exact).max() / target.std())
    # What stays is 1 % of a straight line, which keeps slopes away from 0.
    assert errors[-1] < 0.02
    assert errors[-1] <= errors[0] + 1e-3


def test_error_falls_with_the_square_of_the_width_of_the_blocks(monkeypatch):
    """Straight between exact quantiles: of second order in their distance."""
    monkeypatch.setattr("brenier.potentials.host._separable._LEAST_SLOPE", 0.0)
    levels = np.linspace(0.2, 0.8, 400)
    exact, at = stats.expon().ppf(levels), stats.norm().ppf(levels)
    sizes = [16, 32, 64, 128]
    errors = []
    for n in sizes:
        x, y = (law.ppf(_levels(n)) for law in (stats.norm(), stats.expon()))
        errors.append(np.abs(_map(_fit(x, y, n), at) - exact).mean())
    assert 1.8 < -np.polyfit(np.log(sizes), np.log(errors), 1)[0] < 2.2


def test_error_falls_as_one_over_the_root_of_the_points():
    random = np.random.default_rng(0)
    levels = np.linspace(0.1, 0.9, 50)
    means = []
    sizes = np.array([100, 400, 1600])
    for n in sizes:
        errors = []
        for _ in range(20):
            potential = _fit(random.normal(size=n), random.exponential(size=n), 25)
            found = _map(potential, stats.norm().ppf(levels))
            errors.append(np.mean((found - stats.expon().ppf(levels)) ** 2))
        means.append(np.sqrt(np.mean(errors)))
    order = -np.polyfit(np.log(sizes), np.log(means), 1)[0]
    # One half, down to the bias of 25 blocks and of the least slope.
    assert 0.4 < order < 0.6


def test_the_affine_map_is_exact_up_to_rounding():
    random = np.random.default_rng(1)
    x = random.gamma(2.0, size=400)
    # Equal blocks on both sides are averages of the same points; the ends take the root of 2.
    inside = np.linspace(*np.quantile(x, [0.02, 0.98]), 50)
    for slope in (1.0, 2.0):
        found = _map(_fit(x, slope * x - 3.0), inside)
        # 1 % of a line of slope 1 takes the place of as much of the map.
        expected = slope * inside - 3.0
        np.testing.assert_allclose(found, expected, atol=0.01 * abs(slope - 1) * np.ptp(x) + 1e-9)


@pytest.mark.parametrize("n", [2, 3, 7, 50, 1000])
@pytest.mark.parametrize("m", [2, 5, 333])
def test_means_are_kept_and_maps_increase_whatever_the_numbers_of_points(n, m):
    random = np.random.default_rng(n + m)
    x, y = random.normal(size=n), random.normal(5.0, 3.0, size=m)
    potential = _fit(x, y, 25)
    assert (np.diff(potential.knots) > 0).all()
    assert (np.diff(potential.images) > 0).all()
    assert (potential.ends >= 0.5).all()
    assert (potential.ends <= 2.5).all()
    moved = _map(potential, x)
    # Between knots the map is straight, so single points of a block may miss their own mean.
    assert abs(moved.mean() - y.mean()) < 0.5 * y.std() + 1e-9


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_an_atom_goes_to_the_median_of_its_share(share):
    """A share of zeros, the rest positive: zeros take the lowest share of the target."""
    n = 2000
    zeros = int(share * n)
    positive = 1.0 + stats.expon().ppf(_levels(n - zeros))
    x, y = np.concatenate([np.zeros(zeros), positive]), stats.norm().ppf(_levels(n))
    potential = _fit(x, y)
    median = stats.norm().ppf(0.5 * share)
    # To a block of quantiles, at the density of the target there, and 1 % of a straight line.
    assert _map(potential, [0.0])[0] == pytest.approx(median, abs=0.03)
    rest = np.sort(_map(potential, positive))
    expected = stats.norm().ppf(share + (1.0 - share) * _levels(n - zeros))
    inner = slice(len(rest) // 10, -len(rest) // 10)
    np.testing.assert_allclose(rest[inner], expected[inner], atol=0.05)


def test_a_target_with_an_atom_is_reached_almost_flat():
    n = 2000
    y = np.concatenate([np.zeros(n // 2), 1.0 + stats.expon().ppf(_levels(n // 2))])
    x = stats.norm().ppf(_levels(n))
    potential = _fit(x, y)
    inside = stats.norm().ppf(np.linspace(0.05, 0.45, 30))
    # 1 % of a line through the means.
    assert np.abs(_map(potential, inside)).max() < 0.05
    assert (np.diff(_map(potential, np.linspace(-3.0, 3.0, 200))) > 0).all()


def test_the_map_between_atoms_can_be_inverted():
    random = np.random.default_rng(0)
    x = np.where(random.random((500, 2)) < 0.4, 0.0, random.exponential(size=(500, 2)))
    y = np.where(random.random((400, 2)) < 0.7, 0.0, random.exponential(size=(400, 2)))
    axes = np.array([[1.0, 0.4], [0.1, 1.0]])
    potential = fit_separable(x, y, axes, 150)
    moved = potential.expand(x).gradient
    back = host_conjugates(potential, moved, tolerance=1e-9, steps=200).points
    np.testing.assert_allclose(potential.expand(back).gradient, moved, atol=1e-6)
    # The least slope is 1 %, so residuals of 1e-9 grow a hundredfold.
    np.testing.assert_allclose(back, x, atol=1e-5)


def test_axes_are_those_of_the_independent_coordinates():
    """x = B⁻¹z and y = Bᵀw with w_i a monotone map of z_i: the potential's gradient is that map."""
    random = np.random.default_rng(0)
    axes = np.array([[1.0, 0.5], [-0.4, 1.2]])
    z = random.normal(size=(3000, 2))
    w = np.stack([np.exp(0.5 * z[:, 0]), z[:, 1] + np.tanh(z[:, 1])], axis=1)
    x, y = np.linalg.solve(axes, z.T).T, w @ axes
    potential = fit_separable(x, y, axes, 150)
    inner = (np.abs(z) < 1.5).all(axis=1)
    error = potential.expand(x).gradient - y
    # 1 % of a straight line, and pieces of a width of 1/150.
    assert np.abs(error[inner]).max() < 0.05 * y.std()


def test_shift_and_scale():
    random = np.random.default_rng(0)
    x, y = random.gamma(1.0, size=(2, 300))
    base, scaled = _fit(x, y, 25), _fit(1e6 * x + 7e6, 1e6 * y - 3e6, 25)
    at = np.linspace(-0.5, 6.0, 40)
    np.testing.assert_allclose(
        _map(scaled, 1e6 * at + 7e6), 1e6 * _map(base, at) - 3e6, rtol=1e-7, atol=1e-1
    )
