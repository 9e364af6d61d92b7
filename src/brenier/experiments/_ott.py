"""OTT-JAX's neural dual, the peer of the maps from samples."""

import importlib.metadata
import importlib.util
import os
from collections.abc import Iterator
from typing import Any

import jax.numpy as jnp
import numpy as np


def ott_version() -> str | None:
    """The version of OTT-JAX, or None where it is not installed."""
    if importlib.util.find_spec("ott") is None:
        return None
    return importlib.metadata.version("ott-jax")


def neural_dual(x: np.ndarray, y: np.ndarray, seed: int, *, steps: int, batch: int) -> Any:
    """Potentials of ``ExpectileNeuralDual`` (ENOT) with its defaults."""
    # It has a progress bar and no argument for that.
    os.environ.setdefault("TQDM_DISABLE", "1")
    from ott.neural.methods.expectile_neural_dual import ExpectileNeuralDual

    def batches(points: np.ndarray, stream: int) -> Iterator[jnp.ndarray]:
        random = np.random.default_rng([seed, stream])
        while True:
            yield jnp.asarray(points[random.integers(len(points), size=batch)], jnp.float32)

    solver = ExpectileNeuralDual(x.shape[1], num_train_iters=steps, valid_freq=10**9)
    return solver(*(batches(points, stream) for stream, points in enumerate((x, y, x, y))))
