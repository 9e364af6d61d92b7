"""Whether the fields of a dataclass hold what their annotations say, shapes included.

For what comes from a file: Python itself checks no annotation.
"""

import dataclasses
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import jax
import numpy as np
from jaxtyping import AbstractArray, Float, Real, jaxtyped

_SHOWN = 100  # characters of a value that a message shows, at most
_NO_CLASS = ()  # of which nothing is an instance


def check_fields(kind: type, values: Mapping[str, Any], name: str) -> None:
    """Raise a ``ValueError`` that names the first field whose value is not of its annotation.

    Sizes that share a letter in the annotations of one class agree. A real number may stand as a
    Python number, an array of no axes, or an array of integers.

    >>> from brenier.maps import AffineMap
    >>> check_fields(AffineMap, {"matrix": np.eye(2), "offset": np.zeros((2, 2))}, "map")
    Traceback (most recent call last):
        ...
    ValueError: map.offset: got float64 of shape (2, 2); wants Float[Array, 'd'].
    """
    # In this frame: jaxtyping binds the letters by the frames that it knows of.
    with jaxtyped("context"):
        for field, annotation in _hints(kind).items():
            if field in values and not all(
                isinstance(part, wanted) for part, wanted in _parts(values[field], annotation)
            ):
                raise ValueError(
                    f"{name}.{field}: got {_shown(values[field])}; wants {_called(annotation)}."
                )


@cache
def _hints(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def _parts(value: Any, annotation: Any) -> Iterator[tuple[Any, Any]]:
    """Pairs of a part and the class, or classes, that it is to be an instance of."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is Any:
        return
    if origin in (Union, types.UnionType):
        choices = (list(_parts(value, part)) for part in arguments)
        fitting = (pairs for pairs in choices if all(isinstance(*pair) for pair in pairs))
        yield from next(fitting, [(value, _NO_CLASS)])
    elif origin is Literal:
        yield value, tuple({type(choice) for choice in arguments if choice == value})
    elif origin in (tuple, Sequence):
        yield value, tuple | list
        if isinstance(value, tuple | list):
            fixed = origin is tuple and ... not in arguments
            kinds = arguments if fixed else arguments[:1] * len(value)
            if len(kinds) != len(value):
                yield value, _NO_CLASS
            for item, kind in zip(value, kinds, strict=False):
                yield from _parts(item, kind)
    elif annotation in (int, float):
        yield value, _number(value, annotation)
    elif isinstance(annotation, type) and issubclass(annotation, AbstractArray):
        array = np.asarray(value) if isinstance(value, int | float) else value
        yield array, _of_any_library(annotation)
    elif annotation is jax.Array:
        yield value, jax.Array | np.ndarray
    else:
        yield value, origin or annotation


def _number(value: Any, kind: type) -> Any:
    if isinstance(value, bool):
        return _NO_CLASS
    if kind is int:
        return int
    return int | float | _of_any_library(Float[Any, ""])


@cache
def _of_any_library(annotation: Any) -> Any:
    """The same for arrays of NumPy and of JAX, and for integers where real numbers are wanted."""
    dtype = Real if annotation.dtype is Float else annotation.dtype
    return dtype[Any, annotation.dim_str]


def _shown(value: Any) -> str:
    if isinstance(value, jax.Array | np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    if dataclasses.is_dataclass(value) or callable(value):
        return str(getattr(value, "__name__", type(value).__name__))
    text = " ".join(repr(value).split())
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _called(annotation: Any) -> str:
    """An annotation as it stands in the source."""
    if isinstance(annotation, type) and issubclass(annotation, AbstractArray):
        return f"{annotation.dtype.__name__}[Array, {annotation.dim_str!r}]"
    if isinstance(annotation, types.UnionType):
        return " or ".join(map(_called, get_args(annotation)))
    if annotation is type(None):
        return "nothing"
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    return re.sub(r"(\w+\.)+(?=\w)", "", str(annotation))
