"""Training of image models: it learns, it resumes in the same bits, it refuses what cannot be."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier.images import (
    DDPM,
    HeldOutDenoising,
    ImageModel,
    TrainingSettings,
    UNet,
    UNetSettings,
    fit_images,
    image_model,
)
from brenier.io import Checkpoint
from brenier.maps import AffineMap
from brenier.measures import Empirical
from brenier.velocities import CosineSchedule

KEY = jax.random.key(0)
RANDOM = np.random.default_rng(0)
# Each image is one grey level: easy to learn, and far from noise.
GREY = np.broadcast_to(RANDOM.uniform(size=(40, 1, 1, 1)), (40, 8, 8, 1))
LABELS = (GREY[:, 0, 0, 0] > 0.5).astype(int)
# Of another shape, and with other classes, than the images: fit_images puts in theirs.
ARCHITECTURE = UNetSettings((16, 16, 3), width=4, multipliers=(1,), classes=7)
SETTINGS = TrainingSettings(
    method=DDPM(steps=18, batch=8, learning_rate=1e-2), network=ARCHITECTURE, checks=3
)


def _net(classes=2):
    return UNet.random(KEY, UNetSettings((8, 8, 1), width=4, multipliers=(1,), classes=classes))


def _fit(**changes):
    return fit_images(GREY, LABELS, key=KEY, **{"settings": SETTINGS, **changes})


def _leaves(map):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(map)]


@pytest.fixture(scope="module")
def whole():
    return _fit()


def test_the_loss_falls(whole):
    history = whole.stats["history"]
    # A new network predicts 0, whose loss is E v², about 1 where the images are grey.
    assert history[-1] < 0.7 * history[0]
    assert whole.stats["best_metric"] == min(history)
    assert image_model(whole.map).classes == 2
    assert image_model(whole.map).network.settings == _net().settings


@pytest.mark.slow
def test_a_run_stopped_by_ctrl_c_resumes_in_the_same_bits(whole, tmp_path):
    store = Checkpoint(tmp_path / "run.checkpoint", every=1)

    def stop(progress):
        if progress.step == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _fit(callback=stop, checkpoint=store)
    resumed = _fit(checkpoint=store)
    assert resumed.stats["history"] == whole.stats["history"]
    for got, wanted in zip(_leaves(resumed.map), _leaves(whole.map), strict=True):
        np.testing.assert_array_equal(got, wanted)


@pytest.mark.slow
def test_a_training_in_bfloat16_learns_as_much(whole):
    method = dataclasses.replace(SETTINGS.method, precision="bfloat16")
    coarse = _fit(settings=dataclasses.replace(SETTINGS, method=method))
    assert (whole.stats["precision"], coarse.stats["precision"]) == ("highest", "bfloat16")
    # Another training, of rounded gradients: its loss falls alike.
    assert coarse.stats["history"][-1] == pytest.approx(whole.stats["history"][-1], rel=0.05)
    assert coarse.stats["history"][-1] != whole.stats["history"][-1]
    assert {leaf.dtype for leaf in jax.tree.leaves(image_model(coarse.map).network)} == {
        np.dtype(np.float32)
    }
    # What is trained is evaluated with all digits.
    assert image_model(coarse.map).precision == "highest"


# Compiles two gradients.
@pytest.mark.slow
def test_a_batch_in_parts_and_with_activations_computed_again_makes_the_same_step():
    """But for the rounding of its sums; AdamW's first step is a sign, so after the gradient."""
    method = DDPM(jnp.asarray(LABELS[:8]), steps=2, batch=8, weight_decay=0.0)
    net = jax.tree.map(lambda a: a + 0.1, _net())
    model = ImageModel(net, (8, 8, 1), "v", CosineSchedule(), classes=2)
    images = Empirical(model.points(GREY[:8].astype(np.float32)))
    moments = []
    for changes in ({}, {"parts": 2, "checkpointed": True}):
        changed = dataclasses.replace(method, **changes)
        state = changed.init(images, images, model.encoder(), key=KEY)
        stepped = eqx.filter_jit(changed.step)(state, images, images)
        moments.append(jax.tree.leaves(stepped.optimiser)[1:])
    for got, wanted in zip(*moments, strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-3, atol=1e-6)


