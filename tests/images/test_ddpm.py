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
    StreamedImages,
    Timesteps,
    TrainingSettings,
    UNet,
    UNet2D,
    UNet2DSettings,
    UNetSettings,
    _denoising,
    fit_images,
    image_model,
)
from brenier.images._streamed import own_failures
from brenier.io import Checkpoint
from brenier.maps import AffineMap
from brenier.measures import Empirical
from brenier.velocities import CosineSchedule, TableSchedule

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


def _of_diffusers(**changes):
    """A model of a ``UNet2D`` that learned variances too, for 8 x 8 images."""
    settings = UNet2DSettings(
        out_channels=2, block_out_channels=(4,), norm_num_groups=2, add_attention=False, **changes
    )
    net = UNet2D.random(KEY, settings)
    return ImageModel(
        net, (8, 8, 1), settings.noise.gives, TableSchedule(settings.noise.table.tolist())
    )


def _fit(images=GREY, **changes):
    return fit_images(images, LABELS, key=KEY, **{"settings": SETTINGS, **changes})


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


class Rows:
    """Images that are read when they are asked for, and counted."""

    def __init__(self, images):
        self.images, self.shape, self.read = images, images.shape, 0

    def __getitem__(self, rows):
        self.read += len(rows)
        return self.images[rows]


def test_streamed_images_are_read_when_a_batch_is_drawn():
    rows = Rows(GREY)
    source = StreamedImages(rows, np.array([3, 30, 7]))
    assert (source.size, source.dimension, rows.read) == (3, 64, 0)
    points = eqx.filter_jit(source.at)(jnp.array([2, 0, 2, 2]))
    np.testing.assert_array_equal(
        points, (2.0 * GREY[[7, 3, 7, 7]].astype(np.float32) - 1.0).reshape(4, 64)
    )
    assert rows.read == 2  # each once


# Compiles another training.
@pytest.mark.slow
def test_streamed_images_make_the_same_model_and_are_read_batch_by_batch(whole):
    rows = Rows(GREY)
    streamed = _fit(images=rows)
    assert streamed.stats["history"] == whole.stats["history"]
    for got, wanted in zip(_leaves(streamed.map), _leaves(whole.map), strict=True):
        np.testing.assert_array_equal(got, wanted)
    method = SETTINGS.method
    held_out = SETTINGS.count_held_out(len(GREY))
    with pytest.raises(ValueError, match=r"^7\.png: got no such file; wants a picture\.$"):
        _fit(images=Lost(GREY))
    # An image is read once for a batch, however often it is drawn.
    assert 0.5 < rows.read / (method.steps * method.batch + (SETTINGS.checks + 1) * held_out) <= 1.0


class Lost(Rows):
    def __getitem__(self, rows):
        raise ValueError("7.png: got no such file; wants a picture.")


@pytest.mark.parametrize(
    ("rows", "phrase"),
    [
        (Lost(GREY), r"^7\.png: got no such file; wants a picture\.$"),
        (Rows(2.0 * GREY), r"^images: got values outside of \[0, 1\], or NaN, in image"),
    ],
)
def test_what_stops_the_reading_is_told_as_it_is(rows, phrase):
    source = StreamedImages(rows)
    with pytest.raises(ValueError, match=phrase), own_failures(source):
        source.sample(KEY, 20)


def test_many_held_out_images_are_taken_in_blocks(monkeypatch):
    """A loss of known mean: the network says 0, of which v has E v² = 1 for images of ±1."""
    model = ImageModel(
        lambda a, image, label: jnp.zeros_like(image), (8, 8, 1), "v", CosineSchedule()
    )
    images = np.where(RANDOM.uniform(size=(50, 64)) < 0.5, -1.0, 1.0).astype(np.float32)
    losses = []
    for block in (2**21, 7 * 64):
        monkeypatch.setattr(_denoising, "_BLOCK", block)
        losses.append(float(HeldOutDenoising(jnp.asarray(images), None, key=KEY)(model.encoder())))
    # v² has variance 2 at most, of 64 numbers in each of 200 images: five standard errors.
    np.testing.assert_allclose(losses, 1.0, atol=5.0 * (2.0 / (200 * 64)) ** 0.5)
    assert losses[0] != losses[1]


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


# Compiles a training of each.
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["UNet", "UNet2D"])
def test_halves_for_variances_are_kept(kind):
    """In the running average and with weight decay, too; all else is trained."""
    if kind == "UNet":
        settings = UNetSettings(
            (8, 8, 1), 32, (1,), variance=True, timesteps=Timesteps(), dropout=0.1
        )
        net = jax.tree.map(lambda a: a + 0.1, UNet.random(KEY, settings))
        model = ImageModel(net, (8, 8, 1), "epsilon", settings.timesteps.table)
    else:
        model = _of_diffusers(dropout=0.1)
    method = dataclasses.replace(SETTINGS.method, steps=3, weight_decay=0.1, learning_rate=1e-3)
    solution = fit_images(
        GREY, key=KEY, settings=dataclasses.replace(SETTINGS, method=method, checks=1), parent=model
    )
    child = image_model(solution.map)
    assert (child.prediction, child.schedule) == (model.prediction, model.schedule)
    for got, was in zip(_leaves(child.network), _leaves(model.network), strict=True):
        if got.shape[-1] == 2:  # the last layer's, channels last
            np.testing.assert_array_equal(got[..., 1], was[..., 1])
            got, was = got[..., 0], was[..., 0]
        assert (got != was).any()
        np.testing.assert_allclose(got, was, atol=2e-2)


# Compiles two gradients.
@pytest.mark.slow
def test_dropout_and_activations_computed_again_in_a_network_of_diffusers():
    """The same gradient; dropout has a key of its own in each block, and without one none."""
    model = _of_diffusers(dropout=0.5, layers_per_block=2)
    x = jnp.asarray(RANDOM.normal(size=(8, 8, 1)), jnp.float32)

    def loss(net, checkpointed, key):
        return jnp.sum(net(jnp.asarray(0.5), x, key=key, checkpointed=checkpointed) ** 2)

    look = eqx.filter_jit(eqx.filter_grad(loss))
    kept, again = (look(model.network, checkpointed, KEY) for checkpointed in (False, True))
    for got, wanted in zip(_leaves(again), _leaves(kept), strict=True):
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)
    values = [loss(model.network, False, key) for key in (None, KEY, jax.random.key(1))]
    assert len({float(value) for value in values}) == 3
    with pytest.raises(ValueError, match="settings: got other layers_per_block, which make other"):
        model.network.with_settings(dataclasses.replace(model.network.settings, layers_per_block=1))


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
