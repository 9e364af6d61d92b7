"""What XLA's compiler leaves in the process goes back to the system."""

import ctypes
import functools
import sys
import threading
from typing import Any

# Seconds of a compilation, or of reading a program, that leaves much: some 20 MB and more each.
_LONG = 0.2
# What JAX tells its listeners when a program is compiled, or read from the disk.
_EVENT = "/jax/core/compile/backend_compile_duration"
# Seconds after which JAX has let go of what it compiled from, and the program runs.
_AFTER = 1.0


@functools.cache
def give_back_after_compiling() -> None:
    """Now, and from now on after long compilations, freed memory leaves the process; once for all.

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
    trim(0)  # what reading weights has left

    def heard(event: str, duration_secs: float, **_: Any) -> None:
        if event == _EVENT and duration_secs > _LONG:
            trim(0)
            later = threading.Timer(_AFTER, trim, (0,))
            later.daemon = True
            later.start()

    jax.monitoring.register_event_duration_secs_listener(heard)
