"""The Monge-Ampère equation between two densities on a grid, by Newton's method."""

from brenier.exact.monge_ampere._solve import solve_monge_ampere

__all__ = ["solve_monge_ampere"]
