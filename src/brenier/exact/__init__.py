"""Answers without training."""

from brenier.exact._assignment import solve_assignment
from brenier.exact._gaussian import solve_gaussian
from brenier.exact._line import solve_line
from brenier.exact._monotone import MonotoneMap
from brenier.exact._plan import Plan

__all__ = ["MonotoneMap", "Plan", "solve_assignment", "solve_gaussian", "solve_line"]
