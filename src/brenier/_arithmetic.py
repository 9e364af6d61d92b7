"""The arithmetic that brenier computes in: float64 where asked for, float32 products not rounded.

Both are settings of JAX, which belong to the user: outside of brenier's calls they stay as they
are. Here they are set for the length of a call, around every public function, constructor and
method, so that results depend neither on the caller's settings nor on the device: some GPUs
multiply float32 matrices in TF32, with 10 bits, unless they are told not to.

Inside of a user's own ``jit``, ``grad`` or ``vmap`` JAX computes in float32 unless the user allows
float64: there a call does so too, of parameters in float32, and its result says so by its dtype.
"""

import functools
import inspect
import pickle
import warnings
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from brenier._memory import in_words, is_out_of_memory
from brenier._process import check_process

Function = TypeVar("Function", bound=Callable[..., Any])

# What marks a function that is in own arithmetic.
GUARDED = "__in_own_arithmetic__"
# Methods of Python's own that compute.
_MAGIC = ("__init__", "__check_init__", "__call__")


# Whether products are in another precision than own arithmetic's, as somebody asked.
_ASKED: ContextVar[bool] = ContextVar("asked", default=False)


@contextmanager
def products_in(precision: str) -> Iterator[None]:
    """A block whose products of matrices are of this precision of JAX's, brenier's own included.

    For the one place where a user chooses so; sums and all else stay as they are.

    >>> import jax
    >>> with own_arithmetic(), products_in("tensorfloat32"), own_arithmetic():
    ...     jax.config.jax_default_matmul_precision
    'tensorfloat32'
    """
    import jax

    token = _ASKED.set(True)
    try:
        with jax.default_matmul_precision(precision):
            yield
    finally:
        _ASKED.reset(token)


def _precision() -> str:
    import jax

    now: Any = jax.config  # JAX's types do not know its settings
    return now.jax_default_matmul_precision if _ASKED.get() else "highest"


@contextmanager
def own_arithmetic() -> Iterator[None]:
    """A block in which arrays may be float64, and products of matrices are of the dtype's digits.

    Another thread than the one that opens it keeps its own settings.

    >>> import jax, jax.numpy as jnp
    >>> with jax.enable_x64(False), own_arithmetic():
    ...     jnp.ones(2).dtype
    dtype('float64')
    """
    import jax  # here: ``import brenier`` alone does not wait for it

    with jax.enable_x64(True), jax.default_matmul_precision(_precision()):
        yield


def keep_own_arithmetic() -> None:
    """Own arithmetic to the end of a process that is brenier's alone, a worker's."""
    import jax

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_default_matmul_precision", "highest")


def in_own_arithmetic(function: Function) -> Function:
    """The function, each call of which (each step, of a generator) is in ``own_arithmetic``."""
    if getattr(function, GUARDED, False):  # one that is public in two rooms
        return function
    if inspect.isgeneratorfunction(function):

        @functools.wraps(function)
        def steps(*args: Any, **kwargs: Any) -> Iterator[Any]:
            advance = in_own_arithmetic(function(*args, **kwargs).__next__)
            while True:
                try:
                    item = advance()
                except StopIteration as end:
                    return end.value
                yield item

        setattr(steps, GUARDED, True)
        return steps  # type: ignore[return-value]

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return _called(function, args, kwargs)
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise in_words(error) from None
            raise

    setattr(call, GUARDED, True)
    return call  # type: ignore[return-value]


def _called(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    check_process()
    import jax

    # JAX's types do not know its settings.
    now: Any = jax.config
    if now.jax_enable_x64:
        if now.jax_default_matmul_precision == _precision():
            return function(*args, **kwargs)
    else:
        # An object that is being made has no leaves yet.
        own = args[:1] if function.__name__ == "__init__" else ()
        given = (args[len(own) :], kwargs)
        if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(given)):
            rest, named = jax.tree.map(_single, given)
            with jax.default_matmul_precision(_precision()), warnings.catch_warnings():
                # What asks for float64 inside gets float32, as the result says.
                warnings.filterwarnings("ignore", "Explicitly requested dtype float64")
                return function(*own, *rest, **named)
    with own_arithmetic():
        result = function(*args, **kwargs)
        leaves = [leaf for leaf in jax.tree.leaves(result) if isinstance(leaf, jax.Array)]
        if leaves and jax.default_backend() == "cpu":
            # A CPU tells of memory that it lacks when a result is waited for.
            jax.block_until_ready([x for x in leaves if not isinstance(x, jax.core.Tracer)])
        return result


def _single(leaf: Any) -> Any:
    """An array that JAX would not take in float64, in float32."""
    return leaf.astype("float32") if getattr(leaf, "dtype", None) == "float64" else leaf


def guard(room: MutableMapping[str, Any], names: Sequence[str] | None = None) -> None:
    """Put every public function, and the public methods of every public class, in own arithmetic.

    The last line of a room: ``guard(globals())``. What computes by JAX cannot do so in a child that
    was forked too late: there each call raises instead.

    Args:
        room: the names of the module; those in ``__all__`` are public.
        names: those of them that compute, where others do without JAX; all when None.
    """
    for name in room["__all__"] if names is None else names:
        member = room[name]
        if inspect.isclass(member):
            if not issubclass(member, BaseException):
                _guard_class(member)
        elif inspect.unwrap(member) is not member or inspect.isfunction(member):
            room[name] = in_own_arithmetic(member)
            # Where it is public, and can be pickled by name.
            room[name].__module__ = room["__name__"]


def _guard_class(owner: type) -> None:
    if not issubclass(owner, tuple) and owner.__reduce_ex__ is object.__reduce_ex__:
        owner.__reduce_ex__ = _reduced  # type: ignore[method-assign]
    for name, member in list(vars(owner).items()):
        if name.startswith("_") and name not in _MAGIC:
            continue
        guarded: Any = None
        if isinstance(member, staticmethod | classmethod):
            guarded = type(member)(in_own_arithmetic(member.__func__))
        elif isinstance(member, property):
            getter = None if member.fget is None else in_own_arithmetic(member.fget)
            guarded = property(getter, member.fset, member.fdel, member.__doc__)
        elif inspect.isfunction(member):
            guarded = in_own_arithmetic(member)
        if guarded is not None:
            setattr(owner, name, guarded)


def _reduced(self: Any, protocol: Any) -> Any:
    """How an object is pickled: whole, so that its arrays are made again in own arithmetic."""
    parts: Any = object.__reduce_ex__(self, max(int(protocol), 2))
    made, arguments, state, *_ = parts
    return _restored, (pickle.dumps((made, arguments, state), protocol),)


def _restored(data: bytes) -> Any:
    """The object again."""
    check_process()
    with own_arithmetic():
        made, arguments, state = pickle.loads(data)
        found = made(*arguments)
        if state is not None:
            restore = getattr(found, "__setstate__", None) or vars(found).update
            restore(state)
    return found
