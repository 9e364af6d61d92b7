"""Growth: where mass is made and lost between two clouds, and how much is worth it."""

from brenier.estimators.growth._entropic import entropic_growth
from brenier.estimators.growth._pair import check_unbalanced, grown, grown_weights, growth_of
from brenier.estimators.growth._penalty import PenaltyRow, penalty_rows

__all__ = [
    "PenaltyRow",
    "check_unbalanced",
    "entropic_growth",
    "grown",
    "grown_weights",
    "growth_of",
    "penalty_rows",
]
