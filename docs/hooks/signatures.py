"""Signatures of classes whose ``__init__`` is made when they are: equinox modules, dataclasses."""

import importlib
import inspect
from typing import Any

import griffe

_KINDS = {
    inspect.Parameter.POSITIONAL_ONLY: griffe.ParameterKind.positional_only,
    inspect.Parameter.POSITIONAL_OR_KEYWORD: griffe.ParameterKind.positional_or_keyword,
    inspect.Parameter.KEYWORD_ONLY: griffe.ParameterKind.keyword_only,
    inspect.Parameter.VAR_POSITIONAL: griffe.ParameterKind.var_positional,
    inspect.Parameter.VAR_KEYWORD: griffe.ParameterKind.var_keyword,
}


class MadeSignatures(griffe.Extension):
    """Gives each public class the parameters that Python finds, with the fields' annotations."""

    def on_class_members(self, *, cls: griffe.Class, **kwargs: Any) -> None:
        """Once the fields of a class are known."""
        if "__init__" in cls.members or not cls.is_public:
            return
        found = _class_object(cls)
        if found is None or inspect.isabstract(found) or not _made(found):
            return
        parameters = [
            griffe.Parameter(
                name,
                annotation=_annotation(found, cls, name),
                kind=_KINDS[parameter.kind],
                default=_default(parameter.default),
            )
            for name, parameter in inspect.signature(found).parameters.items()
        ]
        init = griffe.Function(
            "__init__",
            parameters=griffe.Parameters(
                griffe.Parameter("self", kind=griffe.ParameterKind.positional_or_keyword),
                *parameters,
            ),
            parent=cls,
        )
        cls.set_member("__init__", init)


def _class_object(cls: griffe.Class) -> type | None:
    try:
        found = getattr(importlib.import_module(cls.module.path), cls.name, None)
    except ImportError:  # of an optional library
        return None
    return found if isinstance(found, type) else None


def _made(found: type) -> bool:
    return hasattr(found, "__dataclass_fields__")


def _annotation(found: type, cls: griffe.Class, name: str) -> Any:
    """As it is written, in the class or in the one that it inherits the field from."""
    if name in cls.members and cls.members[name].is_attribute:
        return cls.members[name].annotation
    for base in found.__mro__:
        written = inspect.get_annotations(base).get(name)
        if written is not None:
            return written if isinstance(written, str) else _type_text(written)
    return None


def _type_text(annotation: Any) -> str:
    text = getattr(annotation, "__name__", "") or str(annotation)
    return text.replace("typing.", "")


def _default(value: Any) -> str | None:
    if value is inspect.Parameter.empty:
        return None
    text = getattr(value, "__name__", None) or repr(value)
    return text if len(text) < 40 and "<" not in text else "..."
