"""An image diffusion model: a network with what it takes to encode and decode by it."""

from collections.abc import Callable
from typing import Any, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier._checks import check_at_least, check_key, check_points
from brenier._types import Array, BatchLike, Float, Int, Key, Point, Scalar, Weights
from brenier.measures import StandardNormal
from brenier.numerics import on_all_cores
from brenier.velocities import (
    DDIM,
    AbstractDiffusionVelocity,
    AbstractSchedule,
    AbstractVelocity,
    FlowMap,
    HyperbolicClock,
    integration_floats,
)

# Maps start at this share of the schedule: the first of a DDPM's 1000 steps. Nearer to a = 1 a
# network was not trained, and images have no density.
_FIRST = 1e-3
# Of the rule for the trace along a path.
_NODES = 32


class ImageModel(eqx.Module):
    """A diffusion model of images: ``model(a, x)`` is the noise E[Z | X_t = x] at one point (d,).

    X_t = a X_0 + √(1−a²) Z, X_0 an image in [-1, 1] flattened row by row, d = h w c. The network
    predicts the noise ε, or v = a ε − √(1−a²) x̂_0, which is −√(1−a²) dx/da and stays of unit size
    at both ends (Salimans & Ho 2022). KRCO22 (2) to (6).

    Not for points that are no image: ``NoiseVelocity`` takes any predictor at a point.

    Args:
        network: (a, image (h, w, c), label or None) to (h, w, c), in JAX: a ``UNet``, or anyone's.
        shape: (h, w, c).
        prediction: what the network predicts, "epsilon" or "v".
        schedule: a(t); it says where maps begin and end.
        levels: grey levels of the images (256; 17 for scikit-learn's digits): the unit of the
            likelihood's bits.
        classes: number of labels; 0 for none.
        label: under which it predicts; None for none. ``with_label`` gives the model at another.

    Raises:
        ValueError: a shape, prediction, count or label that cannot be.

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
    label: Int[Array, ""] | None = None

    def __check_init__(self):
        if not callable(self.network):
            raise ValueError(f"network: got {type(self.network).__name__}; wants a callable.")
        if len(self.shape) != 3 or min(self.shape) < 1:
            raise ValueError(f"shape: got {self.shape}; wants (height, width, channels).")
        if self.prediction not in ("epsilon", "v"):
            raise ValueError(f"prediction: got {self.prediction!r}; wants 'epsilon' or 'v'.")
        check_at_least("levels", self.levels, 2)
        check_at_least("classes", self.classes, 0)
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
        """The same model, predicting under another label (None: under none).

        Raises:
            ValueError: a label that the model does not have.
        """
        if label is not None and not isinstance(label, jax.Array):
            if not 0 <= label < self.classes:
                wants = f"0 to {self.classes - 1}" if self.classes else "none: it has no classes"
                raise ValueError(f"label: got {label}; wants {wants}.")
            label = jnp.asarray(label)
        return ImageModel(
            self.network,
            self.shape,
            self.prediction,
            self.schedule,
            self.levels,
            self.classes,
            label,
        )

    def __call__(self, signal: Scalar, x: Point) -> Point:
        """ε(a, x) at one point (d,)."""
        found = self.predicted(signal, x)
        if self.prediction == "epsilon":
            return found
        return signal * found + jnp.sqrt(1.0 - signal**2) * x

    def predicted(self, signal: Scalar, x: Point) -> Point:
        """What the network says, ε or v, at one point (d,)."""
        image = x.reshape(self.shape)
        return self.network(signal, image, self.label).reshape(-1).astype(x.dtype)

    def signal(self, share: Scalar) -> Scalar:
        """The signal level at a share of the way from images (0) to codes (1)."""
        return self.schedule.signal((_FIRST + (1.0 - _FIRST) * share) * self.schedule.duration)

    @property
    def start(self) -> Scalar:
        """The signal level that stands for the images themselves, a little below 1."""
        return self.signal(jnp.zeros(()))

    @property
    def stop(self) -> Scalar:
        """The signal level of the codes, a little above 0."""
        return self.signal(jnp.ones(()))

    def encoder(self, *, tolerance: float = 1e-6) -> FlowMap:
        """Images to codes along the probability flow, adaptively; its ``inverse()`` decodes.

        Keeps to tolerances below about 1e-5 in float64 only: hand in float64 images.
        """
        clock = HyperbolicClock(ImageVelocity(self))
        return FlowMap(clock, jnp.arctanh(self.start), jnp.arctanh(self.stop), tolerance=tolerance)

    def ddim_encoder(self, steps: int = 50) -> DDIM:
        """Images to codes in ``steps`` DDIM steps, equal in the schedule's time."""
        return DDIM(self, self._levels(steps), self.dimension)

    def ddim_decoder(self, steps: int = 50) -> DDIM:
        """Codes to images in ``steps`` DDIM steps."""
        return DDIM(self, self._levels(steps)[::-1], self.dimension)

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


