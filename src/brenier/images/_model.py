"""An image diffusion model: a network, and the encoders and decoders that it makes."""

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier._checks import check_at_least
from brenier._types import Array, Float, Int, Point, Scalar
from brenier.images._compiled import give_back_after_compiling
from brenier.images._host_network import HostNetwork
from brenier.images._precision import (
    Precision,
    as_asked,
    check_precision,
    network_products,
    reachable,
)
from brenier.images._sampling import Sampling, ScheduledDDIM
from brenier.images._unet import UNet
from brenier.images._unet2d import UNet2D
from brenier.maps import AbstractMap
from brenier.velocities import (
    BDIA,
    DDIM,
    AbstractDiffusionVelocity,
    AbstractSchedule,
    FlowMap,
    HyperbolicClock,
    TableSchedule,
)

# Maps start at this share of the schedule: the first of a DDPM's 1000 steps. Nearer to a = 1
# networks are not trained, and images have no density.
_FIRST = 1e-3
# Steps that divide by the signal begin here where a scheduler begins at 0.
_LEAST_SIGNAL = 1e-6


class ImageModel(eqx.Module):
    """A diffusion model of images: ``model(a, x)`` is the noise E[Z | X_t = x] at one point (d,).

    X_t = a X_0 + √(1−a²) Z, X_0 an image in [-1, 1] flattened row by row, d = h w c. The network
    predicts the noise ε, or v = a ε − √(1−a²) x̂_0, which is −√(1−a²) dx/da and stays of unit size
    at both ends (Salimans & Ho 2022). KRCO22 (2) to (6).

    Not for points that are no image: ``NoiseVelocity`` takes any predictor at a point.

    Args:
        network: a function of (a, image (h, w, c), label or None) to (h, w, c), in JAX: a ``UNet``,
            or any other.
        shape: (h, w, c) of the images.
        prediction: what the network predicts, "epsilon" or "v".
        schedule: a(t); maps begin and end at its first and last levels.
        levels: grey levels of the images (256 for bytes, 17 for scikit-learn's digits), by which
            ``bits_per_dimension`` counts.
        classes: number of labels; 0 for a model without labels.
        label: the label that predictions are conditioned on, or None; see ``with_label``.
        precision: of the network's products, of float32 numbers: "highest" for all digits, "tf32"
            for 3 (GPUs; others keep all), "bfloat16" for 2. Sums, group norms and the steps of maps
            keep theirs.
        sampling: where steps of DDIM lie, for a model with a scheduler; None for equal times.

    Raises:
        ValueError: a network that is not callable, an impossible shape, prediction or count, a
            schedule without a last time, or a precision of a network that is not in JAX.

    >>> import jax.numpy as jnp
    >>> from brenier.velocities import LinearSchedule
    >>> normal = ImageModel(lambda a, image, label: jnp.sqrt(1 - a**2) * image, (2, 2, 1),
    ...                     "epsilon", LinearSchedule())
    >>> normal.encoder()(jnp.ones(4)).round(6).tolist()
    [1.0, 1.0, 1.0, 1.0]
    """

    network: Callable[..., Any]
    shape: tuple[int, int, int] = eqx.field(static=True)
    prediction: Literal["epsilon", "v"] = eqx.field(static=True)
    schedule: AbstractSchedule
    levels: int = eqx.field(static=True, default=256)
    classes: int = eqx.field(static=True, default=0)
    label: Int[Array, ""] | Float[Array, " e"] | None = None
    precision: Precision = eqx.field(static=True, default="highest")
    sampling: Sampling | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        if not callable(self.network):
            raise ValueError(f"network: got {type(self.network).__name__}; wants a callable.")
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise ValueError(f"shape: got {self.shape}; wants (height, width, channels).")
        if self.prediction not in ("epsilon", "v"):
            raise ValueError(f"prediction: got {self.prediction!r}; wants 'epsilon' or 'v'.")
        check_precision(self.precision)
        if self.precision != "highest" and isinstance(self.network, HostNetwork):
            raise ValueError(
                f"precision: got {self.precision!r} for a HostNetwork, which multiplies outside of "
                "JAX; wants 'highest'."
            )
        check_at_least("levels", self.levels, 2)
        check_at_least("classes", self.classes, 0)
        if isinstance(self.network, UNet):
            made = self.network.settings
            if (made.shape, made.classes) != (tuple(self.shape), self.classes):
                raise ValueError(
                    f"shape: got {self.shape} with {self.classes} classes over a network of "
                    f"{made.shape} with {made.classes}; wants the network's."
                )
        if isinstance(self.network, UNet2D):
            held = self.network.settings
            if (held.shape, held.noise.gives) != (tuple(self.shape), self.prediction):
                raise ValueError(
                    f"shape: got {self.shape} of {self.prediction} over a network of "
                    f"{held.shape} of {held.noise.gives}; wants the network's."
                )
        if self.sampling is not None and not isinstance(self.schedule, TableSchedule):
            raise ValueError(
                f"sampling: got a {type(self.schedule).__name__} beside it; wants a TableSchedule."
            )
        if not np.isfinite(self.schedule.duration):
            raise ValueError(
                "schedule: got one without a last time; wants a schedule with a "
                "duration (LinearSchedule, CosineSchedule)."
            )

    @property
    def dimension(self) -> int:
        """d = h w c."""
        return int(np.prod(self.shape))

    def with_label(self, label: int | Int[Array, ""] | None) -> "ImageModel":
        """The same model, conditioned on another label, or on none.

        Raises:
            ValueError: a label that the model does not have.
        """
        if label is not None and not isinstance(label, jax.Array):
            if not 0 <= label < self.classes:
                wants = f"0 to {self.classes - 1}" if self.classes else "none: it has no classes"
                raise ValueError(f"label: got {label}; wants {wants}.")
            label = jnp.asarray(label)
        if label is None and not self.unlabelled:
            raise ValueError(
                f"label: got None; wants 0 to {self.classes - 1}: the network knows no image "
                "without a label."
            )
        return dataclasses.replace(self, label=label)

    @property
    def unlabelled(self) -> bool:
        """Whether the model can be called without a label."""
        return not isinstance(self.network, UNet | UNet2D) or self.network.settings.unlabelled

    def with_precision(self, precision: Precision) -> "ImageModel":
        """The same model, whose network multiplies in another precision.

        Raises:
            ValueError: an unknown precision, or one of a network that is not in JAX.
        """
        return dataclasses.replace(self, precision=precision)

    def __call__(self, signal: Scalar, x: Point) -> Point:
        """ε(a, x) at one point (d,)."""
        found = self.predicted(signal, x)
        if self.prediction == "epsilon":
            return found
        return signal * found + jnp.sqrt(1.0 - signal**2) * x

    def predicted(self, signal: Scalar, x: Point) -> Point:
        """The network's own prediction, ε or v, at one point (d,)."""
        give_back_after_compiling()  # here whoever compiles a network comes by
        image = as_asked(x.reshape(self.shape), self.precision)
        with network_products(self.precision):
            return self.network(signal, image, self.label).reshape(-1).astype(x.dtype)

    def signal(self, share: Scalar) -> Scalar:
        """The signal level at a share of the way from images (0) to codes (1)."""
        end = self.schedule.duration
        # A table begins at its first step.
        first = 1.0 / end if isinstance(self.schedule, TableSchedule) else _FIRST
        return self.schedule.signal((first + (1.0 - first) * share) * end)

    @property
    def start(self) -> Scalar:
        """The signal level that stands for the images themselves, a little below 1."""
        return self.signal(jnp.zeros(()))

    @property
    def stop(self) -> Scalar:
        """The signal level of the codes, a little above 0."""
        return self.signal(jnp.ones(()))

    def encoder(self, *, tolerance: float = 1e-6) -> FlowMap:
        """Images to codes along the probability flow, in adaptive steps; ``inverse()`` decodes.

        Tolerances below about 1e-5 need float64 images; 1e-3 is the least in "tf32", 1e-2 in
        "bfloat16".

        Raises:
            ValueError: a model whose scheduler clips predicted images: that has no inverse.
        """
        self._check_unclipped()
        clock = HyperbolicClock(ImageVelocity(self))
        least = reachable(tolerance, self.precision)
        return FlowMap(clock, jnp.arctanh(self.start), jnp.arctanh(self.stop), tolerance=least)

    def ddim_encoder(self, steps: int = 50) -> DDIM | ScheduledDDIM:
        """Images to codes in ``steps`` DDIM steps, equally long in the schedule's time.

        With ``sampling``: through the levels of its scheduler.

        Raises:
            ValueError: a model whose scheduler clips predicted images.
        """
        self._check_unclipped()
        if self.sampling is None:
            return DDIM(self, self._levels(steps), self.dimension)
        levels = jnp.asarray(self._scheduled(steps)[::-1])
        return ScheduledDDIM(self, levels[:-1], levels[1:])

    def ddim_decoder(self, steps: int = 50) -> DDIM | ScheduledDDIM:
        """Codes to images in ``steps`` DDIM steps."""
        if self.sampling is None:
            return DDIM(self, self._levels(steps)[::-1], self.dimension)
        here, there = self.sampling.levels(steps, self._table())
        return ScheduledDDIM(self, jnp.asarray(here), jnp.asarray(there), self.sampling.clip)

    def bdia_encoder(self, steps: int = 50, *, weight: float = 1.0) -> BDIA:
        """Pairs of images to pairs of codes in ``steps`` steps, exactly invertible; see ``BDIA``.

        Through the levels of ``ddim_encoder``; a level of 0 becomes 1e-6.

        Raises:
            ValueError: a model whose scheduler clips predicted images, or fewer than two steps.
        """
        self._check_unclipped()
        check_at_least("steps", steps, 2)
        levels = self._levels(steps) if self.sampling is None else self._scheduled(steps)[::-1]
        return BDIA(self, jnp.maximum(jnp.asarray(levels), _LEAST_SIGNAL), self.dimension, weight)

    def without_clipping(self) -> "ImageModel":
        """The same model, whose scheduler does not cut predicted images: it can encode.

        >>> from brenier.velocities import LinearSchedule
        >>> model = ImageModel(lambda a, image, label: image, (1, 1, 1), "v", LinearSchedule())
        >>> model.without_clipping().sampling is None
        True
        """
        if self.sampling is None:
            return self
        return dataclasses.replace(self, sampling=dataclasses.replace(self.sampling, clip=None))

    def _check_unclipped(self) -> None:
        if self.sampling is not None and self.sampling.clip is not None:
            raise ValueError(
                f"clip_sample: got a scheduler that cuts predicted images at {self.sampling.clip:g}"
                ", which no flow does and which has no inverse; wants without_clipping() (ddpm "
                "import --no-clipping)."
            )

    def _table(self) -> np.ndarray:
        """The signal levels of the steps."""
        assert isinstance(self.schedule, TableSchedule)  # checked with ``sampling``
        return np.asarray(self.schedule.signals)

    def _scheduled(self, steps: int) -> np.ndarray:
        """The levels of a scheduler, from codes to images."""
        assert self.sampling is not None  # both callers have seen it
        here, there = self.sampling.levels(steps, self._table())
        return np.append(here, there[-1])

    def _levels(self, steps: int) -> Float[Array, " k"]:
        check_at_least("steps", steps, 1)
        return jax.vmap(self.signal)(jnp.linspace(0.0, 1.0, steps + 1))

    def points(self, images: Float[np.ndarray, "n h w c"]) -> Float[np.ndarray, "n d"]:
        """Images in [0, 1] as the model's points, in [-1, 1]; dtype kept.

        Raises:
            ValueError: images of another shape.
        """
        if images.ndim != 4 or images.shape[1:] != self.shape:
            raise ValueError(
                f"images: got shape {images.shape}; wants (n, {self.shape[0]}, "
                f"{self.shape[1]}, {self.shape[2]}), the model's."
            )
        return 2.0 * images.reshape(len(images), -1) - 1.0

    def images(self, points: Any) -> Float[np.ndarray, "n h w c"]:
        """Points as images in [0, 1], clipped."""
        shaped = np.asarray(points).reshape(-1, *self.shape)
        return np.clip(0.5 * shaped + 0.5, 0.0, 1.0)


