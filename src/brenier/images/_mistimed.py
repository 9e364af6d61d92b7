"""A generator with the wrong schedule: a control for what the codes of a right one share."""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier._types import Array, Float, Int, Scalar
from brenier.images._model import ImageModel
from brenier.velocities import AbstractSchedule, CosineSchedule, LinearSchedule

# Times at which two schedules are compared; between them levels are interpolated.
_TIMES = 1001


class _Mistimed(eqx.Module):
    """A network that is told the noise level which another schedule has at the same time."""

    network: Callable[..., Any]
    actual: Float[Array, " k"]
    told: Float[Array, " k"]

    def __call__(
        self,
        signal: Scalar,
        image: Float[Array, "h w c"],
        label: Int[Array, ""] | Float[Array, " e"] | None,
    ) -> Float[Array, "h w c"]:
        told = jnp.interp(signal, self.actual, self.told).astype(jnp.result_type(signal))
        return self.network(told, image, label)


def mistimed(model: ImageModel) -> ImageModel:
    """The same weights under a wrong schedule: a control, not a model of anything.

    At signal a(t) the network is told b(t), where b is the linear or the cosine schedule, the one
    further from a. Its maps still take codes to pictures in the same steps, but integrate no
    probability flow, so that nothing says that they are near optimal transport, or agree with
    another model's: what a test finds of them too is no evidence for either.

    >>> import jax.numpy as jnp
    >>> model = ImageModel(lambda a, image, label: a * image, (1, 1, 1), "v", CosineSchedule())
    >>> right, wrong = (float(m.predicted(jnp.asarray(0.7), jnp.ones(1))[0])
    ...                 for m in (model, mistimed(model)))
    >>> round(right, 3), round(wrong, 3)
    (0.7, 0.277)
    """
    shares = jnp.linspace(0.0, 1.0, _TIMES)
    actual = np.asarray(jax.vmap(model.signal)(shares))
    others = [_levels(schedule, shares) for schedule in (LinearSchedule(), CosineSchedule())]
    told = max(others, key=lambda levels: float(np.abs(levels - actual).max()))
    # Interpolation wants increasing places.
    network = _Mistimed(model.network, jnp.asarray(actual[::-1]), jnp.asarray(told[::-1]))
    return dataclasses.replace(model, network=network)


def _levels(schedule: AbstractSchedule, shares: Float[Array, " k"]) -> Float[np.ndarray, " k"]:
    return np.asarray(jax.vmap(schedule.signal)(shares * schedule.duration))
