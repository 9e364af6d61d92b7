"""The one way from JAX's random keys to the generators of NumPy, SciPy and teneva."""

import jax
import numpy as np

from brenier._types import Key


def host_seed(key: Key) -> int:
    """The integer that a key holds, to seed a generator on the host: n of ``jax.random.key(n)``.

    Not for a key of which JAX draws as well: split it first, as for any two uses.

    >>> host_seed(jax.random.key(5))
    5
    """
    words = np.asarray(jax.random.key_data(key)).ravel()
    return int.from_bytes(words.astype(">u4").tobytes())
