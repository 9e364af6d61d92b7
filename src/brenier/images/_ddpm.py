"""Denoising score matching: the diffusion model of images as a method of the driver."""

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from brenier._checks import as_float_array, check_at_least, check_key, check_positive
from brenier._progress import ProgressCallback
from brenier._solution import Solution
from brenier._types import Array, Float, Int, Key, Points, Scalar
from brenier.flows import AbstractMethod, CheckpointStore, solve
from brenier.images._model import ImageModel, ImageVelocity, dequantisation
from brenier.images._unet import UNet
from brenier.maps import AbstractMap
from brenier.measures import AbstractMeasure, Empirical, StandardNormal
from brenier.velocities import (
    AbstractSchedule,
    CosineSchedule,
    FlowMap,
    HyperbolicClock,
    LinearSchedule,
)

# The share of a class-conditional batch that is shown without its label.
_UNLABELLED = 0.1
# Noise levels at which the held-out loss looks at each image.
_HELD_OUT_LEVELS = 4
_HELD_OUT_IMAGES = 512
SCHEDULES: dict[str, Callable[[], AbstractSchedule]] = {
    "cosine": CosineSchedule,
    "linear": LinearSchedule,
}


class DDPMState(eqx.Module):
    """The network, the encoder of its running average, its optimiser."""

    network: UNet
    encoder: FlowMap
    optimiser: optax.OptState
    step: Int[Array, ""]
    key: Key


class DDPM(AbstractMethod[DDPMState, FlowMap]):
    """min over networks of E‖f(a, a X + √(1−a²) Z) − (ε or v)‖² (Ho et al. 2020; KRCO22 (3)).

    Starts at the encoder of an ``ImageModel`` with a ``UNet``, on an ``Empirical`` of images in
    [-1, 1]; its map is the encoder of the running average. Noise of one grey level is added to the
    images, so that they have a density; levels a come from the schedule at stratified times. Adam
    with decoupled weight decay, after a warm-up at a rate that falls along a cosine.

    Not for points that are no image, nor with a ``vmap`` over seeds on a CPU: the gradients of
    convolutions are slow inside compiled loops there, so that steps are taken one by one.

    Args:
        steps: gradient steps.
        batch: images a step.
        rate: of Adam, at its highest.
        warmup: share of the steps until then.
        weight_decay: decoupled (AdamW); 0 for Adam.
        clip: of the gradient's norm.
        averaging: decay of the running average of the weights; shorter at the beginning.
        labels: class of each image (n,), where the model has classes.

    Raises:
        ValueError: counts below 1; on the start, labels out of range, or a map that is no encoder
            of an image model.
    """

    labels: Int[Array, " n"] | None = None
    steps: int = eqx.field(static=True, default=2000)
    batch: int = eqx.field(static=True, default=64)
    rate: float = eqx.field(static=True, default=2e-3)
    warmup: float = eqx.field(static=True, default=0.05)
    weight_decay: float = eqx.field(static=True, default=0.0)
    clip: float = eqx.field(static=True, default=1.0)
    averaging: float = eqx.field(static=True, default=0.998)
    # See above: one compiled step, called again and again.
    compiled_loop: ClassVar[bool] = False

    def __check_init__(self):
        for name in ("steps", "batch"):
            check_at_least(name, getattr(self, name), 1)
        for name in ("rate", "clip"):
            check_positive(name, getattr(self, name))
        for name, value in (("averaging", self.averaging), ("warmup", self.warmup)):
            if not 0.0 <= value < 1.0:
                raise ValueError(f"{name}: got {value}; wants a number in [0, 1).")
        if not self.weight_decay >= 0.0:
            raise ValueError(f"weight_decay: got {self.weight_decay}; wants a number >= 0.")

    def default_initial(self, key: Key, points: Points) -> AbstractMap:
        raise ValueError(
            "initial: got None; wants the encoder of an ImageModel (fit_images makes one)."
        )

    def init(
        self, source: AbstractMeasure, target: AbstractMeasure, initial: AbstractMap, key: Key
    ) -> DDPMState:
        model = image_model(initial)
        if not isinstance(source, Empirical) or source.weights is not None:
            raise ValueError(
                f"source: got {type(source).__name__}; wants an Empirical of images "
                "without weights."
            )
        if source.size < self.batch:
            raise ValueError(
                f"source: got {source.size} images, fewer than a batch of "
                f"{self.batch}; wants more images or a smaller batch."
            )
        if model.classes and (self.labels is None or self.labels.shape != (source.size,)):
            raise ValueError(
                "labels: got none, or not one for each image; wants "
                f"({source.size},), for a model of {model.classes} classes."
            )
        if not isinstance(model.network, UNet):
            raise ValueError(
                f"initial: got a {type(model.network).__name__} as the network; wants a UNet."
            )
        optimiser = self._optimiser().init(eqx.filter(model.network, eqx.is_array))
        assert isinstance(initial, FlowMap)  # image_model has seen it
        return DDPMState(model.network, initial, optimiser, jnp.asarray(0), key)

    def step(self, state: DDPMState, source: AbstractMeasure, target: AbstractMeasure) -> DDPMState:
        assert isinstance(source, Empirical)  # init has seen it
        model = image_model(state.encoder)
        key, row_key, grey_key, loss_key, label_key = jax.random.split(state.key, 5)
        rows = jax.random.randint(row_key, (self.batch,), 0, source.size)
        x = source.points[rows].astype(jnp.float32)
        x = x + dequantisation(model.levels, grey_key, x)
        labels = None
        if model.classes and self.labels is not None:
            hidden = jax.random.bernoulli(label_key, _UNLABELLED, (self.batch,))
            labels = jnp.where(hidden, model.classes, self.labels[rows])

        def loss(network: UNet) -> Scalar:
            return denoising_loss(_with_network(model, network), x, labels, loss_key, dropout=True)

        gradient = eqx.filter_grad(loss)(state.network)
        updates, optimiser = self._optimiser().update(
            gradient, state.optimiser, eqx.filter(state.network, eqx.is_array)
        )
        network = eqx.apply_updates(state.network, updates)
        # Short at first, so that the average forgets where it started.
        decay = jnp.minimum(self.averaging, (1.0 + state.step) / (10.0 + state.step))
        decay = decay.astype(jnp.float32)
        average = jax.tree.map(
            lambda old, new: decay * old + (1.0 - decay) * new if eqx.is_array(old) else old,
            model.network,
            network,
        )
        encoder = eqx.tree_at(lambda map: image_model(map).network, state.encoder, average)
        return DDPMState(network, encoder, optimiser, state.step + 1, key)

    def current_map(self, state: DDPMState) -> FlowMap:
        return state.encoder

    def _optimiser(self) -> optax.GradientTransformation:
        rate = optax.warmup_cosine_decay_schedule(
            0.0, self.rate, max(1, int(self.warmup * self.steps)), self.steps, 0.02 * self.rate
        )
        return optax.chain(
            optax.clip_by_global_norm(self.clip), optax.adamw(rate, weight_decay=self.weight_decay)
        )


