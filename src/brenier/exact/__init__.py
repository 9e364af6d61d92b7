"""Answers without training: Monge maps by exact and high-order solvers."""

from brenier.exact._grid_potential import GridPotential
from brenier.exact._grids import AbstractGrid, Box, Torus
from brenier.exact._monge_ampere import solve_monge_ampere

__all__ = [
    "AbstractGrid",
    "Box",
    "GridPotential",
    "Torus",
    "solve_monge_ampere",
]
