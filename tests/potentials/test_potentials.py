import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from brenier.potentials import ICNN, LogSumExp, MaxAffine, Preconditioned, Quadratic

KEY = jax.random.key(0)
X = jax.random.normal(jax.random.key(1), (200, 3))
RNG = np.random.default_rng(0)


@eqx.filter_jit
def _gradient(phi, x):
    return phi.gradient(x)


def test_quadratic():
    matrix = jnp.array([[2.0, 0.5], [0.5, 1.0]])
    phi = Quadratic.from_matrix(matrix, jnp.array([1.0, -1.0]), floor=0.3)
    x = jnp.array([0.7, -0.2])
    np.testing.assert_allclose(phi(x), 0.5 * x @ matrix @ x + 0.9, rtol=1e-14)
    np.testing.assert_allclose(phi.matrix, matrix, rtol=1e-14)
    np.testing.assert_allclose(phi.strong_convexity(), np.linalg.eigvalsh(matrix)[0], rtol=1e-14)


def test_log_sum_exp_and_its_limit():
    slopes, offsets = RNG.normal(size=(4, 3)), RNG.normal(size=4)
    a, b = jnp.asarray(slopes), jnp.asarray(offsets)
    soft = LogSumExp(a, b, jnp.log(0.2), jnp.log(0.5))
    affine = np.asarray(X) @ slopes.T + offsets
    quadratic = 0.25 * np.sum(np.asarray(X) ** 2, axis=1)
    exact = 0.2 * logsumexp(affine / 0.2, axis=1) + quadratic
    np.testing.assert_allclose(soft(X), exact, rtol=1e-12)
    hard = MaxAffine(a, b, jnp.log(0.5))
    np.testing.assert_allclose(hard(X), affine.max(axis=1) + quadratic, rtol=1e-12)
    # 0 <= soft - hard <= ε log k.
    gap = LogSumExp(a, b, jnp.log(1e-6), jnp.log(0.5))(X) - hard(X)
    assert float(gap.min()) >= -1e-14
    assert float(gap.max()) <= 1e-6 * np.log(4.0)


@pytest.mark.parametrize(
    ("phi", "error"),
    [
        # Relative L² distance of ∇φ to the identity on N(0, I); an anchor's cell for the first two.
        (lambda d: LogSumExp.identity(KEY, d, 200, scale=1.5), 0.35),
        (lambda d: MaxAffine.identity(KEY, d, 200, scale=1.5), 0.5),
        (lambda d: ICNN.identity(KEY, d, (64, 64)), 0.15),
        (lambda d: ICNN.identity(KEY, d, (16,), activation="squareplus"), 0.15),
        (lambda d: ICNN.identity(KEY, d, (16,), pieces=20, sharpness=2.0), 0.15),
        (lambda d: Quadratic.identity(d, floor=0.5), 1e-15),
    ],
)
def test_starts_near_the_identity(phi, error):
    image = _gradient(phi(3), X)
    assert float(jnp.linalg.norm(image - X) / jnp.linalg.norm(X)) <= error


def test_icnn_is_its_formula_with_unequal_widths():
    phi = ICNN.identity(KEY, 2, (5, 3), activation="squareplus")
    x = np.array([0.4, -1.1])

    def softplus(t):
        return np.logaddexp(0.0, np.asarray(t))

    def sigma(t):
        return 0.5 * (t + np.sqrt(t**2 + 1.0))

    z = sigma(phi.inputs[0] @ x + phi.biases[0])
    z = sigma(softplus(phi.hidden[0]) @ z + phi.inputs[1] @ x + phi.biases[1])
    skip = np.sum((np.asarray(phi.factor) @ x) ** 2)
    modulus = phi.floor + np.exp(phi.log_modulus)
    exact = softplus(phi.output) @ z + 0.5 * skip + 0.5 * modulus * x @ x + phi.linear @ x
    np.testing.assert_allclose(phi(jnp.asarray(x)), exact, rtol=1e-13)


def test_icnn_with_quadratic_layers_is_its_formula_and_convex():
    r = np.random.default_rng(0)
    inputs, bends = r.normal(size=(2, 5, 3)), r.normal(size=(2, 5, 3))
    biases, hidden, output = r.normal(size=(2, 5)), r.normal(size=(5, 5)), r.normal(size=5)
    phi = ICNN(
        tuple(map(jnp.asarray, inputs)), tuple(map(jnp.asarray, biases)), (jnp.asarray(hidden),),
        jnp.asarray(output), jnp.zeros(3), jnp.zeros((1, 3)), jnp.asarray(0.0),
        activation="celu", quadratic=tuple(map(jnp.asarray, bends)),
    )  # fmt: skip

    def positive(z):
        return np.log1p(np.exp(z))

    def celu(z):
        return np.where(z > 0, z, np.expm1(np.minimum(z, 0)))

    def value(x):
        first, second = (
            w @ x + b + 0.5 * (a @ x) ** 2 for w, b, a in zip(inputs, biases, bends, strict=True)
        )
        z = celu(positive(hidden) @ celu(first) + second)
        return positive(output) @ z + 0.5 * 1.001 * x @ x

    x = r.normal(size=(20, 3))
    np.testing.assert_allclose(phi(x), [value(point) for point in x], rtol=1e-12)
    for point in x:
        assert np.linalg.eigvalsh(jax.hessian(phi.value)(jnp.asarray(point)))[0] > 1.0
    with pytest.raises(ValueError, match="quadratic: got 1 layers; wants none or 2"):
        eqx.tree_at(lambda p: p.quadratic, phi, phi.quadratic[:1]).__check_init__()


def test_preconditioned_gradient_in_its_coordinates():
    M = jnp.array([[2.0, 1.0], [0.0, 0.5]])
    psi = LogSumExp.identity(KEY, 2, 8)
    phi = Preconditioned(psi, M, jnp.array([5.0, 1.0]), jnp.array([-3.0, 2.0]), jnp.array(4.0))
    x = jax.random.normal(KEY, (6, 2))
    np.testing.assert_allclose(
        phi.encode_target(_gradient(phi, x)),
        _gradient(psi, phi.encode_source(x)),
        rtol=1e-12,
        atol=1e-12,
    )
    smallest = np.linalg.eigvalsh(np.asarray(M.T @ M))[0]
    np.testing.assert_allclose(
        phi.strong_convexity(), smallest * psi.strong_convexity(), rtol=1e-12
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: LogSumExp.identity(KEY, 2, 5, strong_convexity=0.0),
            r"strong_convexity: got 0\.0",
        ),
        (
            lambda: MaxAffine.identity(KEY, 2, 5, strong_convexity=1.0),
            r"strong_convexity: got 1\.0",
        ),
        (lambda: ICNN.identity(KEY, 2, ()), r"widths: got \(\)"),
        (lambda: ICNN.identity(KEY, 2, pieces=-1), "pieces: got -1"),
        (lambda: Quadratic(jnp.eye(2), jnp.zeros(2), -1.0), r"floor: got -1\.0"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()