def test_training_further_goes_on_from_the_average(whole):
    """With a learning rate of almost nothing the model stays, and so does its average."""
    parent = image_model(whole.map)
    slow = dataclasses.replace(SETTINGS.method, steps=3, learning_rate=1e-9)
    other = dataclasses.replace(
        SETTINGS, method=slow, checks=1, schedule="linear", prediction="epsilon"
    )
    child = image_model(_fit(settings=other, parent=parent).map)
    assert (child.schedule, child.prediction) == (parent.schedule, parent.prediction)
    for got, wanted in zip(_leaves(child.network), _leaves(parent.network), strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-6)
    with pytest.raises(ValueError, match=r"settings: got other width, which make weights"):
        parent.network.with_settings(dataclasses.replace(parent.network.settings, width=8))


@pytest.mark.slow
def test_the_held_out_loss_of_the_true_predictor():
    """For X = 0 the best v is −(√(1−a²)) 0 + a Z = x a / √(1−a²), with loss 0."""
    model = ImageModel(
        lambda a, image, label: a * image / jnp.sqrt(1.0 - a**2), (8, 8, 1), "v", CosineSchedule()
    )
    metric = HeldOutDenoising(jnp.zeros((16, 64), jnp.float32), None, key=KEY)
    # float32 rounding, amplified by a / √(1−a²), up to 200 or so.
    assert float(metric(model.encoder())) < 1e-8


@pytest.mark.parametrize(
    ("images", "labels", "changes", "phrase"),
    [
        (GREY[:0], None, {}, "images: got shape"),
        (2.0 * GREY, None, {}, r"images: got values outside of \[0, 1\]"),
        (GREY[:5], None, {"network": None}, "fewer than a batch of 8"),
        (GREY, LABELS + 1, {}, "labels: got 1 to 2; wants 0 to 1"),
        (GREY, -LABELS, {}, "labels: got -1 to 0"),
        (GREY, None, {}, "labels: got none"),
        (GREY[:, :, :4].repeat(3, 2), None, {}, "network: got one for images of shape"),
    ],
)
def test_bad_input_is_refused(images, labels, changes, phrase):
    network = {"network": _net(), **changes}
    with pytest.raises(ValueError, match=phrase):
        fit_images(images, labels, key=KEY, settings=SETTINGS, **network)


def test_only_encoders_of_image_models_are_trained():
    with pytest.raises(ValueError, match="initial: got AffineMap; wants the encoder"):
        image_model(AffineMap(np.eye(2), np.zeros(2)))
    other = ImageModel(lambda a, image, label: image, (8, 8, 1), "v", CosineSchedule())
    images = Empirical(np.zeros((8, 64), np.float32))
    with pytest.raises(ValueError, match="initial: got a function as the network; wants a UNet"):
        DDPM(batch=8).init(images, images, other.encoder(), key=KEY)


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": 0},
        {"learning_rate": 0.0},
        {"averaging": 1.0},
        {"weight_decay": -1.0},
        {"warmup": 1.0},
        {"parts": 3},
    ],
)
def test_settings_are_checked(changes):
    name = next(iter(changes))
    with pytest.raises(ValueError, match=f"{name}: got"):
        DDPM(**changes)


@pytest.mark.parametrize("changes", [{"held_out": 1.0}, {"checks": 0}])
def test_training_settings_are_checked(changes):
    name = next(iter(changes))
    with pytest.raises(ValueError, match=f"{name}: got"):
        TrainingSettings(**changes)


def test_one_step_is_a_training_too():
    """Its learning rate is that of the first step of a warm-up, 0."""
    optimiser = DDPM(steps=1)._optimiser()
    weights = jnp.ones(3)
    update, _ = optimiser.update(weights, optimiser.init(weights), weights)
    np.testing.assert_array_equal(update, 0.0)


@pytest.mark.parametrize(("count", "held"), [(5, 1), (100, 5), (10**6, 512)])
def test_some_images_are_held_out_and_no_more_than_enough(count, held):
    assert TrainingSettings(held_out=0.05).count_held_out(count) == held
