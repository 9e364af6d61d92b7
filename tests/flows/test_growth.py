"""Unbalanced semi-duals beside the exact answers between Gaussians."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

import brenier
from brenier.exact import solve_unbalanced_gaussian
from brenier.flows import Growth, HeldOutDual, SemiDual
from brenier.maps import GradientMap
from brenier.measures import Gaussian
from brenier.potentials import Quadratic

PENALTIES = [(0.7, 0.7), (0.3, 2.0), (None, 0.5), (0.5, None)]
SOURCE, TARGET = (0.2, 0.9), (1.1, 0.5)  # means and standard deviations


def _exact(penalties):
    laws = [(np.array([mean]), np.array([[spread**2]])) for mean, spread in (SOURCE, TARGET)]
    solution = solve_unbalanced_gaussian(
        *laws, source_penalty=penalties[0], target_penalty=penalties[1]
    )
    matrix, offset = solution.map.matrix, solution.map.offset
    return GradientMap(Quadratic.from_matrix(matrix, offset)), solution.stats


def _held(penalties):
    """Both laws by the trapezoidal rule, which is exact to rounding."""
    nodes = [
        mean + spread * np.linspace(-8.0, 8.0, 200)[:, None] for mean, spread in (SOURCE, TARGET)
    ]
    weights = [norm(*law).pdf(x[:, 0]) for law, x in zip((SOURCE, TARGET), nodes, strict=True)]
    return HeldOutDual(*nodes, *weights, source_penalty=penalties[0], target_penalty=penalties[1])


@pytest.mark.parametrize("penalties", PENALTIES)
def test_the_dual_and_the_growth_at_the_exact_map(penalties):
    map, stats = _exact(penalties)
    held = _held(penalties)
    growth = Growth(map, held)
    assert float(growth.mass) == pytest.approx(stats["mass"], rel=1e-9)
    x = np.linspace(-1.0, 2.0, 7)[:, None]
    np.testing.assert_allclose(growth.source(x), stats["source_growth"](x), rtol=1e-7)
    np.testing.assert_allclose(growth.target(x), stats["target_growth"](x), rtol=1e-7)
    halves = 0.5 * sum(mean**2 + spread**2 for mean, spread in (SOURCE, TARGET))
    if None not in penalties:
        dual = halves + sum(penalties) * np.log(stats["mass"])
        assert float(held(map)) == pytest.approx(dual, rel=1e-9)
    # The constant of φ is left open, and the dual is least at the exact map.
    quadratic = map.potential
    for change in (0.05, -0.05):
        bent = Quadratic(quadratic.factor + change, quadratic.shift)
        moved = Quadratic(quadratic.factor, quadratic.shift + change)
        assert held(GradientMap(bent)) > held(map)
        assert held(GradientMap(moved)) > held(map)


def test_a_large_penalty_is_none():
    map, _ = _exact((0.7, 0.7))
    balanced = float(_held((None, None))(map))
    apart = [abs(float(_held((p, p))(map)) - balanced) for p in (1.0, 1e2, 1e4, 1e6)]
    assert (np.diff(apart) < 0).all()
    assert apart[-1] < 1e-5


@pytest.mark.slow
@pytest.mark.parametrize("penalties", [(0.7, 0.7), (None, 0.5)])
def test_training_reaches_the_exact_map(penalties):
    map, _ = _exact(penalties)
    laws = [Gaussian(np.array([m]), np.array([[s**2]])) for m, s in (SOURCE, TARGET)]
    method = SemiDual(
        steps=400, batch=512, learning_rate=0.02, source_penalty=penalties[0],
        target_penalty=penalties[1],
    )  # fmt: skip
    solution = brenier.solve(
        *laws, method=method, initial=GradientMap(Quadratic.identity(1)), key=jax.random.key(0),
        blocks=1,
    )  # fmt: skip
    found = solution.map.potential
    # Means over the batches of the last part of the steps: some 1e5 points.
    np.testing.assert_allclose(found.matrix, map.potential.matrix, atol=0.02)
    np.testing.assert_allclose(found.shift, map.potential.shift, atol=0.02)


@pytest.mark.parametrize("side", ["source_penalty", "target_penalty"])
@pytest.mark.parametrize("penalty", [0.0, -1.0, np.inf])
def test_a_penalty_that_is_none_is_refused(side, penalty):
    with pytest.raises(ValueError, match=f"{side}: got .*; wants a finite number above 0"):
        SemiDual(**{side: penalty})
    with pytest.raises(ValueError, match=f"{side}: got .*; wants a finite number above 0"):
        HeldOutDual(jnp.ones((2, 1)), jnp.ones((2, 1)), **{side: penalty})


def test_growth_without_a_penalty_is_refused():
    with pytest.raises(ValueError, match="held: got no penalty"):
        Growth(GradientMap(Quadratic.identity(1)), HeldOutDual(jnp.ones((2, 1)), jnp.ones((2, 1))))
