"""Denoising score matching: the training of an image model, as a method of the driver."""

from typing import Any, ClassVar, NamedTuple, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from brenier._checks import check_at_least, check_positive
from brenier._types import Array, Float, Int, Key, Points, Scalar
from brenier.flows import AbstractMethod, batch_work, shared_work
from brenier.images._likelihood import dequantisation
from brenier.images._model import ImageModel, image_model
from brenier.images._precision import Precision, check_precision, network_products
from brenier.images._streamed import StreamedImages
from brenier.images._unet import UNet
from brenier.images._unet2d import UNet2D
from brenier.maps import AbstractMap
from brenier.measures import AbstractMeasure, Empirical
from brenier.numerics import float64_mean, split_batch
from brenier.velocities import FlowMap

# The share of a labelled batch that is trained on without its labels.
_UNLABELLED = 0.1
# Noise levels at which the held-out loss is taken, for each image.
_HELD_OUT_LEVELS = 4
# Numbers of held-out images whose loss is taken at once: as many as 2048 images of 28 x 28 have.
_BLOCK = 2**21
# The learning rate at the end, as a share of its maximum.
_LAST_RATE = 0.02

Trainable: TypeAlias = UNet | UNet2D
"""The networks that are trained here."""


class DDPMState(eqx.Module):
    """The network, the encoder of its running average, and the state of its optimiser."""

    network: Trainable
    encoder: FlowMap
    optimiser: optax.OptState
    step: Int[Array, ""]
    key: Key


