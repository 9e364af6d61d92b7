"""``jaxtyped`` of the first calls of a function in each test, for ``conftest``.

It is loaded in jaxtyping's name, which our warnings pass over where they look for the user's line.
"""

import functools
import inspect
from collections import Counter
from typing import Any

import jaxtyping

# Those of an inner loop, 100,000 calls, took a fifth of the suite.
_CHECKED = 8
CALLS: Counter[int] = Counter()
_jaxtyped: Any = jaxtyping.jaxtyped


def first_calls_jaxtyped(function: Any = None, *, typechecker: Any = None) -> Any:
    """In the place of ``jaxtyped``; the checks of a function are made when it is first called."""
    if function is None:
        return functools.partial(first_calls_jaxtyped, typechecker=typechecker)
    if function == "context":
        return _jaxtyped(function)
    if not inspect.isfunction(function):
        return _jaxtyped(function, typechecker=typechecker)
    code, checked = id(function.__code__), None

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        nonlocal checked
        __tracebackhide__ = True
        if CALLS[code] >= _CHECKED:
            return function(*args, **kwargs)
        CALLS[code] += 1
        if checked is None:
            checked = _jaxtyped(function, typechecker=typechecker)
        return checked(*args, **kwargs)

    return called
