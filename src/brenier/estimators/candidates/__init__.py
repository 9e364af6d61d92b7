"""Candidates for a Monge map, each one convex potential, and what chooses among them."""

from brenier.estimators.candidates._choice import Choice
from brenier.estimators.candidates._defaults import KINDS, checked_names
from brenier.estimators.candidates._effort import EFFORTS, Effort
from brenier.estimators.candidates._fit import Request, fit_pair
from brenier.estimators.candidates._table import NUMBERS, CandidateRow, CandidateTable

__all__ = [
    "EFFORTS",
    "KINDS",
    "NUMBERS",
    "CandidateRow",
    "CandidateTable",
    "Choice",
    "Effort",
    "Request",
    "checked_names",
    "fit_pair",
]
