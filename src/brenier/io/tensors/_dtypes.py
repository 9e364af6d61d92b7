"""NumPy's dtypes by their names, with those of machine learning."""

import numpy as np

# Those that NumPy does not have itself; JAX brings them.
_OF_LEARNING = ("bfloat16", "float8_e4m3fn", "float8_e5m2")


def as_dtype(name: str) -> np.dtype:
    """The dtype of a name; "bytes" for numbers of no type yet.

    >>> as_dtype("bfloat16").itemsize, as_dtype("bytes").itemsize
    (2, 1)
    """
    if name in _OF_LEARNING:
        # Here: who reads other files need not wait for JAX.
        import jax.numpy as jnp

        return np.dtype(getattr(jnp, name))
    return np.dtype("uint8" if name == "bytes" else name)