class ImageVelocity(AbstractDiffusionVelocity):
    """dx/da of an ``ImageModel``: −v/√(1−a²), or (x − ε/√(1−a²))/a of a network that predicts ε.

    Integrated in ``HyperbolicClock``, where neither end is singular.

    >>> import jax.numpy as jnp
    >>> from brenier.velocities import LinearSchedule
    >>> model = ImageModel(lambda a, image, label: 0.6 * image, (1, 1, 1), "v", LinearSchedule())
    >>> ImageVelocity(model)(0.8, jnp.ones(1)).round(9).tolist()
    [-1.0]
    """

    model: ImageModel
    smooth: ClassVar[bool] = False

    @property
    def dimension(self) -> int:
        return self.model.dimension

    def at(self, time: Scalar, x: Point) -> Point:
        spread = jnp.sqrt(1.0 - time**2)
        found = self.model.predicted(time, x)
        if self.model.prediction == "v":
            return -found / spread
        return (x - found / spread) / time


def image_model(map: AbstractMap) -> ImageModel:
    """The model inside an encoder or decoder that ``ImageModel.encoder`` made.

    Raises:
        ValueError: another map.

    >>> from brenier.velocities import LinearSchedule
    >>> model = ImageModel(lambda a, image, label: image, (1, 1, 1), "v", LinearSchedule())
    >>> image_model(model.encoder().inverse()).shape
    (1, 1, 1)
    """
    if (
        isinstance(map, FlowMap)
        and isinstance(map.velocity, HyperbolicClock)
        and isinstance(map.velocity.velocity, ImageVelocity)
    ):
        return map.velocity.velocity.model
    raise ValueError(f"initial: got {type(map).__name__}; wants the encoder of an ImageModel.")
