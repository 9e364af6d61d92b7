"""Modules to plain JSON and arrays, and back by a closed list of classes and functions."""

import dataclasses
import functools
import inspect
import math
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier._annotations import check_fields
from brenier._checks import to_device
from brenier.io._refusals import refusing
from brenier.io.modules._renamed import RENAMED_CLASSES

# What the checks of a class raise where they get what they do not foresee.
_DOUBTS = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RuntimeError)

_ACTIVATIONS = (
    "celu",
    "elu",
    "gelu",
    "hard_tanh",
    "leaky_relu",
    "log_sigmoid",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "soft_sign",
    "softplus",
    "squareplus",
    "tanh",
)


@functools.cache
def saved_classes() -> MappingProxyType[str, type[Any]]:
    """The classes that a file may name: the public final ones of the rooms, and of networks.

    Potentials of the host too, which are in the records of unfinished fits.
    """
    # All rooms, which who only hands points to ``io`` need not wait for.
    from brenier import exact, grids, images, maps, measures, numerics, potentials, velocities
    from brenier.potentials import host

    interfaces = (
        potentials.AbstractPotential,
        potentials.AbstractConditionalPotential,
        maps.ConditionalMap,
        maps.Covariates,
        maps.EntropicGrowth,
        measures.AbstractMeasure,
        maps.AbstractMap,
        velocities.AbstractVelocity,
        velocities.AbstractSchedule,
        velocities.ExactNoise,
        images.ImageModel,
        host.HostPotential,
    )
    found: dict[str, type[Any]] = {
        "equinox.nn.Linear": eqx.nn.Linear,
        "equinox.nn.MLP": eqx.nn.MLP,
        "brenier.numerics.Coordinates": numerics.Coordinates,
        "brenier.numerics.Kriging": numerics.Kriging,
        **{f"brenier.images.{part.__name__}": part for part in images.NETWORK_PARTS},
    }
    for room in (potentials, host, measures, grids, maps, exact, velocities, images):
        for name in room.__all__:
            member = getattr(room, name)
            if (
                isinstance(member, type)
                and issubclass(member, interfaces)
                and not inspect.isabstract(member)
            ):
                found[f"{room.__name__}.{member.__name__}"] = member
    return MappingProxyType(found)


@functools.cache
def saved_functions() -> MappingProxyType[str, Callable[..., Any]]:
    """The functions that a file may name: the activations of networks."""
    default = inspect.signature(eqx.nn.MLP.__init__).parameters
    return MappingProxyType(
        {
            **{f"jax.nn.{name}": getattr(jax.nn, name) for name in _ACTIVATIONS},
            "jax.numpy.tanh": jnp.tanh,
            "equinox.nn.MLP.activation": default["activation"].default,
            "equinox.nn.MLP.final_activation": default["final_activation"].default,
        }
    )


