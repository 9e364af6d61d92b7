"""What users hand in: columns, clouds, components of them, and both in standard coordinates."""

from brenier.estimators.data._cloud import MOST_POINTS, sound_points
from brenier.estimators.data._columns import (
    column_names,
    drawn_seed,
    keep_columns,
    kept_columns,
    known_points,
    training_points,
)
from brenier.estimators.data._components import (
    Components,
    dense,
    opened,
    opened_alike,
    principal_components,
)
from brenier.estimators.data._covariance import shrunk_covariance
from brenier.estimators.data._given_weights import given_weights, one_of, weighted_rows
from brenier.estimators.data._named_columns import column_labels, frame_columns, taken_columns
from brenier.estimators.data._pair import Layout, Pair, read_pair
from brenier.estimators.data._standard_data import FEW, StandardData

__all__ = [
    "FEW",
    "MOST_POINTS",
    "Components",
    "Layout",
    "Pair",
    "StandardData",
    "column_labels",
    "column_names",
    "dense",
    "drawn_seed",
    "frame_columns",
    "given_weights",
    "keep_columns",
    "kept_columns",
    "known_points",
    "one_of",
    "opened",
    "opened_alike",
    "principal_components",
    "read_pair",
    "shrunk_covariance",
    "sound_points",
    "taken_columns",
    "training_points",
    "weighted_rows",
]
