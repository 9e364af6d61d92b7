"""Networks of image models in fewer digits: their products alone, and only where asked."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr

from brenier._arithmetic import own_arithmetic, products_in
from brenier.images import HostNetwork, ImageModel, UNet, UNetSettings
from brenier.images._precision import check_precision, multiplied, network_products
from brenier.io import load_model, save_model
from brenier.velocities import CosineSchedule

RANDOM = np.random.default_rng(0)


def _random(leaf):
    return leaf + 0.05 * RANDOM.normal(size=leaf.shape).astype(np.float32)


NET = UNet.random(
    jax.random.key(0), UNetSettings((8, 8, 1), width=4, multipliers=(1, 2), attention=(4,))
)
MODEL = ImageModel(jax.tree.map(_random, NET), (8, 8, 1), "v", CosineSchedule())
with own_arithmetic():
    X, HALF = jnp.asarray(RANDOM.normal(size=64)), jnp.asarray(0.5)


def _products(model):
    """The precision and the dtype of each product of matrices in the program."""
    found = []

    def walk(jaxpr):
        for equation in jaxpr.eqns:
            if equation.primitive.name in ("dot_general", "conv_general_dilated"):
                asked = equation.params["precision"]
                found.append((set(asked), equation.outvars[0].aval.dtype))
            for value in equation.params.values():
                if isinstance(value, ClosedJaxpr | Jaxpr):
                    walk(getattr(value, "jaxpr", value))

    with own_arithmetic():
        walk(jax.make_jaxpr(model)(HALF, jnp.asarray(X)).jaxpr)
    return found


@pytest.mark.parametrize(
    ("precision", "asked", "dtype"),
    [
        ("highest", lax.Precision.HIGHEST, np.float64),
        ("tf32", lax.Precision.HIGH, np.float32),
        ("bfloat16", lax.Precision.DEFAULT, jnp.bfloat16),
    ],
)
def test_every_product_of_the_network_is_as_asked(precision, asked, dtype):
    products = _products(MODEL.with_precision(precision))
    assert len(products) > 10
    assert all(one == ({asked}, dtype) for one in products)


@pytest.mark.slow
def test_what_is_around_the_network_keeps_its_digits():
    coarse = MODEL.with_precision("bfloat16")
    exact, found = MODEL(HALF, X), coarse(HALF, X)
    assert found.dtype == np.float64
    off = np.linalg.norm(found - exact) / np.linalg.norm(exact)
    # Factors of 8 bits: 2^-9 each at most, through a dozen layers.
    assert 1e-5 < off < 0.03
    # Nothing is left behind.
    with own_arithmetic():
        assert jax.config.jax_default_matmul_precision == "highest"
    np.testing.assert_array_equal(MODEL(HALF, X), exact)


def test_products_are_of_rounded_factors_and_derivatives_of_rounded_ones_too():
    # Integers up to 2^8 are bfloat16 numbers, and 257 is none.
    a, b = jnp.array([[257.0, 1.0]], jnp.float32), jnp.array([[1.0], [0.0]], jnp.float32)
    with network_products("bfloat16"):
        assert multiplied(jnp.matmul, a, b).tolist() == [[256.0]]
        slope = jax.grad(lambda b: multiplied(jnp.matmul, a, b)[0, 0])(b)
    assert slope.dtype == np.float32
    assert slope.ravel().tolist() == [256.0, 1.0]
    with network_products("tf32"):  # on a CPU, all digits
        assert multiplied(jnp.matmul, a, b).tolist() == [[257.0]]


def test_what_somebody_asks_for_is_kept_by_what_is_called_inside():
    with own_arithmetic(), products_in("tensorfloat32"), own_arithmetic():
        assert jax.config.jax_default_matmul_precision == "tensorfloat32"
    # A setting of the user's own, for other code, is not asked of brenier.
    with jax.default_matmul_precision("bfloat16"):
        assert {asked for one, _ in _products(MODEL) for asked in one} == {lax.Precision.HIGHEST}


@pytest.mark.slow
def test_the_flow_of_a_coarse_network_ends():
    coarse = MODEL.with_precision("bfloat16").encoder()
    assert coarse.tolerance == 1e-2
    assert not coarse.solve(X[None]).result.failed
    assert MODEL.encoder().tolerance == 1e-6


def test_it_is_kept_in_the_folder(tmp_path):
    save_model(tmp_path, MODEL.with_precision("tf32"))
    assert load_model(tmp_path).precision == "tf32"


@pytest.mark.parametrize(
    ("make", "phrase"),
    [
        (lambda: check_precision("half"), "precision: got 'half'; wants one of"),
        (
            lambda: ImageModel(
                HostNetwork(lambda a, x, label: x), (8, 8, 1), "v", CosineSchedule(),
                precision="tf32",
            ),
            "for a HostNetwork",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused(make, phrase):
    with pytest.raises(ValueError, match=phrase):
        make()
