"""Transport maps and generators behind scikit-learn's interface."""

from brenier._arithmetic import guard
from brenier.estimators._conditional import ConditionalMongeMap
from brenier.estimators._generator import Generator
from brenier.estimators._monge_map import MongeMap
from brenier.estimators._time_series import TimeSeries
from brenier.estimators.conditional import ConditionalCertificate, ConditionalTable
from brenier.estimators.data import Components, principal_components
from brenier.estimators.generation import energy_score
from brenier.estimators.labels import (
    TransferredLabels,
    TransitionTable,
    transfer_labels,
    transition_table,
)

__all__ = [
    "Components",
    "ConditionalCertificate",
    "ConditionalMongeMap",
    "ConditionalTable",
    "Generator",
    "MongeMap",
    "TimeSeries",
    "TransferredLabels",
    "TransitionTable",
    "energy_score",
    "principal_components",
    "transfer_labels",
    "transition_table",
]

guard(globals())
