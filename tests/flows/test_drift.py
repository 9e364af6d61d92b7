"""The schemes against the closed form of affine maps, and against each other."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import solve_sylvester

from brenier.flows import (
    ConstrainedDrift,
    EuclideanDescent,
    FirstOrder,
    KLNewton,
    NaturalGradient,
    WassersteinNatural,
    advance,
)
from brenier.flows._gauss_newton import _conjugate_gradients, damped_step, jacobian_rows
from brenier.functionals import KL, MMD, ExactScore
from brenier.maps import GradientMap, ResidualNetwork
from brenier.measures import Gaussian
from brenier.numerics import flatten_parameters
from brenier.potentials import LogSumExp, Quadratic
from brenier.problems import affine, figure2

_AFFINE = affine()
_S = np.array([[2.0, 0.6], [0.6, 0.5]])
_POINTS = jnp.sqrt(2.0) * jnp.concatenate([_AFFINE.source.factor.T, -_AFFINE.source.factor.T])


@eqx.filter_jit
def _run(method, map, source=_AFFINE.source, target=_AFFINE.target):
    state = method.init(source, target, map, key=jax.random.key(0))
    return method.current_map(advance(method, state, source, target, method.steps))


def _exact(scheme, step_size, steps, inner=8):
    return ConstrainedDrift(
        functional=KL(ExactScore()),
        scheme=scheme,
        step_size=step_size,
        steps=steps,
        oracle=NaturalGradient(steps=inner, damping=1e-8),
        points=_POINTS,
    )


def _matrix(method):
    return np.asarray(_run(method, GradientMap(Quadratic.identity(2))).potential.matrix)


def _projected_velocity(a):
    """−P of the case in closed form, Theory (1.12), by scipy's Sylvester solver."""
    g = a - np.linalg.inv(a) @ np.linalg.inv(_S)
    return -solve_sylvester(_S, _S, g @ _S + _S @ g.T)


def test_explicit_scheme_is_euler_of_the_closed_form():
    a = np.eye(2)
    for _ in range(10):
        a = a + 0.05 * _projected_velocity(a)
    # The inner problem is solved to the square root of rounding.
    np.testing.assert_allclose(_matrix(_exact("explicit", 0.05, 10)), a, atol=1e-7)


def test_implicit_scheme_is_backward_euler_of_the_closed_form():
    # The oracle leaves out F's own curvature, so its steps gain a factor of about 1/τ each.
    a = _matrix(_exact("implicit", 0.1, 1, inner=30))
    np.testing.assert_allclose(a - 0.1 * _projected_velocity(a), np.eye(2), atol=1e-6)


@pytest.mark.parametrize("scheme", ["explicit", "implicit"])
def test_schemes_are_of_first_order(scheme):
    table = np.array([[0.83969022, -0.32523057], [-0.32523057, 1.65276665]])
    coarse, fine = (
        np.abs(_matrix(_exact(scheme, tau, round(1 / tau))) - table).max() for tau in (0.02, 0.01)
    )
    assert 0.9 < np.log2(coarse / fine) < 1.1


@pytest.mark.slow
def test_wasserstein_natural_gradient_follows_the_ornstein_uhlenbeck_flow():
    errors = []
    for tau in (0.02, 0.01):
        method = WassersteinNatural(
            functional=KL(ExactScore()),
            step_size=tau,
            steps=round(0.5 / tau),
            bumps=0,
            points=_POINTS,
            damping=1e-12,
        )
        a = _matrix(method)
        errors.append(np.abs(a @ _S @ a - (np.eye(2) + np.exp(-1.0) * (_S - np.eye(2)))).max())
    assert errors[1] < 0.005
    assert 0.9 < np.log2(errors[0] / errors[1]) < 1.1


def test_newton_on_the_kl_finds_the_gaussian_map():
    method = KLNewton(steps=15, damping=1e-6, points=_POINTS)
    np.testing.assert_allclose(_matrix(method), _AFFINE.map.matrix, atol=1e-8)


@pytest.mark.slow
def test_dense_and_matrix_free_steps_agree():
    key = jax.random.key(1)
    map = GradientMap(LogSumExp.identity(key, 2, 6))
    x = jax.random.normal(key, (40, 2))
    field = jnp.sin(x)
    flat, rebuild = flatten_parameters(map)
    scale = 1.0 / jnp.sqrt(40.0)
    rows = scale * jacobian_rows(map, x)
    # Heavy damping with an exact diagonal: let the probes' estimate be the only difference.
    dense, predicted = damped_step(rows, scale * field.ravel(), jnp.asarray(1e-4))
    free, free_predicted = jax.jit(
        lambda flat: _conjugate_gradients(
            flat, lambda p: scale * rebuild(p)(x), scale * field, jnp.asarray(1e-4)
        )
    )(flat)
    fit = scale * field.ravel() + rows @ dense
    free_fit = scale * field.ravel() + rows @ free
    # Both minimise the same least squares but for a ridge of 1e-4.
    assert abs(float(fit @ fit) / float(free_fit @ free_fit) - 1.0) < 0.02
    assert float(predicted) > 0
    assert abs(float(free_predicted / predicted) - 1.0) < 0.02


