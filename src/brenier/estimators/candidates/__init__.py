"""Candidates for a Monge map, each one convex potential, and what chooses among them."""

from brenier.estimators.candidates._candidate import (
    AbstractCandidate,
    Fit,
    common_precision,
    fit_all,
)
from brenier.estimators.candidates._defaults import default_candidates
from brenier.estimators.candidates._selection import Selection, select

__all__ = [
    "AbstractCandidate",
    "Fit",
    "Selection",
    "common_precision",
    "default_candidates",
    "fit_all",
    "select",
]
