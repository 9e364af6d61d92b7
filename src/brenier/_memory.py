"""What is said where a device has no memory left, in the place of the library's own page."""

import re

_EXHAUSTED = re.compile("RESOURCE_EXHAUSTED|out.of.memory", re.IGNORECASE)
# Sizes as libraries write them: "400000000 bytes", "16.00GiB".
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?(bytes|B|[KMGT]iB)\b")
_UNITS = {"bytes": 1.0, "B": 1.0, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30, "TiB": 2.0**40}


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says so: Python's, JAX's or torch's.

    >>> is_out_of_memory(MemoryError()), is_out_of_memory(RuntimeError("no solution"))
    (True, False)
    """
    if isinstance(error, RuntimeError):  # JAX has one class for whatever happens on a device
        return _EXHAUSTED.search(str(error)) is not None
    return isinstance(error, MemoryError)


def in_words(error: BaseException) -> MemoryError:
    """What was asked for, what there is and what would fit, raised where the error was."""
    import jax  # here: ``import brenier`` alone does not wait for it

    found = _SIZE.search(str(error))
    asked = None if found is None else float(found[1]) * _UNITS[found[2]]
    device = jax.local_devices()[0]
    stats = device.memory_stats() or {}  # none of a CPU
    said = f"{device.device_kind}: no room for {'more' if asked is None else _size(asked)}"
    if "bytes_limit" in stats:
        free = float(max(stats["bytes_limit"] - stats["bytes_in_use"], 0))
        said += f", where {_size(free)} are free"
        if asked is not None and 0 < free < asked:
            said += f"; what takes {free / asked:.2g} of it would fit"
    words = MemoryError(
        f"{said} (a smaller block, where the call has one; float32, which takes half of float64; "
        "fewer points at once)."
    )
    return words.with_traceback(error.__traceback__)


def _size(count: float) -> str:
    """So many bytes in the unit in which they are read."""
    unit = [unit for unit, size in _UNITS.items() if unit != "B" and size <= max(count, 1.0)][-1]
    return f"{count / _UNITS[unit]:.3g} {unit}"
