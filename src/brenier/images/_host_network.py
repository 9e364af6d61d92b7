"""Networks of other frameworks (PyTorch, NumPy) inside image models."""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier._types import Array, Float, Int, Scalar


class HostNetwork(eqx.Module):
    """A network of any framework as the ``network`` of an ``ImageModel``, called batch by batch.

    It runs outside of JAX, on the host. Not for likelihoods and Jacobians, which need derivatives:
    the host gives values only.

    Args:
        function: a function of (signals (n,), images (n, h, w, c), labels (n,) or None) to
            (n, h, w, c), all NumPy arrays.

    Raises:
        ValueError: a function that is not callable; in a call, values of another shape.

    >>> import jax.numpy as jnp
    >>> half = HostNetwork(lambda signals, images, labels: 0.5 * images)
    >>> float(half(jnp.array(0.1), jnp.ones((2, 2, 1))).sum())
    2.0
    """

    function: Callable[[np.ndarray, np.ndarray, np.ndarray | None], Any]

    def __check_init__(self):
        if not callable(self.function):
            raise ValueError(f"function: got {type(self.function).__name__}; wants a callable.")

    def __call__(
        self, signal: Scalar, image: Float[Array, "h w c"], label: Int[Array, ""] | None = None
    ) -> Float[Array, "h w c"]:
        """The network at one image; under ``vmap``, at all images in one call."""
        out = jax.ShapeDtypeStruct(image.shape, image.dtype)
        given = (jnp.asarray(signal, image.dtype), image, *(() if label is None else (label,)))
        batched = functools.partial(self._batched, np.dtype(image.dtype))
        return jax.pure_callback(batched, out, *given, vmap_method="expand_dims")

    def _batched(self, dtype: np.dtype, signal: Any, image: Any, label: Any = None) -> np.ndarray:
        images = np.asarray(image)
        lead = np.broadcast_shapes(
            *(np.shape(part) for part in (signal, label) if part is not None), images.shape[:-3]
        )
        images = np.broadcast_to(images, (*lead, *images.shape[-3:]))
        flat = images.reshape(-1, *images.shape[-3:])
        signals = np.broadcast_to(np.asarray(signal), lead).ravel()
        labels = None if label is None else np.broadcast_to(np.asarray(label), lead).ravel()
        found = np.asarray(self.function(signals, flat, labels))
        if found.shape != flat.shape:
            raise ValueError(
                f"function: got values of shape {found.shape} for images of shape "
                f"{flat.shape}; wants the same shape."
            )
        # Threads of other devices have JAX's own settings, by which images came in float32.
        return found.reshape(images.shape).astype(dtype)
