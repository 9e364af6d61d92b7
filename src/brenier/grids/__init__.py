"""Boxes and tori of up to three dimensions, and densities and potentials known at their nodes."""

from brenier._arithmetic import guard
from brenier.grids._densities import (
    Density,
    as_measure,
    density_and_score,
    log_integral,
    log_values,
)
from brenier.grids._grids import AbstractGrid, Box, Derivatives, Torus, apply_along
from brenier.grids._potential import GridPotential

__all__ = [
    "AbstractGrid",
    "Box",
    "Density",
    "Derivatives",
    "GridPotential",
    "Torus",
    "apply_along",
    "as_measure",
    "density_and_score",
    "log_integral",
    "log_values",
]

guard(globals())
