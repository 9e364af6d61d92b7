"""What XLA's compiler leaves in the process goes back to the system."""

import ctypes
import functools
import sys
from typing import Any

# Seconds of a compilation that leaves much: some 20 MB each.
_LONG = 2.0
# What JAX tells its listeners when a program is compiled, or read from the disk.
_EVENT = "/jax/core/compile/backend_compile_duration"


@functools.cache
def give_back_after_compiling() -> None:
    """From now on, and once for all: after a long compilation freed memory leaves the process.

    glibc keeps what its threads have freed, for each of them: of a network of half a billion
    weights 0.3 GB, while the network runs. Elsewhere nothing is kept, or cannot be asked for.
    """
    import jax

    if sys.platform != "linux":
        return
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except AttributeError:  # another C library
        return

    def heard(event: str, duration_secs: float, **_: Any) -> None:
        if event == _EVENT and duration_secs > _LONG:
            trim(0)

    jax.monitoring.register_event_duration_secs_listener(heard)
