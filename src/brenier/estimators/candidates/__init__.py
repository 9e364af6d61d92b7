"""Candidates for a Monge map, each one convex potential, and what chooses among them."""

from brenier.estimators.candidates._choice import Choice, Chooser
from brenier.estimators.candidates._combination import CombinationKind
from brenier.estimators.candidates._defaults import KINDS, checked_names, fold_counts
from brenier.estimators.candidates._effort import EFFORTS, Effort
from brenier.estimators.candidates._fit import Request, fit_pair, kinds_to_try
from brenier.estimators.candidates._kinds import AbstractKind, AbstractPieces, ReversedKind
from brenier.estimators.candidates._record import discard_record, kept_training
from brenier.estimators.candidates._table import NUMBERS, CandidateRow, CandidateTable
from brenier.estimators.candidates._trial import Fold, Trial, judged

__all__ = [
    "EFFORTS",
    "KINDS",
    "NUMBERS",
    "AbstractKind",
    "AbstractPieces",
    "CandidateRow",
    "CandidateTable",
    "Choice",
    "Chooser",
    "CombinationKind",
    "Effort",
    "Fold",
    "Request",
    "ReversedKind",
    "Trial",
    "checked_names",
    "discard_record",
    "fit_pair",
    "fold_counts",
    "judged",
    "kept_training",
    "kinds_to_try",
]