@pytest.mark.slow
def test_the_dual_form_gives_the_same_step():
    key = jax.random.key(2)
    wide = jax.random.normal(key, (5, 9))
    residual = jnp.arange(5.0)
    step, _ = damped_step(wide, residual, jnp.asarray(0.1))
    # The same problem with rows of zeros is taller than wide, and goes through the normal matrix.
    tall = jnp.concatenate([wide, jnp.zeros((10, 9))])
    other, _ = damped_step(tall, jnp.concatenate([residual, jnp.zeros(10)]), jnp.asarray(0.3))
    np.testing.assert_allclose(step, other, rtol=1e-10)


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(
            ConstrainedDrift(scheme="implicit", steps=4, particles=60), marks=pytest.mark.slow
        ),
        ConstrainedDrift(steps=3, particles=60, oracle=FirstOrder(30, 0.05)),
        pytest.param(
            ConstrainedDrift(functional=MMD(), step_size=2.0, steps=6, particles=60),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            EuclideanDescent(learning_rate=0.02, steps=60, particles=60), marks=pytest.mark.slow
        ),
    ],
    ids=["implicit", "first-order", "mmd", "adam"],
)
def test_every_method_comes_closer(method):
    from brenier.numerics import energy_distance_squared

    problem = figure2()
    start = GradientMap(LogSumExp.identity(jax.random.key(3), 2, 12, scale=2.5))
    x = problem.source.sample(jax.random.key(4), 1000)
    y = problem.target.sample(jax.random.key(5), 1000)
    after = _run(method, start, problem.source, problem.target)
    assert energy_distance_squared(after(x), y) < 0.5 * energy_distance_squared(start(x), y)


@pytest.mark.slow
def test_an_unconstrained_network_is_trained_by_the_same_scheme():
    source, target = Gaussian.standard(2), Gaussian(jnp.array([1.0, -1.0]), 0.25 * jnp.eye(2))
    start = ResidualNetwork.identity(jax.random.key(6), 2, (16,))
    method = ConstrainedDrift(functional=MMD(), step_size=1.0, steps=15, particles=80)
    y = _run(method, start, source, target)(source.sample(jax.random.key(7), 2000))
    # Five standard errors of a mean of 2,000, and what 15 steps of 80 particles leave.
    np.testing.assert_allclose(y.mean(axis=0), target.mean, atol=0.2)


def test_step_sizes_fall_geometrically():
    method = ConstrainedDrift(step_size=0.4, final_step_size=0.1, steps=3)
    sizes = [float(method._step_size(jnp.asarray(k))) for k in range(3)]
    np.testing.assert_allclose(sizes, [0.4, 0.2, 0.1], rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: ConstrainedDrift(scheme="midpoint"), "scheme"),
        (lambda: ConstrainedDrift(step_size=-1.0), "step_size"),
        (lambda: ConstrainedDrift(steps=0), "steps"),
        (lambda: FirstOrder(name="adagrad"), "optimiser"),
        (lambda: EuclideanDescent(learning_rate=0.0), "learning_rate"),
        (lambda: WassersteinNatural(damping=0.0), "damping"),
    ],
)
def test_configuration_is_checked(make, name):
    with pytest.raises(ValueError, match=name):
        make()


def test_newton_wants_a_gradient_and_a_density():
    method = KLNewton()
    network = ResidualNetwork.identity(jax.random.key(0), 2, (4,))
    with pytest.raises(ValueError, match="initial: got ResidualNetwork"):
        method.init(_AFFINE.source, _AFFINE.target, network, key=jax.random.key(0))


@pytest.mark.slow
def test_seeds_under_vmap_are_a_loop():
    method = ConstrainedDrift(steps=2, particles=16)
    source, target, start = _AFFINE.source, _AFFINE.target, GradientMap(Quadratic.identity(2))

    def matrix(key):
        state = method.init(source, target, start, key=key)
        return method.current_map(advance(method, state, source, target, 2)).potential.matrix

    keys = jax.random.split(jax.random.key(0), 3)
    at_once = np.asarray(jax.jit(jax.vmap(matrix))(keys))
    np.testing.assert_allclose(at_once, [jax.jit(matrix)(key) for key in keys], rtol=1e-9)
    assert np.abs(at_once[0] - at_once[1]).max() > 1e-3
