"""The ways from JAX's random keys to the generators of NumPy and SciPy."""

import jax
import numpy as np

from brenier._checks import check_key
from brenier._types import Key


def host_seed(key: Key) -> int:
    """The integer that a key holds, to seed a generator on the host: n of ``jax.random.key(n)``.

    Not for a key that JAX draws with as well: split it first, as for any two uses.

    Raises:
        ValueError: what is no key.

    >>> host_seed(jax.random.key(5))
    5
    """
    words = np.asarray(jax.random.key_data(check_key("key", key))).ravel()
    return int.from_bytes(words.astype(">u4").tobytes())


def numpy_generator(key: Key) -> np.random.Generator:
    """NumPy's generator, seeded with the data of the key: equal keys give equal draws.

    >>> first, second = (numpy_generator(jax.random.key(0)).normal() for _ in range(2))
    >>> first == second
    True
    """
    return np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())


def random_order(key: Key, count: int) -> np.ndarray:
    """The numbers below ``count`` in random order (count,), without a program of JAX's for each.

    >>> random_order(jax.random.key(0), 5).tolist()
    [2, 4, 3, 0, 1]
    """
    return numpy_generator(key).permutation(count)
