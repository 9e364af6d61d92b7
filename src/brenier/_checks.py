"""Checks of what users hand in: a clear ``ValueError`` at the entry, or a clean array."""

import contextlib
import datetime
import numbers
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from brenier._frames import Frame, known_entries, opened_frame, whole_floats
from brenier._memory import is_out_of_memory
from brenier._types import Array, Batch

# What makes an array of records one of numbers.
OF_RECORDS = "np.array(x.tolist())"
# Beyond this float64 does not represent every integer.
_EXACT_INTEGER = 2**53
# Units of rounding that a spread has, at least: two digits.
_LEAST_STEPS = 100.0
_MOMENTS = (datetime.date, datetime.time, np.datetime64)  # pandas' own are among them
_SPANS = (datetime.timedelta, np.timedelta64)
_SPARSE_MODULES = ("scipy.sparse", "sparse.", "jax.experimental.sparse", "cupyx.scipy.sparse")


class NotNumbersError(ValueError, TypeError):
    """Entries that are no numbers: for Python a fault of the type, for us one of the value."""


def as_float_array(name: str, value: Any) -> np.ndarray:
    """A NumPy floating array of what was given, in the machine's own byte order.

    Integers, booleans and wider floats become float64, narrower floats float32. Of data frames
    a missing entry is NaN.
    """
    frame = as_frame(name, value)
    if isinstance(frame, Frame):
        return frame.values
    _refuse_hiding(name, value)
    try:
        array = _native(np.asarray(value))
    except ValueError as error:
        raise ValueError(
            f"{name}: got rows that make no array ({error}); wants rows of one length."
        ) from None
    except (TypeError, RuntimeError) as error:  # tensors of others that are elsewhere, or traced
        if isinstance(error, jax.errors.JAXTypeError) or is_out_of_memory(error):
            raise
        raise ValueError(
            f"{name}: got a {type(value).__name__} that NumPy cannot read ({error}); wants an "
            "array."
        ) from None
    if array.dtype.kind in "mM":
        refuse_dates(name, array)
    if array.dtype == object:
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise NotNumbersError(
                f"{name}: got entries that are not numbers ({error}); wants a numeric array."
            ) from None
        except OverflowError:
            raise ValueError(
                f"{name}: got an integer beyond float64; wants smaller integers or floats."
            ) from None
    if jnp.issubdtype(array.dtype, np.integer) or array.dtype == np.bool_:
        if array.size and max(int(array.max()), -int(array.min())) > _EXACT_INTEGER:
            raise ValueError(
                f"{name}: got {array.dtype} integers beyond 2**53, which float64 cannot hold "
                "exactly; wants smaller integers or floats."
            )
        return array.astype(np.float64)
    if not jnp.issubdtype(array.dtype, np.floating):  # which knows bfloat16 too
        if array.dtype.names is not None:
            raise ValueError(
                f"{name}: got records of type {array.dtype}; wants real numbers ({OF_RECORDS})."
            )
        hint = " Complex data not supported." if array.dtype.kind == "c" else ""
        raise NotNumbersError(f"{name}: got dtype {array.dtype}; wants real numbers.{hint}")
    if array.size and not (isinstance(value, np.ndarray | jax.Array) and value.dtype != object):
        _check_exact(name, value, array)
    return array.astype(np.float32) if array.dtype.itemsize < 4 else array


def as_frame(name: str, value: Any) -> Any:
    """A table as a ``Frame`` of floats: data frames of any library, ``io.Table``; others as is.

    Raises:
        ValueError: two columns of one label, a column of something else than numbers, integers
            that float64 cannot hold; the column is named.
    """
    if isinstance(value, np.ndarray | jax.Array | Frame):
        return value
    native = opened_frame(name, value)
    if native is None:
        is_own = type(value).__module__.startswith("brenier.io.")
        labels = getattr(value, "columns", None) if is_own else None
        return value if labels is None else Frame(value.values, list(labels))
    values = whole_floats(native)
    if values is None:
        columns = [_column(*column) for column in known_entries(name, native)]
        values = np.column_stack(columns) if columns else np.empty((len(native), 0))
    # Row after row, so that equal numbers give equal sums to the last bit.
    values = np.ascontiguousarray(as_float_array(name, values))
    return Frame(values, list(native.columns), native.implementation.value)


