"""Answers without training: on the line, between Gaussians, clouds, densities and grids."""

from typing import TYPE_CHECKING

from brenier._arithmetic import guard
from brenier._moved import absent
from brenier.exact._assignment import solve_assignment
from brenier.exact._gaussian import solve_gaussian
from brenier.exact._plan import Plan
from brenier.exact._unbalanced_gaussian import GaussianGrowth, solve_unbalanced_gaussian
from brenier.exact.cells import laguerre_cells, solve_semi_discrete
from brenier.exact.line import MonotoneMap, solve_line
from brenier.exact.monge_ampere import solve_monge_ampere

__all__ = [
    "GaussianGrowth",
    "MonotoneMap",
    "Plan",
    "laguerre_cells",
    "solve_assignment",
    "solve_gaussian",
    "solve_line",
    "solve_monge_ampere",
    "solve_semi_discrete",
    "solve_unbalanced_gaussian",
]

guard(globals())

if not TYPE_CHECKING:  # a type checker would take any name for one that there is
    __getattr__ = absent(__name__)
