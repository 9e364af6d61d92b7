"""Flows of a potential at the nodes of a grid: Sinkhorn's, the parabolic, of divergences."""

from brenier.flows.on_grids._coupling import GridCoupling
from brenier.flows.on_grids._divergences import divergence_flow
from brenier.flows.on_grids._parabolic_flow import exponential_rate, parabolic_flow
from brenier.flows.on_grids._sinkhorn_flow import annealed_sinkhorn, sinkhorn_flow

__all__ = [
    "GridCoupling",
    "annealed_sinkhorn",
    "divergence_flow",
    "exponential_rate",
    "parabolic_flow",
    "sinkhorn_flow",
]
