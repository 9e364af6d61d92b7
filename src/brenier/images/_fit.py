"""The fit of an image model: from images in [0, 1] to a trained encoder."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier._checks import as_float_array, check_at_least, check_instance, check_key
from brenier._progress import ProgressCallback
from brenier._solution import Solution
from brenier._types import Array, Float, Int, Key
from brenier.flows import CheckpointStore, solve
from brenier.images._denoising import DDPM, HeldOutDenoising, Trainable
from brenier.images._model import ImageModel
from brenier.images._settings import UNetSettings
from brenier.images._streamed import ImageRows, StreamedImages, own_failures
from brenier.images._unet import UNet
from brenier.measures import Empirical, StandardNormal
from brenier.numerics import random_order
from brenier.velocities import AbstractSchedule, CosineSchedule, LinearSchedule

_SCHEDULES: dict[str, Callable[[], AbstractSchedule]] = {
    "cosine": CosineSchedule,
    "linear": LinearSchedule,
}
# At most so many images are held out: enough for the metric, and quickly evaluated.
_HELD_OUT_IMAGES = 512


@dataclass(frozen=True)
class TrainingSettings:
    """All that can be set about the training of an image model, with its defaults.

    Args:
        method: how it is trained; ``fit_images`` adds the labels.
        network: its architecture; ``fit_images`` puts in the shape of its images and the number
            of classes of its labels.
        prediction: what the network predicts, "v" or "epsilon".
        schedule: of the noise, "cosine" or "linear".
        held_out: share of the images that are not trained on, at most 512 images. The loss on them
            decides which model is kept.
        checks: how often, in the whole training, that loss is computed.

    Raises:
        ValueError: an unknown schedule, a share outside of (0, 1), no checks.

    >>> TrainingSettings(method=DDPM(steps=500), network=UNetSettings(width=16)).method.batch
    64
    """

    method: DDPM = field(default_factory=DDPM)
    network: UNetSettings = field(default_factory=UNetSettings)
    prediction: Literal["epsilon", "v"] = "v"
    schedule: Literal["cosine", "linear"] = "cosine"
    held_out: float = 0.1
    checks: int = 20

    def __post_init__(self):
        if self.schedule not in _SCHEDULES:
            raise ValueError(f"schedule: got {self.schedule!r}; wants one of {list(_SCHEDULES)}.")
        if not 0.0 < self.held_out < 1.0:
            raise ValueError(f"held_out: got {self.held_out}; wants a share in (0, 1).")
        check_at_least("checks", self.checks, 1)

    def count_held_out(self, count: int) -> int:
        """How many of ``count`` images are held out."""
        return max(1, min(_HELD_OUT_IMAGES, int(self.held_out * count)))


_DEFAULTS = TrainingSettings()


def fit_images(
    images: Float[np.ndarray, "n h w c"] | ImageRows,
    labels: Int[np.ndarray, " n"] | None = None,
    *,
    key: Key,
    settings: TrainingSettings = _DEFAULTS,
    network: Trainable | None = None,
    parent: ImageModel | None = None,
    levels: int = ImageModel.levels,
    callback: ProgressCallback | None = None,
    checkpoint: CheckpointStore | None = None,
    throw: bool = True,
) -> Solution:
    """Train a diffusion model on images; the map of the solution is its encoder.

    Not for a network that is already trained: give that to ``ImageModel``.

    Args:
        images: (n, h, w, c) in [0, 1]; of ``ImageRows``, as ``io.open_images`` gives them, only
            the batch in hand is held.
        labels: (n,) integers from 0, for a class-conditional model; None for a model without.
        key: of everything random; the same key gives the same model on the same machine.
        settings: what is trained, and how.
        network: a network to start from; None for a new one, of the architecture in ``settings``.
        parent: a model to train further, of a ``UNet`` or ``UNet2D``: its network, prediction,
            schedule and levels, in place of those of ``settings``; the running average goes on from
            it. A scheduler that clips predicted images is left out of the encoder.
        levels: grey levels of the images.
        callback, checkpoint, throw: as for ``solve``.

    Returns:
        A ``Solution`` whose map is ``ImageModel.encoder()``; ``image_model(solution.map)`` is the
        model. The stats are those of ``solve``, with the loss on held-out images as the metric, and
        ``precision``, that of the products in training.

    Raises:
        ValueError: images that are not (n, h, w, c) in [0, 1], labels out of range, fewer images
            than a batch.

    >>> import jax, numpy as np
    >>> noise = np.random.default_rng(0).uniform(size=(20, 8, 8, 1))
    >>> tiny = TrainingSettings(method=DDPM(steps=2, batch=4), checks=1,
    ...                         network=UNetSettings(width=2, multipliers=(1,)))
    >>> solution = fit_images(noise, key=jax.random.key(0), settings=tiny)
    >>> solution.stats["steps"], solution.map.dimension
    (2, 64)
    """
    check_key("key", key)
    check_instance("settings", settings, TrainingSettings, "TrainingSettings")
    pixels = _checked_images(images)
    count, shape = pixels.shape[0], (pixels.shape[1], pixels.shape[2], pixels.shape[3])
    if parent is not None:
        if not isinstance(parent.network, Trainable):
            kind = type(parent.network).__name__
            raise ValueError(f"parent: got a {kind} as its network; wants a UNet or a UNet2D.")
        network = parent.network
    classes = network.settings.classes if network is not None else 0
    known = None if labels is None else _checked_labels(labels, count, classes)
    if network is None:
        classes = 0 if known is None else int(known.max()) + 1
        architecture = dataclasses.replace(settings.network, shape=shape, classes=classes)
        network = UNet.random(jax.random.fold_in(key, 1), architecture)
    if network.settings.shape != shape:
        raise ValueError(
            f"network: got one for images of shape {network.settings.shape}; wants "
            f"{shape}, the images'."
        )
    if parent is None:
        schedule = _SCHEDULES[settings.schedule]()
        model = ImageModel(network, shape, settings.prediction, schedule, levels, classes)
    else:
        model = parent.without_clipping()
    order = random_order(jax.random.fold_in(key, 2), count)
    held_out = settings.count_held_out(count)
    test, train = order[:held_out], order[held_out:]
    if len(train) < settings.method.batch:
        raise ValueError(
            f"images: got {count}, of which {len(train)} to train on, "
            f"fewer than a batch of {settings.method.batch}; wants more, or a smaller batch."
        )
    source, held = _parts(model, pixels, train, test)
    test_labels, train_labels = (
        None if known is None else jnp.asarray(known[rows]) for rows in (test, train)
    )
    method = dataclasses.replace(settings.method, continued=parent is not None)
    with own_failures(source, held):
        solution = solve(
            source,
            StandardNormal(model.dimension),
            method=eqx.tree_at(
                lambda m: m.labels, method, train_labels, is_leaf=lambda leaf: leaf is None
            ),
            initial=model.encoder(),
            key=key,
            metric=HeldOutDenoising(held, test_labels, key=jax.random.fold_in(key, 3)),
            blocks=settings.checks,
            callback=callback,
            checkpoint=checkpoint,
            throw=throw,
        )
    stats = {**solution.stats, "precision": settings.method.precision}
    return Solution(solution.map, solution.result, stats)


def _checked_images(images: Any) -> np.ndarray | ImageRows:
    """An array of images, whose values are checked, or rows, which are when they are read."""
    rows = isinstance(images, ImageRows) and not isinstance(images, np.ndarray | jax.Array)
    pixels = images if rows else as_float_array("images", images)
    if len(pixels.shape) != 4 or not pixels.shape[0]:
        raise ValueError(f"images: got shape {pixels.shape}; wants (n, height, width, channels).")
    if not rows and not (np.isfinite(pixels).all() and pixels.min() >= 0.0 and pixels.max() <= 1.0):
        raise ValueError(
            "images: got values outside of [0, 1], or NaN; wants grey levels in [0, 1]."
        )
    return pixels


def _parts(
    model: ImageModel, pixels: np.ndarray | ImageRows, train: np.ndarray, test: np.ndarray
) -> tuple[Empirical | StreamedImages, Array | StreamedImages]:
    """The images to train on, and those that are held out."""
    if not isinstance(pixels, np.ndarray):
        return StreamedImages(pixels, train), StreamedImages(pixels, test)
    points = model.points(pixels.astype(np.float32))
    return Empirical(points[train]), jnp.asarray(points[test])


def _checked_labels(labels: Any, n: int, classes: int) -> np.ndarray:
    given = np.asarray(labels)
    if given.shape != (n,) or given.dtype.kind not in "iu":
        raise ValueError(
            f"labels: got shape {given.shape} of {given.dtype}; wants ({n},) "
            "integers, one for each image."
        )
    if given.min() < 0 or (classes and given.max() >= classes):
        wants = f"0 to {classes - 1}" if classes else "0 and up"
        raise ValueError(f"labels: got {given.min()} to {given.max()}; wants {wants}.")
    return given.astype(np.int32)
