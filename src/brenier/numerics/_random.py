"""Random numbers of NumPy that follow from a JAX key."""

import jax
import numpy as np

from brenier._types import Key


def numpy_generator(key: Key) -> np.random.Generator:
    """NumPy's generator, seeded with the data of the key: equal keys give equal draws.

    >>> first, second = (numpy_generator(jax.random.key(0)).normal() for _ in range(2))
    >>> first == second
    True
    """
    return np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())
