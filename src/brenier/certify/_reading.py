"""A dataclass from the plain numbers, strings and lists that it was written as."""

import dataclasses
import math
import types
from collections.abc import Mapping
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

import numpy as np
from jaxtyping import AbstractArray

from brenier._annotations import check_fields

Kind = TypeVar("Kind")

# JSON has no infinity: null is that of a bound from above, elsewhere no number.
_FROM_ABOVE = {"upper", "relative_upper"}


def read_dataclass(kind: type[Kind], plain: Any, name: str) -> Kind:
    """The dataclass of these fields; fields that it has no longer are passed over.

    Raises:
        ValueError: ``plain`` is no such dataclass, lacks a field, or has one of another kind.
    """
    if not isinstance(plain, Mapping):
        raise ValueError(f"{name}: got {type(plain).__name__}; wants the fields of a certificate.")
    hints, values = get_type_hints(kind), {}
    for field in dataclasses.fields(cast(Any, kind)):  # no type says that a class is a dataclass
        at = f"{name}.{field.name}"
        if field.name in plain:
            values[field.name] = _value(hints[field.name], plain[field.name], at)
        elif field.default is not dataclasses.MISSING:
            continue  # earlier files lack it
        elif hints[field.name] is np.ndarray:
            values[field.name] = np.zeros((0, 0))  # kept for pictures only, and not written
        else:
            raise ValueError(f"{at}: got nothing; wants this field of a certificate.")
    check_fields(kind, values, name)
    return kind(**values)


def _value(kind: Any, plain: Any, name: str) -> Any:
    arguments = get_args(kind)
    if isinstance(kind, types.UnionType):
        if plain is None and type(None) in arguments:
            return None
        (kind,) = (part for part in arguments if part is not type(None))
        return _value(kind, plain, name)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return read_dataclass(kind, plain, name)
    if get_origin(kind) is tuple and isinstance(plain, list):
        return tuple(_value(arguments[0], item, name) for item in plain)
    if isinstance(kind, type) and issubclass(kind, np.ndarray | AbstractArray):
        try:
            return np.asarray(plain, float)
        except (ValueError, TypeError, OverflowError):
            return plain  # which is told as the wrong kind
    if kind is float and plain is None:
        return math.inf if name.rpartition(".")[2] in _FROM_ABOVE else math.nan
    if kind is float and type(plain) is int:
        try:
            return float(plain)
        except OverflowError:
            raise ValueError(f"{name}: got an integer beyond all floats; wants float.") from None
    return plain
