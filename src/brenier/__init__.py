"""Learn, compute and certify optimal transport (Monge) maps."""

import importlib
from typing import Any

import jax

# The dtype follows the input only where JAX may hold float64.
jax.config.update("jax_enable_x64", True)

_ROOMS = (
    "certify",
    "exact",
    "flows",
    "functionals",
    "grids",
    "images",
    "io",
    "maps",
    "measures",
    "numerics",
    "potentials",
    "problems",
    "report",
    "velocities",
)
# What stands on the public face, and the room where it lives; fetched when first asked for.
_FACE = {
    "Certificate": "certify",
    "Checkpoint": "io",
    "Generator": "estimators",
    "MongeMap": "estimators",
    "Progress": "_progress",
    "Result": "_solution",
    "Solution": "_solution",
    "SolveError": "_solution",
    "audit": "certify",
    "audit_pairs": "certify",
    "load": "io",
    "save": "io",
    "solve": "flows",
}

__all__ = [*sorted(_FACE), *_ROOMS]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return importlib.import_module(f"brenier.{name}")
    if name in _FACE:
        return getattr(importlib.import_module(f"brenier.{_FACE[name]}"), name)
    raise AttributeError(f"module 'brenier' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
