"""What maps of other frameworks take and give, as NumPy arrays: torch, JAX, pandas, SciPy."""

import sys
from collections.abc import Callable
from itertools import chain
from typing import Any

import jax.numpy as jnp
import numpy as np
from scipy import sparse

from brenier._memory import is_out_of_memory
from brenier.maps import AbstractMap


def check_order(map: Any, source: Any) -> None:
    """Raise a ``ValueError`` where points stand in the place of the map, and a map in theirs."""
    if callable(source) and not callable(map):
        raise ValueError(
            f"map: got {type(map).__name__}, and a {type(source).__name__} as the source; wants "
            "the map first: audit(map, source, target)."
        )


def evaluator(name: str, map: Any) -> Callable[[np.ndarray], Any]:
    """The map as a function of NumPy arrays: itself, or what hands a module of torch tensors.

    Raises:
        ValueError: no callable, a class, or a module of torch in training mode.
    """
    if isinstance(map, type):
        raise ValueError(f"{name}: got the class {map.__name__}; wants an instance of it.")
    if isinstance(getattr(map, "map_", None), AbstractMap):
        raise ValueError(
            f"{name}: got the estimator {type(map).__name__}; wants a map: its own, "
            "estimator.map_, or estimator.audit(...) in the place of this call."
        )
    if not callable(map):
        raise ValueError(
            f"{name}: got {type(map).__name__}; wants a callable (n, d) -> (n, d), as the method "
            "estimator.transform is."
        )
    torch = _torch()
    if torch is None or not isinstance(map, torch.nn.Module):
        return map
    _check_evaluation_mode(name, map, torch)
    values = chain(map.parameters(), map.buffers())
    like = next(filter(torch.is_floating_point, values), torch.zeros((), dtype=torch.float64))

    def evaluate(x: np.ndarray) -> Any:
        with torch.no_grad():
            return map(torch.as_tensor(x, dtype=like.dtype, device=like.device))

    return evaluate


def real_array(name: str, returned: Any) -> tuple[np.ndarray, float]:
    """What a map returned as a NumPy array of real numbers, and the machine epsilon of its dtype.

    Raises:
        ValueError: what makes no such array. Masked entries are NaN.
    """
    if returned is None or isinstance(returned, tuple | dict | str):
        found = f"a tuple of {len(returned)}" if isinstance(returned, tuple) else repr(returned)
        raise ValueError(
            f"{name}: returned {found[:60]}; wants one array, the images (n, d) of points (n, d)."
        )
    own = _dense(returned)
    try:
        value = np.asarray(own)
        if value.dtype == object:
            value = value.astype(np.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        raise ValueError(
            f"{name}: returned a {type(returned).__name__} that makes no array of numbers "
            f"({_first_line(error)}); wants an array (n, d)."
        ) from error
    # NumPy's own test does not know bfloat16 and other small floats.
    if jnp.issubdtype(value.dtype, jnp.floating):
        torch = _torch()
        kind = returned.dtype if torch is not None and isinstance(returned, torch.Tensor) else None
        precision = jnp.finfo(value.dtype).eps if kind is None else torch.finfo(kind).eps
        return value, float(precision)
    if value.dtype.kind in "iu":
        return value, 0.0
    raise ValueError(f"{name}: got values of dtype {value.dtype}; wants real numbers.")


def failure(name: str, map: Any, x: np.ndarray, error: BaseException) -> ValueError:
    """What to say where a map raised an error on points x (n, d)."""
    return ValueError(
        f"{name}: raised {type(error).__name__} on a NumPy array of shape {x.shape} "
        f"({_first_line(error)}); wants a function of points (n, d), all at once."
        f"{one_point_hint(name, map, x) or _torch_hint(name, map)}"
    )


def one_point_hint(name: str, map: Any, x: np.ndarray) -> str:
    """How a function of one point, where this may be one, is made a function of points (n, d)."""
    try:
        fits = np.shape(map(x[0].copy())) == x.shape[1:]
    except (Exception, SystemExit):
        return ""
    return f" Where it is a function of one point (d,), give jax.vmap({name})." if fits else ""


def _torch_hint(name: str, map: Any) -> str:
    """How a function of tensors is made one of arrays, and what a module of torch must see to."""
    torch = _torch()
    if torch is None:
        return ""
    if isinstance(map, torch.nn.Module):
        return (
            " It is called on a tensor, without gradients: a module that takes some opens "
            "torch.enable_grad()."
        )
    return (
        " Where it is a function of tensors, give "
        f"lambda x: {name}(torch.as_tensor(x, dtype=torch.float32))."
    )


def _torch() -> Any:
    """The module torch, where it is imported: who holds something of torch has done so."""
    return sys.modules.get("torch")


def _check_evaluation_mode(name: str, module: Any, torch: Any) -> None:
    """Refuse layers that are noisy in training mode, or change the module when they are called."""
    layers = torch.nn.modules
    kinds = (layers.dropout._DropoutNd, layers.batchnorm._BatchNorm)
    bad = sorted(
        {type(m).__name__ for m in module.modules() if m.training and isinstance(m, kinds)}
    )
    if bad:
        raise ValueError(
            f"{name}: got a module with {', '.join(bad)} in training mode; wants it deterministic, "
            "of each point by itself: call .eval() on it."
        )


def _dense(returned: Any) -> Any:
    """The same values in something that NumPy reads whole."""
    torch = _torch()
    if torch is not None and isinstance(returned, torch.Tensor):
        tensor = returned.detach().cpu()
        tensor = tensor.to_dense() if tensor.layout != torch.strided else tensor
        return tensor.float() if tensor.dtype == torch.bfloat16 else tensor
    if sparse.issparse(returned):
        return returned.toarray()
    if isinstance(returned, np.ma.MaskedArray):
        # NumPy would show what lies under the mask.
        floats = returned.astype(np.promote_types(returned.dtype, np.float16))
        return np.ma.filled(floats, np.nan)
    return returned


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "no message")
