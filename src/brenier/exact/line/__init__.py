"""Transport on the line: the monotone map between two laws, by their quantiles."""

from brenier.exact.line._line import solve_line
from brenier.exact.line._monotone import MonotoneMap

__all__ = ["MonotoneMap", "solve_line"]
