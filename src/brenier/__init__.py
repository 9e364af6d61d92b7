"""Learn, compute and certify optimal transport (Monge) maps."""

import importlib
from typing import TYPE_CHECKING, Any

from brenier._jax_settings import set_up_jax

set_up_jax()

if TYPE_CHECKING:
    from brenier import (
        certify,
        estimators,
        exact,
        flows,
        functionals,
        grids,
        images,
        io,
        maps,
        measures,
        numerics,
        potentials,
        problems,
        report,
        velocities,
    )
    from brenier._progress import Progress
    from brenier._solution import Result, Solution, SolveError
    from brenier.certify import Certificate, audit, audit_pairs
    from brenier.estimators import ConditionalMongeMap, Generator, MongeMap, TimeSeries
    from brenier.flows import solve
    from brenier.io import Checkpoint, load, save

    __version__: str
else:
    # Where each name of the public face lives; it is fetched when first asked for.
    _FACE = {
        "Certificate": "certify",
        "Checkpoint": "io",
        "ConditionalMongeMap": "estimators",
        "Generator": "estimators",
        "MongeMap": "estimators",
        "Progress": "_progress",
        "Result": "_solution",
        "Solution": "_solution",
        "SolveError": "_solution",
        "TimeSeries": "estimators",
        "audit": "certify",
        "audit_pairs": "certify",
        "load": "io",
        "save": "io",
        "solve": "flows",
    }

    def __getattr__(name: str) -> Any:
        if name in _FACE:
            return getattr(importlib.import_module(f"brenier.{_FACE[name]}"), name)
        if name == "__version__":
            return importlib.import_module("brenier._version").__version__
        if name in __all__:
            return importlib.import_module(f"brenier.{name}")
        raise AttributeError(f"module 'brenier' has no attribute {name!r}")

    def __dir__() -> list[str]:
        return sorted([*__all__, "__version__"])


__all__ = [
    "Certificate",
    "Checkpoint",
    "ConditionalMongeMap",
    "Generator",
    "MongeMap",
    "Progress",
    "Result",
    "Solution",
    "SolveError",
    "TimeSeries",
    "audit",
    "audit_pairs",
    "certify",
    "estimators",
    "exact",
    "flows",
    "functionals",
    "grids",
    "images",
    "io",
    "load",
    "maps",
    "measures",
    "numerics",
    "potentials",
    "problems",
    "report",
    "save",
    "solve",
    "velocities",
]