def _column(label: str, entries: np.ndarray, known: np.ndarray) -> np.ndarray:
    """A column of a frame as floats, NaN where it has no entry."""
    numbers = as_float_array(label, entries)
    column = np.full(len(known), np.nan, numbers.dtype)
    column[known] = numbers
    return column


def _check_exact(name: str, value: Any, array: np.ndarray) -> None:
    """Raise where integers among other numbers were rounded when all became floats."""
    if max(array.max(), -array.min()) < _EXACT_INTEGER:  # not so where one is NaN
        return
    entries = np.asarray(value, dtype=object)
    if entries.shape != array.shape:
        return
    for entry in entries[np.isfinite(array) & (np.abs(array) >= _EXACT_INTEGER)]:
        is_exact = isinstance(entry, numbers.Rational | Decimal)
        if is_exact and int(entry) == entry and int(entry) != float(entry):
            raise ValueError(
                f"{name}: got the integer {int(entry)}, which float64 cannot hold exactly; wants "
                "smaller integers or floats."
            )


def _native(array: np.ndarray) -> np.ndarray:
    """The array as JAX takes it: bytes in the machine's order, float64 at most."""
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        return array.astype(np.float64)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _refuse_hiding(name: str, value: Any) -> None:
    """Raise for arrays of which NumPy sees another thing: a mask is lost, sparse rows are none."""
    if isinstance(value, np.ma.MaskedArray):
        hidden = int(np.ma.count_masked(value))
        if hidden:
            raise ValueError(
                f"{name}: got a masked array with {hidden:,} entries masked; wants an array of "
                "numbers (drop those rows, or x.filled(value))."
            )
        return
    kind = type(value)
    # By the name of the module: what makes no sparse array need not import SciPy's.
    if kind.__module__.startswith(_SPARSE_MODULES):
        raise ValueError(
            f"{name}: got a sparse {kind.__name__} of shape {value.shape}; wants an array "
            "(x.toarray(), or x.todense() of JAX)."
        )


def check_points(
    name: str,
    value: Any,
    *,
    dimension: int | None = None,
    min_points: int = 1,
    allow_constant: bool = True,
    names: Sequence[Any] | None = None,
) -> np.ndarray:
    """A finite ``(n, d)`` array, or a ``ValueError``: the argument, what it got, what it wants.

    The messages hold the words that scikit-learn's checks of estimators look for.

    Args:
        name: of the argument, for the message.
        value: anything that NumPy reads as an array of numbers.
        dimension: d, where it is known.
        min_points: the least n.
        allow_constant: whether a column may be constant.
        names: of the columns, for the message; those of a data frame are known.
    """
    value = as_frame(name, value)
    if names is None and isinstance(value, Frame):
        names = value.columns
    array = as_float_array(name, value)
    if array.ndim != 2:
        hint = " Reshape your data: x[:, None] is one column." if array.ndim == 1 else ""
        raise ValueError(f"{name}: got shape {array.shape}; wants (n, d).{hint}")
    n, d = array.shape
    if d < 1:
        raise ValueError(
            f"{name}: got 0 feature(s) (shape={array.shape}) while a minimum of 1 is required."
        )
    if n < min_points:
        wish = f"wants at least {min_points} points (n_samples = {n})"
        raise ValueError(f"{name}: got shape {array.shape}; {wish}.")
    if dimension is not None and d != dimension:
        raise ValueError(f"{name}: got dimension {d}; wants dimension {dimension}.")
    # NaN and infinities show in the extremes; a mask would take an array as large as the points.
    low, high = array.min(), array.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        bad = ~np.isfinite(array)
        row, column = (int(i) for i in np.argwhere(bad)[0])
        raise ValueError(
            f"{name}: got {int(bad.sum())} NaN or infinite entries, the first at row {row}, "
            f"column {_called(names, column)}; wants finite numbers."
        )
    limit, largest = largest_entry(d, array.dtype), max(-low, high)
    if largest > limit:
        row, column = (int(i) for i in np.argwhere(np.abs(array) > limit)[0])
        remedy = "take them out" if array.dtype == np.float64 else "rescale, or pass float64"
        raise ValueError(
            f"{name}: got entries up to {largest:.3g}, the first at row {row}, column "
            f"{_called(names, column)}, whose squared distances overflow {array.dtype}; wants "
            f"values below {limit:.3g} ({remedy})."
        )
    if not allow_constant:
        check_varying(name, array.min(axis=0), array.max(axis=0), names)
        check_digits(name, array, names)
    return array


