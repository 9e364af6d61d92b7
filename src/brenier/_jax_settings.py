"""What brenier sets up as soon as JAX is there: programs kept on the disk, a watch for forks."""

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


def set_up_jax() -> None:
    """At once where JAX is imported, else when it first is: no array depends on the order."""
    if "jax" in sys.modules:
        import jax  # another thread may be half way through it

        _set_up(jax)
    else:
        sys.meta_path.insert(0, _JaxFinder())


def _set_up(jax: Any) -> None:
    # Here, since ``import brenier`` alone waits for neither.
    from brenier._process import notice_forks
    from brenier._program_cache import keep_programs

    keep_programs(jax.config)
    notice_forks()


class _JaxFinder:
    """Finds JAX where the others do, sets it up after its first import, and is gone then."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "jax":
            return None
        others = [finder for finder in sys.meta_path if finder is not self]
        found = (finder.find_spec(fullname, path, target) for finder in others)
        spec = next(filter(None, found), None)
        if spec is None or spec.loader is None:
            return None
        run = spec.loader.exec_module

        def run_and_set_up(module: ModuleType) -> None:
            run(module)
            sys.meta_path.remove(self)
            _set_up(module)

        # Who only asks whether JAX is installed gets this too, and never runs it. The loader is
        # patched, not wrapped: others ask it for more than to run.
        spec.loader.exec_module = run_and_set_up  # type: ignore[method-assign]
        return spec
