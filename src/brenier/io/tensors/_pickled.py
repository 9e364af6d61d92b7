"""A closed reader of pickles: containers, numbers, texts and tensors, and no code.

Python's own unpickler imports and calls what a pickle names. This one has a table of the few
things that a file of weights needs; all else is refused by its name.
"""

import io
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from brenier.io._refusals import one_line

_MARK = object()
_WANTS = "wants tensors in dictionaries, and nothing else (no code of the file is run)"
# What opcodes that carry their value push.
_NUMBERS = ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT")
_BYTES = ("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8")
_TEXTS = ("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8")
_VALUES = frozenset((*_NUMBERS, *_BYTES, *_TEXTS))
_CONSTANTS: dict[str, Any] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], Any]] = {
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
}
_BUILDERS: dict[str, Callable[[list[Any]], Any]] = {
    "LIST": list,
    "TUPLE": tuple,
    "DICT": lambda items: dict(_pairs(items)),
}
# Tuples within tuples could be made whose hash or text takes for ever.
_KEYS = (str, bytes, int, float, type(None))
_DTYPES = {
    "float64": "float64", "double": "float64", "float32": "float32", "float": "float32",
    "float16": "float16", "half": "float16", "bfloat16": "bfloat16",
    "float8_e4m3fn": "float8_e4m3fn", "float8_e5m2": "float8_e5m2",
    "int64": "int64", "long": "int64", "int32": "int32", "int": "int32",
    "int16": "int16", "short": "int16", "int8": "int8",
    "uint8": "uint8", "uint16": "uint16", "uint32": "uint32", "uint64": "uint64",
    "bool": "bool", "complex64": "complex64", "complex128": "complex128",
}  # fmt: skip
"""torch's names of dtypes, in NumPy's words (bfloat16 and float8 are those of ml_dtypes)."""
_STORAGES = {
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16", "LongStorage": "int64", "IntStorage": "int32",
    "ShortStorage": "int16", "CharStorage": "int8", "ByteStorage": "uint8",
    "BoolStorage": "bool", "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128", "UntypedStorage": "bytes",
}  # fmt: skip
_HOMES_OF_STORAGES = ("torch", "torch.cuda", "torch.storage")
_CALLED = {
    "collections.OrderedDict": "dictionary",
    "torch._utils._rebuild_tensor": "tensor",
    "torch._utils._rebuild_tensor_v2": "tensor",
    "torch._utils._rebuild_tensor_v3": "tensor",
    "torch._utils._rebuild_parameter": "parameter",
}


@dataclass(frozen=True)
class Storage:
    """The numbers of one or more tensors, by the name that the file has for them."""

    key: str
    dtype: str
    count: int
    first: int = 0


@dataclass(frozen=True)
class PickledTensor:
    """A view of a storage, in elements; made an array by the file that holds the storage."""

    storage: Storage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


@dataclass(frozen=True)
class _Named:
    """What a pickle may name: a function of the table, a kind of storage, or a dtype."""

    kind: str
    name: str


