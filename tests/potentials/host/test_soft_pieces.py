"""Soft pieces: derivatives in the parameters, and Gauss-Newton on the semi-dual."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier.potentials import LogSumExp, minimise_semi_dual
from brenier.potentials.host import (
    HostQuadratic,
    SoftPieces,
    compiled,
    fit_soft_pieces,
    host_conjugates,
)

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(60, 2))


def _pieces(groups, pieces, rank, anchored):
    random = np.random.default_rng(1)
    return SoftPieces(
        random.normal(size=(groups, pieces, 2)),
        0.3 * random.normal(size=(groups, pieces)),
        0.3 * random.normal(size=groups) - 0.5,
        0.5 * random.normal(size=(rank, 2)),
        random.normal(size=2),
        np.array([-0.8]),
        anchored,
        np.full(2, 6.0),
    )


FORMS = {
    "soft maximum": (1, 5, 2, False),
    "soft maximum without a quadratic": (1, 5, 0, False),
    "ridges": (4, 1, 2, True),
    "ridges without a quadratic": (4, 1, 0, True),
    "anchored soft maxima": (3, 4, 2, True),
}


@pytest.mark.parametrize("form", FORMS)
def test_slopes_in_the_parameters_are_those_of_differences(form):
    potential = _pieces(*FORMS[form])
    theta, h = potential.parameters, 1e-5
    mean, slopes = potential.mean_slope(X), potential.slopes_of_gradient(X)
    assert mean.shape == theta.shape
    assert slopes.shape == (*X.shape, theta.size)
    for k in range(theta.size):
        step = h * np.eye(theta.size)[k]
        ahead, behind = potential.at(theta + step), potential.at(theta - step)
        # h² of the third derivative, and rounding over h.
        difference = (ahead.value(X).mean() - behind.value(X).mean()) / (2 * h)
        np.testing.assert_allclose(mean[k], difference, rtol=1e-7, atol=1e-8)
        difference = (ahead.expand(X).gradient - behind.expand(X).gradient) / (2 * h)
        np.testing.assert_allclose(slopes[:, :, k], difference, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("form", FORMS)
def test_gradient_and_hessian_are_those_of_differences(form):
    potential, h = _pieces(*FORMS[form]), 1e-5
    found = potential.expand(X)
    for j in range(2):
        step = h * np.eye(2)[j]
        ahead, behind = potential.expand(X + step), potential.expand(X - step)
        difference = (ahead.value - behind.value) / (2 * h)
        np.testing.assert_allclose(found.gradient[:, j], difference, rtol=1e-7, atol=1e-8)
        difference = (ahead.gradient - behind.gradient) / (2 * h)
        np.testing.assert_allclose(found.hessian[:, :, j], difference, rtol=1e-6, atol=1e-7)


def test_parameters_go_round_and_stay_within_their_bounds():
    potential = _pieces(3, 4, 2, True)
    again = potential.at(potential.parameters)
    np.testing.assert_array_equal(again.parameters, potential.parameters)
    wild = potential.at(potential.parameters + 1e6)
    assert (np.abs(wild.slopes) <= potential.steepest).all()
    assert np.exp(wild.log_epsilon).max() < 31.0
    assert np.exp(wild.log_modulus).max() < 31.0


def _dual(potential, x, y):
    found = host_conjugates(potential, y, tolerance=1e-8, steps=200)
    return potential.value(x).mean() + found.values.mean()


@pytest.fixture(scope="module")
def clouds():
    random = np.random.default_rng(2)
    x, other = random.normal(size=(2, 300, 2))
    return x, other + 0.5 * np.tanh(2.0 * other)


@pytest.mark.parametrize("form", ["soft maximum", "ridges"])
def test_a_fit_lowers_the_dual_below_that_of_the_gaussian_map(form, clouds):
    """From a random start, and never above where it starts."""
    start = _pieces(*FORMS[form])
    ends = [_dual(fit_soft_pieces(start, *clouds, steps=n), *clouds) for n in (0, 5, 25)]
    assert ends[0] == pytest.approx(_dual(start, *clouds))
    assert ends[0] > ends[1] >= ends[2]
    assert ends[2] < _dual(HostQuadratic.identity(2), *clouds)


@pytest.mark.slow
def test_gauss_newton_reaches_what_the_compiled_one_reaches(clouds):
    x, y = clouds
    start = _pieces(1, 6, 0, False)
    start = start.at(np.concatenate([start.parameters[:-3], [0.0, 0.0], [-0.5]]))
    fit = fit_soft_pieces(start, x, y, steps=60)
    potential = compiled(start)
    assert isinstance(potential, LogSumExp)
    other = minimise_semi_dual(potential, jnp.asarray(x), jnp.asarray(y), steps=60)
    # Either ends where steps gain less than 3e-5 of the variance; both may be in other optima.
    spread = y.var(axis=0).sum()
    assert _dual(fit, x, y) - float(other.value) < 2e-3 * spread


def test_ridges_find_a_map_of_ridges():
    """A cloud and its own image under a sum of hinges: the dual falls to ⟨x, T(x)⟩."""
    random = np.random.default_rng(3)
    truth = _pieces(2, 1, 2, True)
    x = random.normal(size=(400, 2))
    y = truth.expand(x).gradient
    away = truth.at(truth.parameters + 0.2 * random.normal(size=truth.parameters.size))
    fit = fit_soft_pieces(away, x, y, steps=60)
    least = np.mean(np.sum(x * y, axis=1))
    start, end = (_dual(potential, x, y) - least for potential in (away, fit))
    assert 0.0 <= end < 0.02 * start
    error = np.mean(np.sum((fit.expand(x).gradient - y) ** 2, axis=1)) / y.var(axis=0).sum()
    assert error < 1e-3


def test_a_step_that_overflows_is_refused(clouds):
    """Offsets of 1e6 at the start: a fit of finite dual, or the start, and no warning."""
    start = _pieces(1, 5, 2, False)
    far = SoftPieces(start.slopes, 1e6 * start.offsets, *(getattr(start, name) for name in _OTHERS))
    fit = fit_soft_pieces(far, *clouds, steps=10)
    assert np.isfinite(_dual(fit, *clouds))


_OTHERS = ("log_epsilon", "factor", "linear", "log_modulus", "anchored", "steepest")


@pytest.mark.slow
def test_derivatives_agree_with_jax():
    """The same parameters through the compiled potential, differentiated by JAX."""
    potential = _pieces(1, 5, 0, False)

    def by_jax(slopes, offsets):
        soft = compiled(potential)
        moved = LogSumExp(slopes + soft.slopes, offsets, soft.log_temperature, soft.log_modulus)
        return jnp.mean(moved(jnp.asarray(X)))

    slopes, offsets = jax.grad(by_jax, (0, 1))(jnp.zeros((5, 2)), jnp.asarray(potential.offsets[0]))
    mean = potential.mean_slope(X)
    np.testing.assert_allclose(mean[:10], np.ravel(slopes), rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(mean[10:15], offsets, rtol=1e-11, atol=1e-12)
