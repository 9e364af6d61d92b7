"""Checks of weights and strengths where they are numbers; of traced ones nothing can be known."""

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from brenier._checks import check_positive
from brenier._row_checks import check_row_weights
from brenier._types import Weights

P = ParamSpec("P")
R = TypeVar("R")


def checked_inputs(
    weights: Mapping[str, str], positive: tuple[str, ...] = ()
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator of functions that are traced.

    Args:
        weights: the arguments that are weights, each with the one whose rows they are of.
        positive: those that are numbers above 0, where they are given.

    >>> @checked_inputs({"w": "x"})
    ... def mean(x, w=None):
    ...     return x.mean() if w is None else w @ x / w.sum()
    >>> float(mean(jnp.arange(2.0), jnp.array([1.0, 3.0])))
    0.75
    >>> mean(jnp.arange(2.0), jnp.array([1.0, -3.0]))
    Traceback (most recent call last):
        ...
    ValueError: w: got 1 negative, NaN or infinite weights, the first -3.0 in row 1; wants ...
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)

        @wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            bound = signature.bind(*args, **kwargs)
            given = bound.arguments
            for name in positive:
                value = given.get(name)
                if value is None or isinstance(value, jax.core.Tracer):
                    continue
                is_array = isinstance(value, jax.Array | np.ndarray) and value.size == 1
                check_positive(name, value.item() if is_array else value)
            for name, points in weights.items():
                if given.get(name) is not None:
                    given[name] = known_weights(name, given[name], given[points])
            return function(*bound.args, **bound.kwargs)

        return call

    return decorate


def known_weights(name: str, weights: Any, points: Any) -> Weights | None:
    """The weights as an array of the points' dtype; checked where they are no tracer.

    >>> known_weights("w", [1, 3], jnp.zeros((2, 1))).tolist()
    [1.0, 3.0]
    """
    if weights is None or isinstance(weights, jax.core.Tracer):
        return weights
    return jnp.asarray(check_row_weights(name, weights, points.shape[0]), points.dtype)