def largest_entry(dimension: int, dtype: Any = np.float64) -> float:
    """Up to which squared distances of points in so many dimensions do not overflow."""
    return float(np.sqrt(np.finfo(dtype).max / (4.0 * dimension)))


def check_varying(
    name: str, low: np.ndarray, high: np.ndarray, names: Sequence[Any] | None = None
) -> None:
    """A ``ValueError`` where the least and the largest entry of a column are the same."""
    constant = np.flatnonzero(low == high)
    if constant.size:
        called = [_called(names, int(column)) for column in constant[:10]]
        raise ValueError(
            f"{name}: got constant columns [{', '.join(called)}]; wants columns that vary (drop "
            "them: no Monge map leaves or reaches a hyperplane)."
        )


def _called(names: Sequence[Any] | None, column: int) -> str:
    """A column for a message: its name, or its place."""
    return str(column) if names is None else repr(names[column])


def check_digits(name: str, array: np.ndarray, names: Sequence[Any] | None = None) -> None:
    """A ``ValueError`` where a column lies so far from 0 that its dtype hardly tells rows apart.

    Columns that do not vary are left alone.
    """
    first, eps = array[0].astype(np.float64), np.finfo(array.dtype).eps
    off = array - first
    size = np.abs(off).max(axis=0)
    spread = size * (off / np.where(size > 0.0, size, 1.0)).std(axis=0)
    place = np.abs(first + off.mean(axis=0))
    drowned = np.flatnonzero((spread < _LEAST_STEPS * eps * place) & (size > 0.0))
    if drowned.size:
        column = int(drowned[0])
        digits = max(0.0, float(np.log10(spread[column] / (eps * place[column]))))
        raise ValueError(
            f"{name}: got column {_called(names, column)} around {place[column]:.3g} with a spread "
            f"of {spread[column]:.3g}, of which {array.dtype} leaves {digits:.1f} digits; wants at "
            "least 2 (subtract a constant before rounding, or pass float64)."
        )


def as_array(name: str, value: ArrayLike, axes: int) -> Array:
    """A finite floating array with ``axes`` axes, or a ``ValueError``; tracers are not checked."""
    traced = isinstance(value, jax.core.Tracer)
    array: Any = value if traced else as_float_array(name, value)
    if array.ndim != axes:
        raise ValueError(f"{name}: got shape {array.shape}; wants {axes} axes.")
    if not traced and not np.isfinite(array).all():
        raise ValueError(f"{name}: got NaN or infinite entries; wants finite numbers.")
    return array if traced else to_device(array)


def to_device(array: ArrayLike) -> Array:
    """A copy; jnp.asarray would compile one for every shape, and device_put may share memory."""
    copied: Array = jax.device_put(np.array(array))
    return copied


def as_points(name: str, x: Any, dimension: int) -> Batch:
    """A floating JAX array (..., dimension), or a ``ValueError`` naming the argument."""
    _refuse_hiding(name, x)
    if isinstance(x, np.ndarray) and jnp.issubdtype(x.dtype, np.floating):
        x = _native(np.asarray(x))
    elif not (isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, np.inexact)):
        with contextlib.suppress(jax.errors.JAXTypeError):  # tracers, or a list of them
            x = as_float_array(name, x)
    array = to_device(x) if isinstance(x, np.ndarray) else jnp.asarray(x)
    if jnp.issubdtype(array.dtype, np.complexfloating):
        raise ValueError(f"{name}: got dtype {array.dtype}; wants real numbers.")
    if not jnp.issubdtype(array.dtype, np.floating):
        array = array.astype(np.float64)
    if array.dtype.itemsize < 2:  # JAX computes with no floats of 8 bits
        array = array.astype(np.float32)
    if array.ndim < 1 or array.shape[-1] != dimension:
        raise ValueError(f"{name}: got shape {array.shape}; wants (..., {dimension}).")
    return array