class DDPM(AbstractMethod[DDPMState, FlowMap]):
    """min over networks of E‖f(a, a X + √(1−a²) Z) − (ε or v)‖² (Ho et al. 2020; KRCO22 (3)).

    The source is an ``Empirical`` of images in [-1, 1], or ``StreamedImages``, the initial map the
    encoder of an ``ImageModel`` with a ``UNet`` or ``UNet2D``; ``fit_images`` makes both. The
    result is the encoder of the running average of the weights. Noise of one grey level is added to
    the images, which gives them a density. The noise levels of a batch are stratified in the
    schedule's time. The optimiser is AdamW, whose learning rate rises in a warm-up and then falls
    along a cosine.

    Not for points that are not images. Not under ``vmap`` over seeds on a CPU, where gradients of
    convolutions are slow in compiled loops: there steps are compiled one by one.

    Args:
        labels: the class of each image (n,), for a model with classes.
        steps: number of gradient steps.
        batch: images in each step.
        learning_rate: of AdamW, at its maximum.
        warmup: share of the steps before that maximum.
        weight_decay: of AdamW; 0 for Adam.
        clip: maximal norm of a gradient; larger ones are scaled down to it.
        averaging: decay of the running average of the weights in each step, shorter in the first
            steps.
        precision: of the network's products while it is trained, as in ``ImageModel``; weights,
            sums and the held-out loss keep all digits.
        parts: a batch is gone through in so many parts, whose gradients are added: the same step
            (but for its dropout), in less memory.
        checkpointed: whether activations are computed again for the gradient, block by block, in
            place of being kept: less memory, and a third more time.
        continued: whether the running average goes on from the initial network, which is one, in
            place of soon forgetting it.

    Raises:
        ValueError: numbers out of range; in ``init``, a source without enough images, labels that
            are missing, or a map that is not the encoder of an image model.

    >>> method = DDPM(steps=500, learning_rate=1e-3)
    >>> method.steps, method.batch
    (500, 64)
    """

    labels: Int[Array, " n"] | None = None
    steps: int = eqx.field(static=True, default=2000)
    batch: int = eqx.field(static=True, default=64)
    learning_rate: float = eqx.field(static=True, default=2e-3)
    warmup: float = eqx.field(static=True, default=0.05)
    weight_decay: float = eqx.field(static=True, default=0.0)
    clip: float = eqx.field(static=True, default=1.0)
    averaging: float = eqx.field(static=True, default=0.998)
    precision: Precision = eqx.field(static=True, default="highest")
    parts: int = eqx.field(static=True, default=1)
    checkpointed: bool = eqx.field(static=True, default=False)
    continued: bool = eqx.field(static=True, default=False)
    # One compiled step, called again and again (see the docstring).
    compiled_loop: ClassVar[bool] = False

    def __check_init__(self):
        for name in ("steps", "batch", "parts"):
            check_at_least(name, getattr(self, name), 1)
        if self.batch % self.parts:
            raise ValueError(
                f"parts: got {self.parts}; wants a divisor of {self.batch}, the batch."
            )
        for name in ("learning_rate", "clip"):
            check_positive(name, getattr(self, name))
        for name, value in (("averaging", self.averaging), ("warmup", self.warmup)):
            if not 0.0 <= value < 1.0:
                raise ValueError(f"{name}: got {value}; wants a number in [0, 1).")
        check_precision(self.precision)
        if not self.weight_decay >= 0.0:
            raise ValueError(f"weight_decay: got {self.weight_decay}; wants a number >= 0.")

    def default_initial(self, key: Key, points: Points) -> AbstractMap:
        raise ValueError(
            "initial: got None; wants the encoder of an ImageModel (fit_images makes one)."
        )

    def init(
        self, source: AbstractMeasure, target: AbstractMeasure, initial: AbstractMap, *, key: Key
    ) -> DDPMState:
        model = image_model(initial)
        weighted = isinstance(source, Empirical) and source.weights is not None
        if not isinstance(source, Empirical | StreamedImages) or weighted:
            raise ValueError(
                f"source: got {type(source).__name__}; wants an Empirical of images "
                "without weights, or StreamedImages."
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
        if not isinstance(model.network, Trainable):
            raise ValueError(
                f"initial: got a {type(model.network).__name__} as the network; wants a UNet, or a "
                "UNet2D."
            )
        optimiser = self._optimiser().init(eqx.filter(model.network, eqx.is_array))
        assert isinstance(initial, FlowMap)  # image_model has seen it
        return DDPMState(model.network, initial, optimiser, jnp.asarray(0), key)

    def step(self, state: DDPMState, source: AbstractMeasure, target: AbstractMeasure) -> DDPMState:
        assert isinstance(source, Empirical | StreamedImages)  # init has seen it
        model = image_model(state.encoder)
        key, row_key, grey_key, loss_key, label_key = jax.random.split(state.key, 5)
        rows = jax.random.randint(row_key, (self.batch,), 0, source.size)
        images = source.points if isinstance(source, Empirical) else source
        x = _at(images, rows).astype(jnp.float32)
        x = x + dequantisation(x, model.levels, key=grey_key)
        labels = None
        if model.classes and self.labels is not None:
            labels = self.labels[rows]
            if model.unlabelled:
                hidden = jax.random.bernoulli(label_key, _UNLABELLED, (self.batch,))
                labels = jnp.where(hidden, model.classes, labels)
        gradient = self._gradient(state.network, model, _noised(model, x, labels, key=loss_key))
        updates, optimiser = self._optimiser().update(
            gradient, state.optimiser, eqx.filter(state.network, eqx.is_array)
        )
        network = eqx.apply_updates(state.network, updates)
        # A shorter average at first, so that the initial weights are soon forgotten.
        short = (1.0 + state.step) / (10.0 + state.step)
        decay = jnp.minimum(self.averaging, jnp.where(self.continued, 1.0, short))
        decay = decay.astype(jnp.float32)
        average = jax.tree.map(
            # So written, what is not trained stays as it is.
            lambda old, new: old + (1.0 - decay) * (new - old) if eqx.is_array(old) else old,
            model.network,
            network,
        )
        encoder = eqx.tree_at(lambda map: image_model(map).network, state.encoder, average)
        return DDPMState(network, encoder, optimiser, state.step + 1, key)

    def current_map(self, state: DDPMState) -> FlowMap:
        return state.encoder

    def _gradient(self, network: Trainable, model: ImageModel, batch: "_Noised") -> Trainable:
        def loss(network: Trainable, part: _Noised) -> Scalar:
            trained = eqx.tree_at(lambda m: m.network, model, network)
            trained = trained.with_precision(self.precision)
            return _mean_error(trained, part, dropout=True, checkpointed=self.checkpointed)

        gradient = eqx.filter_grad(loss)
        if self.parts == 1:
            return gradient(network, batch)
        # Part i has every ``parts``-th image: all noise levels are in each.
        split = jax.tree.map(
            lambda a: a.reshape(-1, self.parts, *a.shape[1:]).swapaxes(0, 1), batch
        )

        def add(total: Trainable, part: _Noised) -> tuple[Trainable, None]:
            return jax.tree.map(jnp.add, total, gradient(network, part)), None

        zero = jax.tree.map(jnp.zeros_like, eqx.filter(network, eqx.is_inexact_array))
        total, _ = jax.lax.scan(add, zero, split)
        return jax.tree.map(lambda sum: sum / self.parts, total)

    def _optimiser(self) -> optax.GradientTransformation:
        # At least one step to rise and one to fall, also where there is one step in all.
        rate = optax.warmup_cosine_decay_schedule(
            0.0,
            self.learning_rate,
            max(1, int(self.warmup * self.steps)),
            max(2, self.steps),
            _LAST_RATE * self.learning_rate,
        )
        kept = _decays if self.weight_decay else None
        return optax.chain(
            optax.clip_by_global_norm(self.clip),
            optax.adamw(rate, weight_decay=self.weight_decay, mask=kept),
        )


def _decays(network: Trainable) -> Trainable:
    """Whether each weight decays: not in a last layer half of which, for variances, is kept."""
    every = jax.tree.map(lambda _: True, network)
    if isinstance(network, UNet):
        if not network.settings.variance:
            return every
        none = jax.tree.map(lambda _: False, network.head)
        return eqx.tree_at(lambda net: net.head, every, none)
    if network.settings.out_channels == network.settings.shape[2]:
        return every
    ends = ("conv_out.weight", "conv_out.bias")
    return eqx.tree_at(lambda net: [net.weights[end] for end in ends], every, [False, False])


def _at(images: Points | StreamedImages, places: Int[Array, " k"]) -> Float[Array, "k d"]:
    """The images at these places; those that are streamed are read now."""
    return images.at(places) if isinstance(images, StreamedImages) else images[places]


class _Noised(NamedTuple):
    """Images with noise: what the network sees, and what it should say."""

    signals: Float[Array, " n"]
    images: Points
    wanted: Points
    labels: Int[Array, " n"] | None
    keys: Key


def denoising_loss(
    model: ImageModel, x: Points, labels: Int[Array, " n"] | None, *, key: Key
) -> Scalar:
    """Mean squared error of the network's prediction, per dimension; one noise level an image."""
    return _mean_error(model, _noised(model, x, labels, key=key))


def _noised(model: ImageModel, x: Points, labels: Int[Array, " n"] | None, *, key: Key) -> _Noised:
    level_key, noise_key, drop_key = jax.random.split(key, 3)
    n = x.shape[0]
    x, labels = split_batch((x, labels))
    # Stratified: each batch covers all noise levels, so that its loss varies less.
    shares = (jax.random.uniform(level_key, ()) + jnp.arange(n) / n) % 1.0
    signals = jax.vmap(model.signal)(shares).astype(x.dtype)[:, None]
    spreads = jnp.sqrt(1.0 - signals**2)
    noise = jax.random.normal(noise_key, x.shape, x.dtype)
    noisy = signals * x + spreads * noise
    wanted = noise if model.prediction == "epsilon" else signals * noise - spreads * x
    return _Noised(signals[:, 0], noisy, wanted, labels, jax.random.split(drop_key, n))


def _mean_error(
    model: ImageModel, batch: _Noised, *, dropout: bool = False, checkpointed: bool = False
) -> Scalar:
    signals, noisy, wanted, labels, keys = batch

    def one(signal: Scalar, y: Array, label: Array | None, key: Key) -> Array:
        image = y.reshape(model.shape)
        if not dropout:
            return model.network(signal, image, label).reshape(-1)
        found = model.network(signal, image, label, key=key, checkpointed=checkpointed)
        return found.reshape(-1)

    axes = (0, 0, None if labels is None else 0, 0)
    with network_products(model.precision):
        found = jax.vmap(one, in_axes=axes)(signals, noisy, labels, keys)
    return float64_mean(jnp.mean(jnp.square(found - wanted), axis=1))


class HeldOutDenoising(eqx.Module):
    """The denoising loss on held-out images, a metric for ``solve``; its noise is always the same.

    Many images are taken block by block, so that memory does not grow with their number.

    Args:
        x: images (n, d) in [-1, 1], or ``StreamedImages``.
        labels: their classes (n,), for a model with classes.
        key: draws the noise.

    >>> from brenier.velocities import LinearSchedule
    >>> black = ImageModel(lambda a, image, label: image / jnp.sqrt(1 - a**2), (1, 1, 1),
    ...                    "epsilon", LinearSchedule())
    >>> loss = HeldOutDenoising(jnp.zeros((4, 1)), None, key=jax.random.key(0))
    >>> float(loss(black.encoder())) < 1e-12  # the noise of images that are 0
    True
    """

    x: Points | StreamedImages
    labels: Int[Array, " n"] | None
    key: Key = eqx.field(kw_only=True)

    @property
    def size(self) -> int:
        """The number of images."""
        return self.x.size if isinstance(self.x, StreamedImages) else len(self.x)

    def __call__(self, map: AbstractMap) -> Scalar:
        model = image_model(map)
        count = _HELD_OUT_LEVELS * self.size
        blocks = -(-count * model.dimension // _BLOCK)
        # The last block is filled up with first images again, at other noise levels.
        places = np.arange(blocks * -(-count // blocks)).reshape(blocks, -1) % self.size

        def loss(block: tuple[Array, Key]) -> Scalar:
            rows, key = block
            labels = None if self.labels is None else self.labels[rows]
            return denoising_loss(model, _at(self.x, rows), labels, key=key)

        if blocks == 1:
            return loss((jnp.asarray(places[0]), self.key))
        keys = jax.random.split(self.key, blocks)
        return float64_mean(jax.lax.map(loss, (jnp.asarray(places), keys)))


@shared_work.register
def _(method: DDPM, state: DDPMState, *args: Any) -> int:
    return _work(state.network, method.batch)


@shared_work.register
def _(metric: HeldOutDenoising, on: AbstractMap, *args: Any) -> int:
    model = image_model(on)
    at_once = min(_HELD_OUT_LEVELS * metric.size, _BLOCK // model.dimension)
    return _work(model.network, at_once)


def _work(network: Any, images: int) -> int:
    """Each weight meets the pixels of its resolution; most are of the coarsest."""
    if not isinstance(network, Trainable):
        return 0
    return batch_work(network, images * network.settings.coarsest)
