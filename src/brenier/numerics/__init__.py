"""Numerical kernels: arrays and callables in, arrays out; they know no measure and no potential."""

from brenier.numerics._accuracy import cosine_similarity, l2_uvp
from brenier.numerics._conjugate import Conjugate, conjugate, conjugate_upper_bound
from brenier.numerics._devices import copy_to_all, split_rows
from brenier.numerics._grid_sinkhorn import (
    GridSinkhornResult,
    grid_sinkhorn,
    soft_convolution,
    squared_gaps,
)
from brenier.numerics._pairwise import (
    energy_distance_squared,
    mean_distance,
    median_squared_distance,
)
from brenier.numerics._self_transport import (
    SelfTransport,
    default_epsilon,
    self_entropic_score,
    self_transport,
)
from brenier.numerics._sinkhorn import (
    SinkhornResult,
    barycentric_projection,
    entropic_potential,
    sinkhorn,
)
from brenier.numerics._spd import bures_squared, gaussian_map_matrix, inverse_sqrtm_spd, sqrtm_spd
from brenier.numerics._stochastic_log_det import stochastic_log_det

__all__ = [
    "Conjugate",
    "GridSinkhornResult",
    "SelfTransport",
    "SinkhornResult",
    "barycentric_projection",
    "bures_squared",
    "conjugate",
    "conjugate_upper_bound",
    "copy_to_all",
    "cosine_similarity",
    "default_epsilon",
    "energy_distance_squared",
    "entropic_potential",
    "gaussian_map_matrix",
    "grid_sinkhorn",
    "inverse_sqrtm_spd",
    "l2_uvp",
    "mean_distance",
    "median_squared_distance",
    "self_entropic_score",
    "self_transport",
    "sinkhorn",
    "soft_convolution",
    "split_rows",
    "sqrtm_spd",
    "squared_gaps",
    "stochastic_log_det",
]
