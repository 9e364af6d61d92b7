"""The U-Net: shapes, what it is told, and what it refuses."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier.images import UNet, UNetSettings, _winograd
from brenier.images._layers import Convolution, GroupNorm, ResidualBlock

KEY = jax.random.key(0)


def shaken(net, by):
    """New networks are 0: give the layers that start there something to say."""
    random = np.random.default_rng(0)
    return jax.tree.map(lambda a: a + by * random.normal(size=a.shape).astype(np.float32), net)


@pytest.fixture(scope="module")
def net():
    """Everything at once: two resolutions, attention, classes, dropout, sides that differ."""
    settings = UNetSettings(
        (8, 12, 2), width=4, multipliers=(1, 2), attention=(4,), heads=2, dropout=0.5, classes=3
    )
    return shaken(UNet.random(KEY, settings), 0.1)


@pytest.fixture(scope="module")
def outputs(net):
    """At three noise levels and labels."""
    x = jax.random.normal(jax.random.key(1), (8, 12, 2), jnp.float32)

    @eqx.filter_jit
    def look(net, signals, labels):
        return jax.vmap(lambda a, c: net(a, x, c))(signals, labels)

    return x, look(net, jnp.array([0.1, 0.9, 0.9]), jnp.array([0, 0, 2]))


def test_it_keeps_shape_and_dtype_and_hears_what_it_is_told(outputs):
    x, found = outputs
    assert found.shape == (3, *x.shape)
    assert found.dtype == jnp.float32
    assert float(jnp.abs(found[0] - found[1]).max()) > 1e-3
    assert float(jnp.abs(found[1] - found[2]).max()) > 1e-3


def test_a_new_network_is_zero():
    net = UNet.random(KEY, UNetSettings((8, 8, 1), width=2, multipliers=(1,)))
    assert not np.any(net.head.kernel)


def direct(x, kernel):
    """A convolution as the sum over its nine shifts, in NumPy."""
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    return sum(
        padded[r : r + x.shape[0], s : s + x.shape[1]] @ kernel[r, s]
        for r in range(3)
        for s in range(3)
    )


@pytest.mark.parametrize(
    ("width", "tolerance"),
    [(12, 1e-13), *(pytest.param(15, t, marks=pytest.mark.slow) for t in (1e-13, 1e-5))],
)
def test_wide_convolutions_are_what_they_would_be_directly(width, tolerance):
    random = np.random.default_rng(width)
    x, layer = random.normal(size=(3, width, 16)), Convolution.random(random, (16, 17))
    expected = direct(x, np.asarray(layer.kernel, float))
    found = layer(jnp.asarray(x, np.float32 if tolerance > 1e-9 else np.float64))
    np.testing.assert_allclose(found, expected, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("height", [pytest.param(8, marks=pytest.mark.slow), 7])
def test_large_images_in_bands_are_what_they_would_be_directly(height, monkeypatch):
    """Two bands of four rows of each image in a batch; seven rows cannot be divided."""
    monkeypatch.setattr(_winograd, "_BAND", 4 * 12 * 16)
    random = np.random.default_rng(0)
    x, layer = random.normal(size=(2, height, 12, 16)), Convolution.random(random, (16, 17))
    expected = np.stack([direct(image, np.asarray(layer.kernel, float)) for image in x])
    found = jax.vmap(layer)(jnp.asarray(x))
    np.testing.assert_allclose(found, expected, atol=1e-13 * np.abs(expected).max())
    alone = jax.vmap(layer)(jnp.asarray(x).at[0, 0, 0].set(jnp.nan))
    np.testing.assert_array_equal(alone[1], found[1])


def test_wide_convolutions_have_the_derivatives_of_direct_ones():
    """Linear in x: the derivative along y is the convolution of y; and by transposition."""
    random = np.random.default_rng(0)
    x, y, z = (random.normal(size=(3, 12, 16)) for _ in range(3))
    layer = Convolution.random(random, (16, 16))
    along = direct(y, np.asarray(layer.kernel, float))
    _, pushed = jax.jvp(layer, (jnp.asarray(x),), (jnp.asarray(y),))
    np.testing.assert_allclose(pushed, along, atol=1e-12)
    pulled = jax.grad(lambda x: jnp.sum(z * layer(x)))(jnp.asarray(x))
    np.testing.assert_allclose(np.sum(pulled * y), np.sum(z * along), rtol=1e-12)


def test_group_norm_is_its_formula_scaled_and_shifted():
    random = np.random.default_rng(0)
    x, more, by = random.normal(2.0, 3.0, size=(5, 4, 32)), *random.normal(size=(2, 32))
    norm = shaken(GroupNorm.ones(32), 0.3)
    grouped = x.reshape(20, 4, 8)
    centred = grouped - grouped.mean(axis=(0, 2), keepdims=True)
    whole = centred / np.sqrt((centred**2).mean(axis=(0, 2), keepdims=True) + 1e-5)
    expected = whole.reshape(x.shape) * np.asarray(norm.scale, float) + np.asarray(norm.shift)
    np.testing.assert_allclose(norm(jnp.asarray(x)), expected, atol=1e-12)
    moved = norm(jnp.asarray(x), (jnp.asarray(more), jnp.asarray(by)))
    np.testing.assert_allclose(moved, expected * (1.0 + more) + by, atol=1e-12)


@pytest.mark.slow
def test_dropout_keeps_the_mean_and_wants_a_key():
    """A block of ones through an identity convolution: each unit is 0 or twice as large."""
    block = ResidualBlock.random(np.random.default_rng(0), (1, 1), 2, 0.5)
    through = eqx.tree_at(lambda c: c.kernel, block.second, jnp.ones((1, 1, 1, 1)))
    block = eqx.tree_at(lambda b: b.second, block, through)
    x, condition = jax.random.normal(KEY, (16, 16, 1)), jnp.zeros(2)
    sure, dropped = (block(x, condition, key) - x for key in (None, KEY))
    kept = dropped != 0.0
    np.testing.assert_allclose(dropped[kept], 2.0 * sure[kept], rtol=1e-6)
    # Five standard errors of a share of 256 draws.
    assert abs(float(kept.mean()) - 0.5) < 5 * 0.5 / 16


@pytest.mark.parametrize(
    ("shape", "settings", "phrase"),
    [
        ((4, 8, 1), {}, "shape: got"),
        ((8, 600, 1), {}, "shape: got"),
        ((10, 8, 1), {"multipliers": (1, 1, 1)}, "cannot be halved 2 times"),
        ((8, 8, 1), {"attention": (5,)}, r"attention: got \[5\]"),
        ((8, 8, 1), {"width": 6, "heads": 4}, "heads: got 4"),
        ((8, 8, 1), {"width": 3}, "width: got 3"),
        ((8, 8, 1), {"dropout": 1.0}, "dropout: got"),
        ((8, 8, 1), {"classes": -1}, "classes: got -1"),
        ((8, 8, 1), {"multipliers": ()}, "multipliers: got 0"),
    ],
)
def test_settings_that_cannot_be_are_named(shape, settings, phrase):
    with pytest.raises(ValueError, match=phrase):
        UNet.random(KEY, UNetSettings(shape, **settings))
