"""Image models: against Gaussian images in closed form, and a U-Net there and back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import brenier
from brenier.images import (
    ImageModel,
    ImageVelocity,
    UNet,
    UNetSettings,
    bits_per_dimension,
    mistimed,
)
from brenier.velocities import CosineSchedule, LinearSchedule, NoiseVelocity, posterior_mean

KEY = jax.random.key(0)
SHAPE = (2, 2, 1)
VARIANCES = np.array([0.1, 0.5, 1.0, 2.0])
X = np.random.default_rng(0).normal(size=(5, 4)) * np.sqrt(VARIANCES)


def _spread(a):
    """Variances of X_t, for pixels of variance VARIANCES."""
    return (1.0 - a**2 + a**2 * VARIANCES).reshape(SHAPE)


def _epsilon(a, image, label):
    return jnp.sqrt(1.0 - a**2) * image / _spread(a)


def _v(a, image, label):
    """a ε − √(1−a²) x̂_0."""
    return a * jnp.sqrt(1.0 - a**2) * (1.0 - VARIANCES.reshape(SHAPE)) * image / _spread(a)


MODELS = {
    "epsilon": ImageModel(_epsilon, SHAPE, "epsilon", LinearSchedule()),
    "v": ImageModel(_v, SHAPE, "v", CosineSchedule()),
}


def _true_encoder(model, x):
    """√(variance at the end / variance at the start) x: Theory (3.4)."""
    ends = [_spread(float(a)).ravel() for a in (model.start, model.stop)]
    return x * np.sqrt(ends[1] / ends[0])


@pytest.mark.parametrize("kind", MODELS)
def test_the_encoder_of_gaussian_images(kind):
    model = MODELS[kind]
    codes = model.encoder(tolerance=1e-9)(X)
    # Steps err by the tolerance each, some dozens of them.
    np.testing.assert_allclose(codes, _true_encoder(model, X), rtol=1e-7, atol=1e-7)


def test_ddim_is_of_order_one_both_ways():
    model = MODELS["v"]
    exact = _true_encoder(model, X)
    there = [np.abs(model.ddim_encoder(k)(X) - exact).max() for k in (100, 200)]
    back = [np.abs(model.ddim_decoder(k)(exact) - X).max() for k in (100, 200)]
    for errors in (there, back):
        assert 1.7 < errors[0] / errors[1] < 2.3


def test_epsilon_and_v_are_one_model():
    a, x = jnp.array(0.3), jnp.asarray(X[0])
    both = [model(a, x) for model in MODELS.values()]
    np.testing.assert_allclose(both[0], both[1], rtol=1e-12)
    velocities = [ImageVelocity(model) for model in MODELS.values()]
    np.testing.assert_allclose(
        velocities[0].at(a, x), velocities[1].at(a, x), rtol=1e-10, atol=1e-14
    )
    # The library's own velocity of a predictor says the same.
    other = NoiseVelocity(MODELS["v"], 4)
    np.testing.assert_allclose(
        posterior_mean(velocities[1], a, x), posterior_mean(other, a, x), rtol=1e-10, atol=1e-14
    )


@pytest.mark.parametrize("probes", [None, 2])
def test_bits_of_gaussian_images(probes):
    """The Jacobian is diagonal, so random signs see its exact trace too."""
    model = MODELS["v"]
    found = bits_per_dimension(model, X, key=KEY, probes=probes, tolerance=1e-9)
    noise_key, _ = jax.random.split(KEY)
    noisy = X + (2.0 * np.asarray(jax.random.uniform(noise_key, X.shape)) - 1.0) / 255
    variances = _spread(float(model.start)).ravel()
    log_density = -0.5 * np.sum(noisy**2 / variances + np.log(2 * np.pi * variances), axis=1)
    # The code is taken as exactly normal, which it is up to a² = 1e-5 at the end.
    bits = (np.log(127.5) - log_density / 4) / np.log(2.0)
    np.testing.assert_allclose(found, bits, atol=2e-4)


# Compiles long.
@pytest.mark.slow
def test_a_network_there_and_back_and_through_a_file(tmp_path):
    net = UNet.random(KEY, UNetSettings((8, 8, 1), width=2, multipliers=(1,), classes=2))
    random = np.random.default_rng(0)
    net = jax.tree.map(lambda a: a + 0.1 * random.normal(size=a.shape).astype(np.float32), net)
    model = ImageModel(net, (8, 8, 1), "v", CosineSchedule(), classes=2).with_label(1)
    x = np.random.default_rng(1).uniform(-1.0, 1.0, (2, 64))
    encoder = model.encoder(tolerance=1e-6)
    codes = encoder(x)
    back = encoder.inverse()(codes)
    assert np.abs(codes - x).max() > 0.1
    assert np.max(np.linalg.norm(back - x, axis=1) / np.linalg.norm(x, axis=1)) < 1e-3
    brenier.save(tmp_path / "encoder.brenier", encoder)
    np.testing.assert_array_equal(brenier.load(tmp_path / "encoder.brenier")(x), codes)


def test_images_and_points():
    model = MODELS["v"]
    images = np.random.default_rng(0).uniform(size=(3, *SHAPE))
    with pytest.raises(ValueError, match=r"images: got shape \(3, 2, 3, 1\); wants \(n, 2, 2, 1\)"):
        model.points(images[:, :, [0, 1, 1]])
    np.testing.assert_allclose(model.images(model.points(images)), images, atol=1e-15)


@pytest.mark.parametrize(
    ("make", "phrase"),
    [
        (lambda: ImageModel(_v, (2, 0, 1), "v", CosineSchedule()), "shape: got"),
        (lambda: ImageModel(_v, SHAPE, "v", brenier.velocities.ConstantSchedule()), "without a l"),
        (lambda: MODELS["v"].with_label(0), "wants none: it has no classes"),
        (
            lambda: ImageModel(_v, SHAPE, "v", CosineSchedule(), classes=3).with_label(3),
            "label: got 3; wants 0 to 2",
        ),
        (lambda: MODELS["v"].ddim_encoder(0), "steps: got 0"),
    ],
)
def test_what_cannot_be_is_refused(make, phrase):
    with pytest.raises(ValueError, match=phrase):
        make()


@pytest.mark.parametrize("kind", MODELS)
def test_a_mistimed_network_is_told_the_level_of_the_other_schedule(kind):
    model = MODELS[kind]
    other = {"epsilon": CosineSchedule(), "v": LinearSchedule()}[kind]
    wrong = mistimed(model)
    x = jnp.asarray(X[0])
    for share in (0.0, 0.3, 0.9, 1.0):
        told = other.signal(jnp.asarray(share * other.duration))
        expected = model.predicted(told, x)
        # Linear between 1001 times: second order in a thousandth.
        found = wrong.predicted(model.signal(jnp.asarray(share)), x)
        np.testing.assert_allclose(found, expected, atol=1e-4)
    # Its maps start and end where the model's do.
    assert (wrong.start, wrong.stop, wrong.shape) == (model.start, model.stop, model.shape)
