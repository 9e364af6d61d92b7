"""Numerical kernels: arrays and callables in, arrays out; they know no measure and no potential."""

from brenier.numerics._accuracy import cosine_similarity, l2_uvp
from brenier.numerics._conjugate import Conjugate, conjugate, conjugate_upper_bound
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
from brenier.numerics._spd import (
    bures_squared,
    gaussian_map_matrix,
    inverse_sqrtm_spd,
    sqrtm_spd,
)

__all__ = [
    "Conjugate",
    "SelfTransport",
    "SinkhornResult",
    "barycentric_projection",
    "bures_squared",
    "conjugate",
    "conjugate_upper_bound",
    "cosine_similarity",
    "default_epsilon",
    "energy_distance_squared",
    "entropic_potential",
    "gaussian_map_matrix",
    "inverse_sqrtm_spd",
    "l2_uvp",
    "mean_distance",
    "median_squared_distance",
    "self_entropic_score",
    "self_transport",
    "sinkhorn",
    "sqrtm_spd",
]
