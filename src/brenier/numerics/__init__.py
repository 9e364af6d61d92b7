"""Numerical kernels: arrays and callables in, arrays out; they know no measure and no potential."""

from brenier._arithmetic import guard
from brenier.numerics._accuracy import cosine_similarity, l2_uvp
from brenier.numerics._blocks import cpu_cores, in_blocks, on_all_cores, over_points
from brenier.numerics._casting import cast_floats
from brenier.numerics._chebyshev import (
    chebyshev_nodes,
    chebyshev_rows,
    chebyshev_weights,
    fejer_rule,
    heat_matrix,
)
from brenier.numerics._conjugate import Conjugate, conjugate, conjugate_upper_bound, conjugate_work
from brenier.numerics._coordinates import Coordinates, mean_and_spread
from brenier.numerics._determinants import spd_log_det, spd_solve
from brenier.numerics._devices import (
    copy_to_all,
    over_devices,
    sharing,
    split_batch,
    split_rows,
    whole,
)
from brenier.numerics._gaussian_lattice import (
    Lattice,
    fit_lattice,
    gaussian_rows,
    unresolved,
    upsample,
)
from brenier.numerics._grid_sinkhorn import (
    Gaps,
    GridSinkhornResult,
    grid_sinkhorn,
    soft_convolution,
    squared_gaps,
    steepest_allowed,
)
from brenier.numerics._half_shift import half_shift_covariance
from brenier.numerics._hamiltonian import hamiltonian_chains
from brenier.numerics._kriging import Kriging, code_columns, code_length
from brenier.numerics._marquardt import (
    adapt_damping,
    flatten_parameters,
    marquardt_scale,
    probed_squares,
    scaled_conjugate_gradients,
    scaled_solve,
    solve_regularised,
)
from brenier.numerics._means import float64_mean, total_variance
from brenier.numerics._outliers import (
    beyond_digits,
    check_outliers,
    describe_outliers,
    gross_outliers,
    sound_rows,
    without_outliers,
)
from brenier.numerics._pairwise import (
    default_flow_epsilon,
    energy_distance_squared,
    mean_distance,
    median_squared_distance,
)
from brenier.numerics._plan_error import plan_error
from brenier.numerics._random import host_seed, numpy_generator, random_order
from brenier.numerics._self_transport import (
    SelfTransport,
    default_epsilon,
    self_entropic_score,
    self_transport,
)
from brenier.numerics._shrinkage import shrunk_moments
from brenier.numerics._sinkhorn import (
    SinkhornResult,
    barycentric_projection,
    entropic_potential,
    sinkhorn,
)
from brenier.numerics._spd import bures_squared, gaussian_map_matrix, inverse_sqrtm_spd, sqrtm_spd
from brenier.numerics._stochastic_log_det import stochastic_log_det
from brenier.numerics._streaming import cut_tiles, over_tiles, pairs, soft_reduce, squared_distances
from brenier.numerics._tensor_train import (
    TensorTrainCores,
    tensor_train_change_axes,
    tensor_train_contract,
    tensor_train_from_array,
    tensor_train_map_axes,
    tensor_train_ranks,
    tensor_train_round,
)
from brenier.numerics._tensor_train_cross import tensor_train_cross
from brenier.numerics._weighting import (
    row_count,
    row_mean,
    row_mean_error,
    row_products,
    row_sum,
    row_variance,
    row_weights,
    rows_by_weight,
)

__all__ = [
    "Conjugate",
    "Coordinates",
    "Gaps",
    "GridSinkhornResult",
    "Kriging",
    "Lattice",
    "SelfTransport",
    "SinkhornResult",
    "TensorTrainCores",
    "adapt_damping",
    "barycentric_projection",
    "beyond_digits",
    "bures_squared",
    "cast_floats",
    "chebyshev_nodes",
    "chebyshev_rows",
    "chebyshev_weights",
    "check_outliers",
    "code_columns",
    "code_length",
    "conjugate",
    "conjugate_upper_bound",
    "conjugate_work",
    "copy_to_all",
    "cosine_similarity",
    "cpu_cores",
    "cut_tiles",
    "default_epsilon",
    "default_flow_epsilon",
    "describe_outliers",
    "energy_distance_squared",
    "entropic_potential",
    "fejer_rule",
    "fit_lattice",
    "flatten_parameters",
    "float64_mean",
    "gaussian_map_matrix",
    "gaussian_rows",
    "grid_sinkhorn",
    "gross_outliers",
    "half_shift_covariance",
    "hamiltonian_chains",
    "heat_matrix",
    "host_seed",
    "in_blocks",
    "inverse_sqrtm_spd",
    "l2_uvp",
    "marquardt_scale",
    "mean_and_spread",
    "mean_distance",
    "median_squared_distance",
    "numpy_generator",
    "on_all_cores",
    "over_devices",
    "over_points",
    "over_tiles",
    "pairs",
    "plan_error",
    "probed_squares",
    "random_order",
    "row_count",
    "row_mean",
    "row_mean_error",
    "row_products",
    "row_sum",
    "row_variance",
    "row_weights",
    "rows_by_weight",
    "scaled_conjugate_gradients",
    "scaled_solve",
    "self_entropic_score",
    "self_transport",
    "sharing",
    "shrunk_moments",
    "sinkhorn",
    "soft_convolution",
    "soft_reduce",
    "solve_regularised",
    "sound_rows",
    "spd_log_det",
    "spd_solve",
    "split_batch",
    "split_rows",
    "sqrtm_spd",
    "squared_distances",
    "squared_gaps",
    "steepest_allowed",
    "stochastic_log_det",
    "tensor_train_change_axes",
    "tensor_train_contract",
    "tensor_train_cross",
    "tensor_train_from_array",
    "tensor_train_map_axes",
    "tensor_train_ranks",
    "tensor_train_round",
    "total_variance",
    "unresolved",
    "upsample",
    "whole",
    "without_outliers",
]

guard(globals())
