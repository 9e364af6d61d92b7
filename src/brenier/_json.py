"""Results of computations as JSON, and JSON read."""

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

_DEPTH = 100


def json_text(result: Any) -> str:
    """JSON of nested results; arrays become lists, paths strings, NaN and infinity null.

    >>> from pathlib import Path
    >>> json_text({"a": np.float32(0.5), "b": [math.nan], "c": Path("x")})
    '{"a": 0.5, "b": [null], "c": "x"}'
    """
    return json.dumps(_plain(result), allow_nan=False, ensure_ascii=False)


def parsed_json(name: str, text: str | bytes) -> Any:
    """What a JSON text says; where it is none, a ``ValueError`` that begins with ``name``.

    What is nested so deep that Python could not write it again is none.

    >>> parsed_json("a.json", "[1, 2")
    Traceback (most recent call last):
        ...
    ValueError: a.json: got no JSON (Expecting ',' delimiter: line 1 column 6 (char 5)).
    """
    try:
        plain = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name}: got no JSON ({error}).") from error
    level = [plain] if isinstance(plain, dict | list) else []
    for _ in range(_DEPTH):
        lists = [part.values() if isinstance(part, dict) else part for part in level]
        level = [item for part in lists for item in part if isinstance(item, dict | list)]
    if level:
        raise ValueError(f"{name}: got JSON nested deeper than {_DEPTH}; wants less.")
    return plain


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
