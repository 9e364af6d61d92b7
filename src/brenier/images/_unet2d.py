"""The ``UNet2DModel`` of the diffusers library, with its weights by its own names."""

from collections.abc import Mapping

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier._checks import to_device
from brenier._types import Array, Float, Key, Scalar
from brenier.images._diffusers_layers import Layers
from brenier.images._settings import changed_fields
from brenier.images._unet2d_pass import forward_pass
from brenier.images._unet2d_settings import UNet2DSettings


class UNet2D(eqx.Module):
    """diffusers' ``UNet2DModel`` as the network f(a, x, label) of an ``ImageModel``.

    Its output is what ``settings.noise`` makes of the network's own: ε where it predicts the noise,
    else v. Blocks are those of Ho et al. (2020), of Dhariwal & Nichol (2021) (``Resnet…``) and of
    Song et al. (2021) (``Skip…``); see ``UNet2DSettings`` for the switches.

    Not for training from the start: a ``UNet`` has the settings for that. What is trained further
    learns by the loss of ε or v, whatever it predicts itself.

    >>> net = UNet2D.random(jax.random.key(0), UNet2DSettings())
    >>> jax.eval_shape(net, jnp.array(0.5), jnp.zeros((8, 8, 1))).shape
    (8, 8, 1)
    """

    weights: dict[str, Array]
    settings: UNet2DSettings = eqx.field(static=True)

    @classmethod
    def random(cls, key: Key, settings: UNet2DSettings) -> "UNet2D":
        """A network with normal weights of variance 1 / inputs; not inside ``jit``.

        Raises:
            ValueError: settings that do not go together.
        """
        random = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())
        weights = {}
        for name, shape in wanted_shapes(settings).items():
            drawn = random.normal(size=shape) / np.prod(shape[:-1], initial=1.0) ** 0.5
            weights[name] = to_device(drawn.astype(np.float32))
        return cls(weights, settings)

    @classmethod
    def shapes(cls, settings: UNet2DSettings) -> "UNet2D":
        """The network with the shapes of its weights in their places.

        >>> UNet2D.shapes(UNet2DSettings()).weights["conv_in.bias"].shape
        (32,)
        """
        wanted = wanted_shapes(settings).items()

        def zeros() -> "UNet2D":
            return cls({name: jnp.zeros(shape, jnp.float32) for name, shape in wanted}, settings)

        return jax.eval_shape(zeros)

    @classmethod
    def of_tensors(
        cls, name: str, tensors: Mapping[str, np.ndarray], settings: UNet2DSettings
    ) -> "UNet2D":
        """The network with the tensors of a file, named as diffusers names them, or once did.

        Args:
            name: of the file, for messages.
            tensors: in PyTorch's order of axes.
            settings: the architecture.

        Raises:
            ValueError: a tensor that is missing, is not of the network, has another shape, or is no
                finite numbers.
        """
        try:
            wanted = wanted_shapes(settings)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
        tensors = _renamed(tensors)
        differ = sorted(set(wanted) ^ set(tensors))
        if differ:
            more = f" and {len(differ) - 1} others" if len(differ) > 1 else ""
            got = "no" if differ[0] in wanted else "the surplus"
            raise ValueError(
                f"{name}: got {got} tensor {differ[0]:.200}{more}; wants those of its "
                "configuration."
            )
        weights = {}
        for part, shape in wanted.items():
            weights[part] = to_device(_in_order(name, part, tensors[part], shape))
        return cls(weights, settings)

    def with_settings(self, settings: UNet2DSettings) -> "UNet2D":
        """The same weights in another architecture of the same shapes, as with other dropout.

        Raises:
            ValueError: settings that do not go together, or with other weights.

        >>> net = UNet2D.random(jax.random.key(0), UNet2DSettings())
        >>> net.with_settings(UNet2DSettings(dropout=0.1)).settings.dropout
        0.1
        """
        own = {name: tuple(weight.shape) for name, weight in self.weights.items()}
        if wanted_shapes(settings) != own:
            raise ValueError(
                f"settings: got other {changed_fields(self.settings, settings)}, which make other "
                "weights; wants settings that keep them."
            )
        return UNet2D(self.weights, settings)

    def __call__(
        self,
        signal: Scalar,
        image: Float[Array, "h w c"],
        label: Array | None = None,
        *,
        key: Key | None = None,
        checkpointed: bool = False,
    ) -> Float[Array, "h w c"]:
        """f(a, x, label) at one image.

        Args:
            signal: a in [0, 1].
            image: of shape ``settings.shape``.
            label: of a network with classes: a class, or a vector where they are of kind identity.
            key: draws the dropout; None, outside training, for no dropout.
            checkpointed: whether derivatives compute each block's activations again.

        Raises:
            ValueError: no label for a network with classes.
        """
        noise = self.settings.noise
        scaled = image * jnp.asarray(noise.input_scale(signal), image.dtype)
        step = noise.told(signal, image.dtype)
        layers = Layers(self.weights, key=key, checkpointed=checkpointed)
        found = forward_pass(layers, self.settings, step, scaled, label)
        return noise.answer(signal, image, found)

    def own(self, step: Scalar, image: Array, label: Array | None = None) -> Float[Array, "h w c"]:
        """What the network itself says of an image at a step: what diffusers' ``forward`` gives."""
        return forward_pass(Layers(self.weights), self.settings, step, image, label)


