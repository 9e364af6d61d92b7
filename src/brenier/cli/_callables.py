"""Maps of a user's own: ``module:function`` on the command line, which imports that module."""

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any


def names_callable(spec: str) -> bool:
    """Whether a word names a callable in a module, and no file.

    >>> names_callable("mymaps:net.forward"), names_callable("C:\\\\maps\\\\a.brenier")
    (True, False)
    """
    module, colon, attribute = spec.partition(":")
    words = [*module.split("."), *attribute.split(".")]
    return bool(colon) and all(map(str.isidentifier, words)) and not Path(spec).exists()


def check_map_file(spec: str) -> None:
    """Raise a ``ValueError`` where a module was meant that only module:function names."""
    file, _, attribute = spec.partition(":")
    path, ending = Path(file), Path(file).suffix
    if ending == ".py" or not (ending or attribute or path.exists()):
        module = path.stem if path.stem.isidentifier() else "module"
        raise ValueError(
            f"MAP: got {spec}; wants a .brenier file, a model folder, or module:function, as in "
            f"{module}:{attribute or 'function'} (of a module in this folder or installed)."
        )


def load_callable(spec: str) -> Callable[..., Any]:
    """What ``module:attribute`` names; the module is imported, from the current folder too.

    Raises:
        ValueError: a file in the place of a module, no such module, one that cannot be imported,
            no such attribute, or one that is not callable.
    """
    name, _, path = spec.partition(":")
    if Path(name).suffix == ".py":
        check_map_file(spec)
    found: Any = _imported(name)
    seen = name
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise ValueError(
                f"MAP: got {spec}, but {seen} has no {part!r}; wants module:function"
                f"{_offered(found)}."
            ) from None
        seen = f"{seen}:{part}" if seen == name else f"{seen}.{part}"
    if not callable(found):
        raise ValueError(
            f"MAP: got {spec}, a {type(found).__name__}; wants a callable of points (n, d) (of an "
            f"estimator, its method: {spec}.transform)."
        )
    return found


def _imported(name: str) -> ModuleType:
    folder = os.getcwd()
    if folder not in sys.path:
        # It stays there: the module may import its neighbours later.
        sys.path.insert(0, folder)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise ValueError(
                f"MAP: got the module {name}, which imports {error.name}, and that is not "
                "installed; wants a module that can be imported."
            ) from error
        raise ValueError(
            f"MAP: got no module {error.name} in {folder} or among the installed ones; wants "
            "module:function, a .brenier file or a model folder."
        ) from None
    except (Exception, SystemExit) as error:
        raise ValueError(
            f"MAP: got {type(error).__name__} ({error}) on importing {name}; wants a module that "
            "can be imported (what a script does goes under if __name__ == '__main__')."
        ) from error


def _offered(found: Any) -> str:
    """The callables that a module defines itself, for a message."""
    if not isinstance(found, ModuleType):
        return ""
    own = [
        name
        for name, value in vars(found).items()
        if name[0] != "_" and callable(value) and getattr(value, "__module__", "") == found.__name__
    ]
    return f", with one of {', '.join(own[:10])}" if own else ""
