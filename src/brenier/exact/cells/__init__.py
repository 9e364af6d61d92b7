"""Semi-discrete transport: a density onto points, each of which takes a Laguerre cell."""

from brenier.exact.cells._laguerre_cells import laguerre_cells
from brenier.exact.cells._semi_discrete import solve_semi_discrete

__all__ = ["laguerre_cells", "solve_semi_discrete"]