def check_weights(name: str, value: Any, n: int) -> np.ndarray:
    """Non-negative weights of length ``n``, divided by their sum."""
    weights = as_float_array(name, value)
    if weights.shape != (n,):
        raise ValueError(f"{name}: got shape {weights.shape}; wants ({n},).")
    if not np.isfinite(weights).all() or (weights < 0).any() or weights.sum() <= 0:
        raise ValueError(
            f"{name}: got negative, infinite or all-zero weights; wants weights >= 0 "
            "with a positive sum."
        )
    return weights / weights.sum()


def refuse_dates(name: str, value: Any) -> None:
    """A ``ValueError`` where a value, or one of several, is a date or a duration.

    As numbers they have a unit, which is for the user to say: NumPy's own may be nanoseconds.

    >>> refuse_dates("times", [np.datetime64("2024-01-02")])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    ValueError: times: got the date 2024-01-02; wants numbers, as days since the first: ...
    """
    held = np.asarray(value, object if isinstance(value, list | tuple) else None)
    if held.dtype.kind in "mM":
        entries = list(held.ravel()[:1])
    else:
        entries = held.ravel().tolist() if held.dtype == object else []
    for entry in entries:
        if isinstance(entry, _SPANS):
            wish = 'as days: t / np.timedelta64(1, "D")'
            raise ValueError(f"{name}: got the duration {entry}; wants numbers, {wish}.")
        if isinstance(entry, _MOMENTS) or type(entry).__name__ == "Period":
            wish = 'as days since the first: (t - t.min()) / np.timedelta64(1, "D")'
            raise ValueError(f"{name}: got the date {entry}; wants numbers, {wish}.")


def check_positive(name: str, value: Any) -> float:
    """A finite number above zero."""
    if not (_is_number(value) and 0 < value < np.inf):
        raise ValueError(f"{name}: got {_shown(value)}; wants a finite number above 0.")
    number: float = value
    return number


def check_number(name: str, value: Any) -> float:
    """A finite number."""
    refuse_dates(name, value)
    if not (_is_number(value) and np.ndim(value) == 0 and np.isfinite(value)):
        raise ValueError(f"{name}: got {_shown(value)}; wants a finite number.")
    return float(value)


def check_at_least(name: str, value: Any, least: int) -> int:
    """An integer of at least ``least``."""
    # Not np.isfinite, which knows no integer beyond 64 bits.
    whole = _is_number(value) and -np.inf < value < np.inf and int(value) == value
    if not whole or value < least:
        raise ValueError(f"{name}: got {_shown(value)}; wants an integer of at least {least}.")
    return int(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real | np.ndarray | jax.Array)


def _shown(value: Any) -> str:
    """A value as it stands in a message: strings in quotes."""
    return repr(value) if isinstance(value, str) else str(value)


def check_key(name: str, value: Any) -> jax.Array:
    """One JAX random key, new style or old."""
    typed = isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key)
    shape = value.shape if isinstance(value, jax.Array) else None
    if typed and shape != ():
        raise ValueError(f"{name}: got {shape} keys; wants one JAX random key.")
    if not typed and not (shape == (2,) and value.dtype == jnp.uint32):
        raise ValueError(
            f"{name}: got {type(value).__name__}; wants a JAX random key (jax.random.key(0))."
        )
    return value


def as_key(name: str, value: Any) -> jax.Array:
    """One JAX random key, new style or old; that of 0 where there is None."""
    return jax.random.key(0) if value is None else check_key(name, value)


def check_instance(name: str, value: Any, kind: type, wish: str) -> None:
    """Raise a ``ValueError`` where the value is not of that class."""
    if not isinstance(value, kind):
        got = f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
        raise ValueError(f"{name}: got {got}; wants {wish}.")
