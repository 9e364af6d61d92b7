"""Labels: of target points for source points, by the map between them."""

from brenier.estimators.labels._of_estimators import labels_of_points, table_of_points
from brenier.estimators.labels._results import TransferredLabels, TransitionTable
from brenier.estimators.labels._transfer import transfer_labels, transition_table

__all__ = [
    "TransferredLabels",
    "TransitionTable",
    "labels_of_points",
    "table_of_points",
    "transfer_labels",
    "transition_table",
]
