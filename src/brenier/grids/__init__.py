"""Grids of one to three dimensions, and the densities and potentials known at their nodes."""

from brenier.grids._densities import (
    Density,
    as_measure,
    density_and_score,
    log_integral,
    log_values,
)
from brenier.grids._grids import AbstractGrid, Box, Derivatives, Torus, along
from brenier.grids._potential import GridPotential

__all__ = [
    "AbstractGrid",
    "Box",
    "Density",
    "Derivatives",
    "GridPotential",
    "Torus",
    "along",
    "as_measure",
    "density_and_score",
    "log_integral",
    "log_values",
]