def encode(value: Any, where: str, arrays: list[np.ndarray]) -> Any:
    """``value`` as JSON; its arrays are appended to ``arrays`` and stand in by their index."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"float": repr(float(value))}
    if isinstance(value, jax.Array | np.ndarray):
        return _encode_array(value, where, arrays)
    if type(value) in (tuple, list):
        items = [encode(item, f"{where}[{i}]", arrays) for i, item in enumerate(value)]
        return {type(value).__name__: items}
    if type(value) is dict:
        return {
            "dict": {name: encode(own, f"{where}.{name}", arrays) for name, own in value.items()}
        }
    if isinstance(value, np.dtype):
        return {"dtype": value.name}
    for name, cls in saved_classes().items():
        if type(value) is cls:
            fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
            encoded = {
                field: encode(item, f"{where}.{field}", arrays) for field, item in fields.items()
            }
            check_fields(cls, fields, where)
            return {"class": name, "fields": encoded}
    for name, function in saved_functions().items():
        if value is function:
            return {"function": name}
    label = getattr(value, "__qualname__", type(value).__name__)
    raise ValueError(
        f"{where}: got {label}, which cannot be saved (a file holds no code); wants arrays, plain "
        "settings, brenier's public classes, equinox's MLP and Linear, or an activation of jax.nn."
    )


def decode(node: Any, arrays: list[np.ndarray], where: str, writer: str) -> Any:
    """The inverse of ``encode``; a name outside the closed lists is a ``ValueError``.

    ``where`` and ``writer`` (a version of brenier) say in messages what is wrong, and who wrote it.
    """
    if not isinstance(node, dict):
        return node
    match node:
        case {"float": "inf" | "-inf" | "nan" as text}:
            return float(text)
        case {"array": int(index)}:
            return to_device(_array(arrays, index, where))
        case {"weak": int(index)}:
            stored = _array(arrays, index, where)
            # Only a Python number makes JAX's weak type; an indexed update keeps it.
            return jnp.broadcast_to(stored.dtype.type(0).item(), stored.shape).at[...].set(stored)
        case {"numpy": int(index)}:
            return _array(arrays, index, where)
        case {"key": int(index), "impl": str(implementation)}:
            data = to_device(_array(arrays, index, where))
            with refusing(where, "no random key", "one", ValueError, TypeError):
                return jax.random.wrap_key_data(data, impl=implementation)
        case {"tuple": list(items)}:
            return tuple(
                decode(item, arrays, f"{where}[{i}]", writer) for i, item in enumerate(items)
            )
        case {"list": list(items)}:
            return [decode(item, arrays, f"{where}[{i}]", writer) for i, item in enumerate(items)]
        case {"dict": dict(items)}:
            return {
                name: decode(item, arrays, f"{where}.{name}", writer)
                for name, item in items.items()
            }
        case {"dtype": "float32" | "float64" as name}:
            return np.dtype(name)
        case {"function": str(name)} if name in saved_functions():
            return saved_functions()[name]
        case {"class": str(name), "fields": dict(fields)}:
            cls = saved_classes().get(RENAMED_CLASSES.get(name, name))
            if cls is not None:
                _check_names(cls, fields, where, writer)
                values = {
                    field: decode(value, arrays, f"{where}.{field}", writer)
                    for field, value in fields.items()
                }
                return _module(cls, values, where)
    name = node.get("class", node.get("function", sorted(node)))
    raise ValueError(
        f"{where}: got {name!r:.200}, which this brenier does not know; wants brenier's public "
        f"classes (written by brenier {writer}: open it with that version, or upgrade brenier)."
    )


def _encode_array(
    value: jax.Array | np.ndarray, where: str, arrays: list[np.ndarray]
) -> dict[str, Any]:
    if isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key):
        node = {"key": len(arrays), "impl": str(jax.random.key_impl(value))}
        arrays.append(np.asarray(jax.random.key_data(value)))
        return node
    if value.dtype.kind not in "biufc":
        raise ValueError(f"{where}: got dtype {value.dtype}; wants a dtype of NumPy's own.")
    _refuse_nan(value, where)
    weak = "weak" if getattr(value, "weak_type", False) else "array"
    node = {weak if isinstance(value, jax.Array) else "numpy": len(arrays)}
    arrays.append(np.asarray(value))
    return node


def _array(arrays: list[np.ndarray], index: int, where: str) -> np.ndarray:
    if not 0 <= index < len(arrays):
        raise ValueError(f"{where}: got array {index}; wants one of {len(arrays)} arrays.")
    _refuse_nan(arrays[index], where)
    return arrays[index]


def _refuse_nan(array: Any, where: str) -> None:
    values = np.asarray(array)
    if values.size and np.isnan(values.min()):  # which takes no memory
        bad = int(np.isnan(values).sum())
        raise ValueError(f"{where}: got {bad:,} entries NaN; wants numbers.")


def _check_names(cls: type[Any], fields: dict[str, Any], where: str, writer: str) -> None:
    """Raise where the fields are not those of the class; what has a default may be missing."""
    known = dataclasses.fields(cls)
    needed = {field.name for field in known if field.default is dataclasses.MISSING}
    if not needed <= set(fields) <= {field.name for field in known}:
        raise ValueError(
            f"{where}: got {cls.__name__} with fields {sorted(fields)!s:.500}; wants "
            f"{sorted(needed)} (the class has changed between versions of brenier: {writer} wrote "
            "this one)."
        )


def _module(cls: type[Any], values: dict[str, Any], where: str) -> Any:
    # What an older brenier did not know has its default.
    values = {
        field.name: field.default
        for field in dataclasses.fields(cls)
        if field.default is not dataclasses.MISSING
    } | values
    check_fields(cls, values, where)
    module = object.__new__(cls)  # as JAX rebuilds a module: the very bits that were saved
    for name, value in values.items():
        object.__setattr__(module, name, value)
    with refusing(where, f"an impossible {cls.__name__}", "one that can be", *_DOUBTS):
        _check(module, values)
    return module


@functools.cache
def _parameters(cls: type[Any]) -> frozenset[str]:
    return frozenset(inspect.signature(cls).parameters)


def _check(module: Any, values: dict[str, Any]) -> None:
    """The class's own checks: those of its constructor, where that takes the fields, or by name."""
    cls: Any = type(module)
    if _parameters(cls) == set(values):
        cls(**values)
        return
    for parent in cls.__mro__:
        if "__check_init__" in vars(parent):
            vars(parent)["__check_init__"](module)