def bits_per_dimension(
    model: ImageModel,
    points: BatchLike,
    *,
    key: Key,
    probes: int | None = None,
    tolerance: float = 1e-4,
) -> Weights:
    """−log₂ of the model's probability of each image, per dimension: a bound over the grey levels.

    (log(levels − 1) − log 2 − log ρ(x + u) / d) / log 2 with u uniform over one grey level, above
    the bits of the discrete image on average (Theis et al. 2016). log ρ is the code's plus
    ∫ tr Dv along the path (MATH_3 (3.6)), by a Chebyshev rule of 32 nodes in a hyperbolic clock,
    in which the trace is smooth: a small part of the work of integrating it beside the point, as
    ``log_likelihood`` does. The trace is exact without ``probes``, Hutchinson's estimate with so
    many.

    Not for a model that was trained on images without such noise: their density is not bounded.

    Args:
        model: whose density.
        points: images (n, d) in [-1, 1], without noise.
        key: of the noise and of the probes.
        probes: None for d up to a hundred or so.
        tolerance: of the integration.

    Returns:
        (n,) bits per dimension.

    Raises:
        ValueError: bad points or counts; a point whose integration fails.

    >>> import jax, jax.numpy as jnp
    >>> from brenier.velocities import LinearSchedule
    >>> normal = ImageModel(lambda a, image, label: jnp.sqrt(1 - a**2) * image, (1, 1, 1),
    ...                     "epsilon", LinearSchedule())
    >>> bits = bits_per_dimension(normal, jnp.zeros((1, 1)), key=jax.random.key(0))
    >>> round(float(bits[0]), 2)
    8.32
    """
    noise_key, probe_key = jax.random.split(check_key("key", key))
    x = jnp.asarray(check_points("points", points, dimension=model.dimension))
    x = x + dequantisation(model.levels, noise_key, x)
    flow = model.encoder(tolerance=tolerance)
    nodes, weights = _chebyshev_rule(float(flow.start), float(flow.stop))
    path = flow.path(x, np.append(nodes, float(flow.stop)))
    frame = jnp.eye(model.dimension, dtype=x.dtype)
    if probes is not None:
        check_at_least("probes", probes, 1)
        frame = jax.random.rademacher(probe_key, (probes, model.dimension), x.dtype)
    scale = 1.0 if probes is None else 1.0 / probes
    times = jnp.broadcast_to(jnp.asarray(nodes, x.dtype), path.shape[:1] + nodes.shape)
    packed = jnp.concatenate([path[:, :-1], times[..., None]], axis=-1)
    floats = integration_floats(model.dimension) * len(frame)
    traces = scale * on_all_cores(eqx.Partial(_trace, flow.velocity, frame), packed, floats=floats)
    volume = traces @ jnp.asarray(weights, x.dtype)
    log_density = StandardNormal(model.dimension).log_density(path[:, -1]) + volume
    nats = jnp.log(0.5 * (model.levels - 1)) - log_density / model.dimension
    return nats / jnp.log(2.0)


def _chebyshev_rule(start: float, stop: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes in order from ``start`` to ``stop``, and weights, of Fejér's first rule."""
    angles = (np.arange(_NODES) + 0.5) * np.pi / _NODES
    orders = np.arange(1, _NODES // 2 + 1)[:, None]
    sums = np.sum(np.cos(2.0 * orders * angles) / (4.0 * orders**2 - 1.0), axis=0)
    half = 0.5 * (stop - start)
    return start + half * (1.0 - np.cos(angles)), half * 2.0 / _NODES * (1.0 - 2.0 * sums)


def _trace(
    velocity: AbstractVelocity, frame: Float[Array, "m d"], packed: Float[Array, " _"]
) -> Scalar:
    """Σ_m ⟨u_m, Dv u_m⟩ at a point and its time, the last entry."""
    _, push = jax.linearize(lambda y: velocity.at(packed[-1], y), packed[:-1])
    return jnp.sum(frame * jax.vmap(push)(frame))


def dequantisation(levels: int, key: Key, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Noise uniform over one grey level of images in [-1, 1]."""
    return (2.0 * jax.random.uniform(key, x.shape, x.dtype) - 1.0) / (levels - 1)
