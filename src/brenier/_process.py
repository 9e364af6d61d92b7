"""A child forked after JAX began its threads has none of them, and would wait for them for ever."""

import os
import sys
from typing import Any

_forked = False


def notice_forks() -> None:
    """From now on ``check_process`` knows of children that were forked too late."""
    if sys.platform != "win32":
        os.register_at_fork(after_in_child=_look)


def check_process() -> None:
    """Raise in a child that was forked after JAX's first use, where JAX would hang.

    Raises:
        RuntimeError: this is such a child.
    """
    if _forked:
        raise RuntimeError(
            "this process was forked after JAX was first used, and in such a child JAX hangs; "
            "start workers by multiprocessing.get_context('spawn') or joblib's loky, or fork "
            "before the first map is fitted or called."
        )


def _look() -> None:
    global _forked
    bridge: Any = sys.modules.get("jax._src.xla_bridge")
    # JAX has no public word for it; without this one it is taken as used.
    used = getattr(bridge, "backends_are_initialized", lambda: True)
    _forked = _forked or bool(used())