def image_model(map: AbstractMap) -> ImageModel:
    """The model of an encoder or decoder that ``ImageModel.encoder`` made.

    Raises:
        ValueError: another map.
    """
    if (
        isinstance(map, FlowMap)
        and isinstance(map.velocity, HyperbolicClock)
        and (isinstance(map.velocity.velocity, ImageVelocity))
    ):
        return map.velocity.velocity.model
    raise ValueError(f"initial: got {type(map).__name__}; wants the encoder of an ImageModel.")


def denoising_loss(
    model: ImageModel,
    x: Points,
    labels: Int[Array, " n"] | None,
    key: Key,
    *,
    dropout: bool = False,
) -> Scalar:
    """Mean squared error of what the network predicts, per dimension, one noise level an image."""
    level_key, noise_key, drop_key = jax.random.split(key, 3)
    n = x.shape[0]
    # Stratified: each batch sees all levels, and its loss varies less.
    shares = (jax.random.uniform(level_key, ()) + jnp.arange(n) / n) % 1.0
    signals = jax.vmap(model.signal)(shares).astype(x.dtype)[:, None]
    spreads = jnp.sqrt(1.0 - signals**2)
    noise = jax.random.normal(noise_key, x.shape, x.dtype)
    noisy = signals * x + spreads * noise
    wanted = noise if model.prediction == "epsilon" else signals * noise - spreads * x
    keys = jax.random.split(drop_key, n)

    def one(signal: Scalar, y: Array, label: Array | None, key: Key) -> Array:
        image = y.reshape(model.shape)
        if not dropout:
            return model.network(signal, image, label).reshape(-1)
        return model.network(signal, image, label, key=key).reshape(-1)

    axes = (0, 0, None if labels is None else 0, 0)
    found = jax.vmap(one, in_axes=axes)(signals[:, 0], noisy, labels, keys)
    return jnp.mean(jnp.square(found - wanted))


class HeldOutDenoising(eqx.Module):
    """The denoising loss on held-out images, as a metric for ``solve``: same noise every time.

    Args:
        x: images (n, d) in [-1, 1].
        labels: their classes, where the model has any.
        key: of the noise.
    """

    x: Points
    labels: Int[Array, " n"] | None
    key: Key

    def __call__(self, map: AbstractMap) -> Scalar:
        x = jnp.tile(self.x, (_HELD_OUT_LEVELS, 1))
        labels = None if self.labels is None else jnp.tile(self.labels, _HELD_OUT_LEVELS)
        return denoising_loss(image_model(map), x, labels, self.key)