def wanted_shapes(settings: UNet2DSettings) -> dict[str, tuple[int, ...]]:
    """The weights of a network by name and shape, channels out last.

    Raises:
        ValueError: settings that do not go together.

    >>> wanted_shapes(UNet2DSettings())["conv_in.weight"]
    (3, 3, 1, 32)
    """
    seen: dict[str, tuple[int, ...]] = {}
    label = None
    if settings.classes:
        kind = settings.class_embed_type
        size = (settings.condition,) if kind == "identity" else ()
        label = jax.ShapeDtypeStruct(size, jnp.float32 if kind == "identity" else jnp.int32)
    image = jax.ShapeDtypeStruct(settings.shape, jnp.float32)
    step = jax.ShapeDtypeStruct((), jnp.float32)

    def forward(step: Scalar, image: Array, label: Array | None) -> Array:
        return forward_pass(Layers(None, seen), settings, step, image, label)

    # Blocks whose shapes do not go together (skip paths of another resolution) are found by JAX.
    try:
        jax.eval_shape(forward, step, image, label)
    except (TypeError, ZeroDivisionError) as error:
        raise ValueError(
            f"settings: got blocks that do not go together ({str(error).splitlines()[0]:.200}); "
            "wants a network that diffusers can make."
        ) from None
    return seen


def _renamed(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Names of attention layers before diffusers 0.13, in the present ones."""
    olds = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
    found = {}
    for name, array in tensors.items():
        layer, _, kind = name.rpartition(".")
        home, _, old = layer.rpartition(".")
        if "attentions." in home and old in olds:
            name = f"{home}.{olds[old]}.{kind}"
            array = array.reshape(array.shape[:2])  # 1 x 1 convolutions, in the oldest files
        # The downsampler once had its convolution twice, under two names.
        if "Conv2d_0" in name and name.replace("Conv2d_0", "conv") in tensors:
            continue
        found[name.replace("Conv2d_0", "conv")] = array
    return found


def _in_order(name: str, part: str, array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A tensor of PyTorch in our order of axes, in float32."""
    table = part in ("class_embedding.weight", "time_proj.weight")
    if array.ndim == 4:
        array = array.transpose(2, 3, 1, 0)
    elif array.ndim == 2 and not table:
        array = array.T
    if array.shape != shape or array.dtype.kind not in "fV":
        raise ValueError(
            f"{name}: got {part:.200} of shape {array.shape} and dtype {array.dtype} (channels out "
            f"last); wants {shape}, floats, by the configuration."
        )
    array = np.ascontiguousarray(array, np.float32)
    bad = int((~np.isfinite(array)).sum())
    if bad:
        raise ValueError(
            f"{name}: got {bad:,} of {array.size:,} weights of {part:.200} NaN or infinite; wants "
            "finite numbers."
        )
    return array
