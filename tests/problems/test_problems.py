import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import solve_continuous_lyapunov

from brenier.numerics import gaussian_map_matrix
from brenier.problems import (
    AFFINE_DRIFT,
    BANK,
    affine,
    convex_networks,
    cosine_similarity,
    figure2,
    gaussian,
    l2_uvp,
    problem,
    radial,
    random_convex,
    separable,
)

KEY = jax.random.key(0)


def test_affine_drift_solves_its_equation():
    S = np.array([[2.0, 0.6], [0.6, 0.5]])

    def velocity(_, entries):
        A = entries.reshape(2, 2)
        G = A - np.linalg.inv(S @ A).T
        return -solve_continuous_lyapunov(S, S @ G.T + G @ S).ravel()

    times = [row[0] for row in AFFINE_DRIFT[:-1]]
    path = solve_ivp(velocity, (0.0, 4.0), np.eye(2).ravel(), t_eval=times, rtol=1e-11, atol=1e-12)
    # The table has eight decimals.
    np.testing.assert_allclose(
        path.y[[0, 1, 3]].T, [row[1:] for row in AFFINE_DRIFT[:-1]], atol=1e-8
    )
    np.testing.assert_allclose(
        affine().map.matrix[jnp.triu_indices(2)], AFFINE_DRIFT[-1][1:], atol=1e-8
    )
    np.testing.assert_allclose(affine().source.covariance, S, rtol=1e-12)


@pytest.mark.parametrize("dimension", [2, 50])
def test_gaussian_map_is_monge(dimension):
    known = gaussian(dimension, condition=30.0, seed=1)
    A = np.asarray(known.map.matrix)
    np.testing.assert_allclose(A, A.T, atol=1e-10)
    assert np.linalg.eigvalsh(A)[0] > 0
    image = A @ np.asarray(known.source.covariance) @ A
    np.testing.assert_allclose(image, known.target.covariance, atol=1e-10)
    np.testing.assert_allclose(known.map.offset, known.target.mean, atol=1e-12)
    assert abs(np.linalg.cond(A) / 30.0 - 1.0) < 1e-8


def test_radial_map_moves_along_rays():
    known = radial(3, swell=3.0, core=4.0)
    x = known.source.sample(KEY, 5)
    r = jnp.linalg.norm(x, axis=1, keepdims=True)
    exact = (r + 3.0 * r / jnp.sqrt(16.0 + r**2)) * x / r
    np.testing.assert_allclose(known.map(x), exact, rtol=1e-12)
    with pytest.raises(ValueError, match=r"swell: got -1\.0"):
        radial(2, swell=-1.0, core=1.0)


def test_separable_map_moves_each_axis_by_itself():
    known = separable(2)
    x = np.array([[0.3, -2.0], [30.0, 800.0]])
    np.testing.assert_allclose(known.map(x), x + np.array([3.0, -0.7]) * np.tanh(x), rtol=1e-12)


def test_target_density_has_mass_one():
    # The midpoint rule on a smooth density, with all but 1e-4 of the mass inside.
    side = jnp.linspace(-7.0, 7.0, 121)
    grid = jnp.stack(jnp.meshgrid(side, side), axis=-1)
    mass = jnp.sum(jnp.exp(radial(2).target.log_density(grid))) * (side[1] - side[0]) ** 2
    assert abs(float(mass) - 1.0) < 1e-3


@pytest.mark.parametrize("name", BANK)
def test_bank(name):
    known = problem(name)
    assert known.name == name
    assert known.citation
    assert known.source.has_density
    assert known.target.has_density
    assert known.source.dimension == known.target.dimension == known.dimension
    assert known.map is None or known.map.dimension == known.dimension


def test_random_convex_maps_bend_and_are_reproducible():
    known = random_convex(8, seed=5)
    x = known.source.sample(KEY, 2000)
    y = known.map(x)
    design = jnp.concatenate([x, jnp.ones((2000, 1))], axis=1)
    affine_fit = design @ jnp.linalg.lstsq(design, y)[0]
    assert 5.0 < float(l2_uvp(affine_fit, y)) < 50.0
    np.testing.assert_allclose(y[:3], random_convex(8, seed=5).map(x[:3]), rtol=1e-12)
    assert float(jnp.abs(y[:3] - random_convex(8, seed=6).map(x[:3])).max()) > 0.1


def test_figure2_is_the_mixture_of_the_paper():
    source = figure2().source
    np.testing.assert_allclose(source.weights, [0.3, 0.2, 0.3, 0.2], rtol=1e-12)
    np.testing.assert_allclose(source.means, [[-2, -2], [-1, 2], [2, -3], [2, 2]])
    np.testing.assert_allclose(source.factors[1] @ source.factors[1].T, [[0.1, 0.01], [0.01, 0.5]])


def test_metrics():
    x = jax.random.normal(KEY, (100, 3))
    y = 2.0 * x
    assert float(l2_uvp(y, y)) == 0.0
    np.testing.assert_allclose(l2_uvp(jnp.broadcast_to(y.mean(axis=0), y.shape), y), 100.0)
    np.testing.assert_allclose(cosine_similarity(x, 5.0 * x, y), 1.0)
    np.testing.assert_allclose(cosine_similarity(x, -x, y), -1.0)


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="name: got 'fig2'; wants one of affine, "):
        problem("fig2")
    with pytest.raises(ValueError, match="source: got 'uniform'"):
        random_convex(2, source="uniform")


@pytest.mark.parametrize(
    ("dimension", "least", "most"),
    [pytest.param(*case, marks=pytest.mark.slow) for case in ((2, 8.0, 25.0), (16, 33.0, 45.0))],
)
def test_convex_networks_are_as_far_from_affine_as_the_benchmark(dimension, least, most):
    """The map between Gaussians errs by 14 and 42 per cent on one pair of the benchmark each."""
    errors = []
    for seed in range(4):
        known = convex_networks(dimension, seed=seed)
        x = known.source.sample(KEY, 4000)
        y = known.map(x)
        matrix = gaussian_map_matrix(jnp.cov(x.T), jnp.cov(y.T))
        errors.append(float(l2_uvp(y.mean(axis=0) + (x - x.mean(axis=0)) @ matrix, y)))
        assert abs(x.mean()) < 0.1
        for cloud in (x, y):
            np.testing.assert_allclose(cloud.var(axis=0).sum(), dimension, rtol=0.1)
    assert least < np.mean(errors) < most


def test_convex_networks_are_monotone():
    known = convex_networks(5, seed=2)
    x = known.source.sample(KEY, 200)
    y = known.map(x)
    products = jnp.sum((x[:, None] - x) * (y[:, None] - y), axis=-1)
    assert float(products.min()) >= 0.0
