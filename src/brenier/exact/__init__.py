"""Answers without training: on the line, between Gaussians, clouds, densities, points and grids."""

from brenier.exact._assignment import solve_assignment
from brenier.exact._gaussian import solve_gaussian
from brenier.exact._grid_potential import GridPotential
from brenier.exact._grids import AbstractGrid, Box, Torus
from brenier.exact._laguerre_cells import laguerre_cells
from brenier.exact._line import solve_line
from brenier.exact._monge_ampere import solve_monge_ampere
from brenier.exact._monotone import MonotoneMap
from brenier.exact._plan import Plan
from brenier.exact._semi_discrete import solve_semi_discrete

__all__ = [
    "AbstractGrid",
    "Box",
    "GridPotential",
    "MonotoneMap",
    "Plan",
    "Torus",
    "laguerre_cells",
    "solve_assignment",
    "solve_gaussian",
    "solve_line",
    "solve_monge_ampere",
    "solve_semi_discrete",
]
