"""How long JAX compiled, so that an audit can say it apart from its own work."""

from collections.abc import Iterator
from contextlib import contextmanager

from jax import monitoring

_COMPILING = "/jax/core/compile/"


class Compiling:
    """The seconds that JAX has compiled within ``compiling``."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def hear(self, event: str, duration_secs: float, **_: str | int) -> None:
        """What JAX calls at the end of each part of a compilation."""
        if event.startswith(_COMPILING):
            self.seconds += duration_secs


@contextmanager
def compiling() -> Iterator[Compiling]:
    """Count the compilations until the end of the block."""
    found = Compiling()
    monitoring.register_event_duration_secs_listener(found.hear)
    try:
        yield found
    finally:
        monitoring.unregister_event_duration_listener(found.hear)