def fit_images(
    images: Float[np.ndarray, "n h w c"],
    labels: Int[np.ndarray, " n"] | None = None,
    *,
    key: Key,
    method: DDPM | None = None,
    network: UNet | None = None,
    prediction: Literal["epsilon", "v"] = "v",
    schedule: Literal["cosine", "linear"] = "cosine",
    levels: int = 256,
    held_out: float = 0.1,
    blocks: int = 20,
    callback: ProgressCallback | None = None,
    checkpoint: CheckpointStore | None = None,
    throw: bool = True,
) -> Solution:
    """Train a diffusion model on images; ``solution.map`` is its encoder, held out loss the metric.

    Not a wrapper of a pretrained model: ``ImageModel`` takes any network.

    Args:
        images: (n, h, w, c) in [0, 1].
        labels: (n,) integers from 0, for a class-conditional model; None for none.
        key: of everything random; same key, same model on the same machine.
        method: how it is trained.
        network: where it starts; a new ``UNet`` of the right shape when None.
        prediction: what it predicts, ε or v.
        schedule: of the noise.
        levels: grey levels of the images.
        held_out: share of the images that training does not see.
        blocks, callback, checkpoint, throw: as for ``solve``.

    Returns:
        A ``Solution`` whose map is ``ImageModel.encoder()``; ``image_model(solution.map)`` is the
        model. Stats as of ``solve``, with the held-out loss as the metric.

    Raises:
        ValueError: images that are not (n, h, w, c) in [0, 1], labels out of range, fewer images
            than a batch.

    >>> import jax, numpy as np
    >>> noise = np.random.default_rng(0).uniform(size=(20, 8, 8, 1))
    >>> net = UNet.random(jax.random.key(0), (8, 8, 1), width=2, multipliers=(1,))
    >>> solution = fit_images(noise, key=jax.random.key(0), network=net, blocks=1,
    ...                       method=DDPM(steps=2, batch=4))
    >>> solution.stats["steps"], solution.map.dimension
    (2, 64)
    """
    check_key("key", key)
    pixels = as_float_array("images", images)
    if pixels.ndim != 4 or not len(pixels):
        raise ValueError(f"images: got shape {pixels.shape}; wants (n, height, width, channels).")
    if not (np.isfinite(pixels).all() and pixels.min() >= 0.0 and pixels.max() <= 1.0):
        raise ValueError(
            "images: got values outside of [0, 1], or NaN; wants grey levels in [0, 1]."
        )
    shape = (pixels.shape[1], pixels.shape[2], pixels.shape[3])
    classes = network.settings.classes if network is not None else 0
    known = None if labels is None else _checked_labels(labels, len(pixels), classes)
    if network is None:
        classes = 0 if known is None else int(known.max()) + 1
        network = UNet.random(jax.random.fold_in(key, 1), shape, classes=classes)
    if network.settings.shape != shape:
        raise ValueError(
            f"network: got one for images of shape {network.settings.shape}; wants "
            f"{shape}, the images'."
        )
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule: got {schedule!r}; wants one of {list(SCHEDULES)}.")
    if not 0.0 < held_out < 1.0:
        raise ValueError(f"held_out: got {held_out}; wants a share in (0, 1).")
    method = DDPM() if method is None else method
    model = ImageModel(network, shape, prediction, SCHEDULES[schedule](), levels, classes)
    order = np.asarray(jax.random.permutation(jax.random.fold_in(key, 2), len(pixels)))
    kept_out = max(1, min(_HELD_OUT_IMAGES, int(held_out * len(pixels))))
    rows = {"test": order[:kept_out], "train": order[kept_out:]}
    if len(rows["train"]) < method.batch:
        raise ValueError(
            f"images: got {len(pixels)}, of which {len(rows['train'])} to train on, "
            f"fewer than a batch of {method.batch}; wants more, or a smaller batch."
        )
    points = model.points(pixels.astype(np.float32))
    own = {name: None if known is None else jnp.asarray(known[at]) for name, at in rows.items()}
    method = eqx.tree_at(
        lambda m: m.labels, method, own["train"], is_leaf=lambda leaf: leaf is None
    )
    metric = HeldOutDenoising(
        jnp.asarray(points[rows["test"]]), own["test"], jax.random.fold_in(key, 3)
    )
    return solve(
        Empirical(points[rows["train"]]),
        StandardNormal(model.dimension),
        method=method,
        initial=model.encoder(),
        key=key,
        metric=metric,
        blocks=blocks,
        callback=callback,
        checkpoint=checkpoint,
        throw=throw,
    )


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


def _with_network(model: ImageModel, network: UNet) -> ImageModel:
    return eqx.tree_at(lambda m: m.network, model, network)
