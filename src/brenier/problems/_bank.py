"""The problems by name: they feed the tests, the benchmarks and the docs."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from brenier.problems._convex import radial, random_convex, separable
from brenier.problems._figure2 import figure2
from brenier.problems._gaussian import affine, gaussian
from brenier.problems._problem import Problem

BANK: Mapping[str, Callable[[], Problem]] = MappingProxyType(
    {
        "affine": affine,
        "gaussian-2": partial(gaussian, 2),
        "gaussian-10": partial(gaussian, 10),
        "gaussian-50": partial(gaussian, 50),
        "figure2": figure2,
        "radial-2": partial(radial, 2),
        "radial-10": partial(radial, 10),
        "separable-2": partial(separable, 2),
        "separable-10": partial(separable, 10),
        "convex-2": partial(random_convex, 2),
        "convex-8": partial(random_convex, 8),
        "convex-32": partial(random_convex, 32),
        "convex-mixture-2": partial(random_convex, 2, source="mixture"),
        "convex-mixture-8": partial(random_convex, 8, source="mixture"),
    }
)
"""Every problem's maker by its name; ``problem`` makes one."""


def problem(name: str) -> Problem:
    """The problem of that name; a ``ValueError`` that lists the names where there is none.

    >>> problem("affine").dimension
    2
    """
    if name not in BANK:
        raise ValueError(f"name: got {name!r}; wants one of {', '.join(BANK)}.")
    return BANK[name]()