class Unpickled:
    """What one pickle says, with ``PickledTensor`` for tensors: a stack machine over its opcodes.

    Args:
        path: of the file, for messages.
        stream: it is read up to the end of the pickle.

    Raises:
        ValueError: a pickle that names, calls or builds anything else, or is damaged.
    """

    def __init__(self, path: Any, stream: io.BufferedReader | io.BytesIO):
        self.path = path
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.storages: dict[str, Storage] = {}
        try:
            for code, value, _ in pickletools.genops(stream):
                self._step(code.name, value)
            (self.value,) = self.stack
        except _RefusedError as error:
            raise ValueError(f"{path}: got {error}; {_WANTS}.") from None
        # What Python raises where a pickle's opcodes do not go together.
        except (ValueError, TypeError, LookupError, OverflowError) as error:
            raise ValueError(
                f"{path}: got a damaged pickle ({one_line(error)}); wants a file that torch.save "
                "wrote."
            ) from None

    def _step(self, code: str, value: Any) -> None:
        stack = self.stack
        if code in _VALUES:
            stack.append(value)
        elif code in _CONSTANTS:
            stack.append(_CONSTANTS[code])
        elif code in _EMPTY:
            stack.append(_EMPTY[code]())
        elif code in _BUILDERS:
            stack.append(_BUILDERS[code](self._since_mark()))
        elif code in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(code[-1])
            stack[-count:] = [tuple(stack[-count:])]
        elif code == "MARK":
            stack.append(_MARK)
        elif code in ("APPEND", "APPENDS", "SETITEM", "SETITEMS"):
            self._fill(code)
        elif code in ("PUT", "BINPUT", "LONG_BINPUT"):
            self.memo[value] = stack[-1]
        elif code == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif code in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(self.memo[value])
        elif code == "POP":
            stack.pop()
        elif code == "POP_MARK":
            self._since_mark()
        elif code == "DUP":
            stack.append(stack[-1])
        elif code == "GLOBAL":
            stack.append(_named(*value.split(" ", 1)))
        elif code == "STACK_GLOBAL":
            name, module = stack.pop(), stack.pop()
            stack.append(_named(module, name))
        elif code == "BINPERSID":
            stack.append(self._storage(stack.pop()))
        elif code == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(_called(function, arguments))
        elif code == "BUILD":
            # What an ordered dictionary carries besides: versions of its modules.
            stack.pop()
            if not isinstance(stack[-1], dict):
                raise _RefusedError(f"a pickle that sets the state of a {_kind(stack[-1])}")
        elif code not in ("PROTO", "FRAME", "STOP"):
            raise _RefusedError(f"a pickle with the opcode {code}")

    def _since_mark(self) -> list[Any]:
        """What was pushed since the last mark, taken off with it."""
        place = len(self.stack) - 1
        while self.stack[place] is not _MARK:
            place -= 1
        items = self.stack[place + 1 :]
        del self.stack[place:]
        return items

    def _fill(self, code: str) -> None:
        """Items into the container below them."""
        many = code.endswith("S")
        count = 2 if code == "SETITEM" else 1
        items = self._since_mark() if many else [self.stack.pop() for _ in range(count)][::-1]
        into = self.stack[-1]
        if isinstance(into, dict) and code.startswith("SETITEM"):
            into.update(_pairs(items))
        elif isinstance(into, list) and code.startswith("APPEND"):
            into.extend(items)
        else:
            raise _RefusedError(f"a pickle that adds items to a {_kind(into)}")

    def _storage(self, saved: Any) -> Storage:
        """The storage that a persistent id describes: kind, key, device, length, view or None."""
        if not isinstance(saved, tuple) or len(saved) not in (5, 6) or saved[0] != "storage":
            raise _RefusedError(f"a pickle with the persistent id {_kind(saved)}")
        _, kind, key, _, count, *view = saved
        if not isinstance(key, str | int):
            raise _RefusedError(f"a pickle with a storage named by a {_kind(key)}")
        if not isinstance(kind, _Named) or kind.kind != "storage":
            raise _RefusedError(f"a pickle with a storage of the type {_kind(kind)}")
        whole = Storage(str(key), kind.name, _count(count))
        known = self.storages.setdefault(whole.key, whole)
        if known != whole:
            raise _RefusedError(f"a pickle with two storages of the name {whole.key!r:.50}")
        if not view or view[0] is None:
            return whole
        # Before PyTorch 0.4 a storage could be a part of another one.
        _, first, length = view[0]
        if _count(first) + _count(length) > whole.count:
            raise _RefusedError(f"a view beyond the end of the storage {whole.key!r:.50}")
        return Storage(whole.key, whole.dtype, length, first)


class _RefusedError(Exception):
    """What a pickle asks for and does not get."""


def _pairs(items: list[Any]) -> list[tuple[Any, Any]]:
    """Keys and values in turn, as pairs."""
    for key in items[::2]:
        if not isinstance(key, _KEYS):
            raise _RefusedError(f"a pickle with a {_kind(key)} as a key")
    return list(zip(items[::2], items[1::2], strict=True))


def _named(module: Any, name: Any) -> _Named:
    """What a pickle may mean by a name."""
    if not isinstance(module, str) or not isinstance(name, str):
        raise _RefusedError(f"a pickle that asks for a {_kind(name)} by name")
    full = f"{module}.{name}"
    if full in _CALLED:
        return _Named("function", full)
    if name in _STORAGES and module in _HOMES_OF_STORAGES:
        return _Named("storage", _STORAGES[name])
    if module == "torch" and name in _DTYPES:
        return _Named("dtype", _DTYPES[name])
    raise _RefusedError(f"a pickle that asks for {full!r:.200}")


def _called(function: Any, arguments: Any) -> Any:
    """The result of one of the few functions that a pickle may call."""
    if not isinstance(function, _Named) or function.kind != "function":
        raise _RefusedError(f"a pickle that calls a {_kind(function)}")
    if not isinstance(arguments, tuple):
        raise _RefusedError(f"a pickle that calls {function.name} with a {_kind(arguments)}")
    kind = _CALLED[function.name]
    if kind == "dictionary":
        (pairs,) = arguments or ([],)
        return dict(_pairs([part for key, value in pairs for part in (key, value)]))
    if kind == "parameter":
        if not isinstance(arguments[0], PickledTensor):
            raise _RefusedError(f"a parameter made of a {_kind(arguments[0])}")
        return arguments[0]
    return _tensor(function.name, arguments)


def _tensor(name: str, arguments: tuple[Any, ...]) -> PickledTensor:
    """storage, offset, size, strides, and in the third version the dtype of a storage of bytes."""
    storage, offset, shape, strides = arguments[:4]
    if not isinstance(storage, Storage):
        raise _RefusedError(f"a tensor over a {_kind(storage)}")
    if not isinstance(shape, tuple) or not isinstance(strides, tuple) or len(shape) != len(strides):
        raise _RefusedError(f"a tensor with a {_kind(shape)} as its shape")
    dtype = storage.dtype
    if name.endswith("_v3"):
        given = arguments[6]
        if not isinstance(given, _Named) or given.kind != "dtype":
            raise _RefusedError(f"a tensor of the dtype {_kind(given)}")
        dtype = given.name
    return PickledTensor(
        storage, dtype, _count(offset), tuple(map(_count, shape)), tuple(map(_count, strides))
    )


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**62:
        raise _RefusedError(f"a {_kind(value)} as a size, or one out of range")
    return value


def _kind(value: Any) -> str:
    return value.name if isinstance(value, _Named) else type(value).__name__
