"""Maps of many conditions: their potentials, what they are mixed from, their certificates."""

from brenier.estimators.conditional._certificates import ConditionalCertificate
from brenier.estimators.conditional._choice import PARTS, ConditionalRow, ConditionalTable
from brenier.estimators.conditional._conditions import Column, read_columns
from brenier.estimators.conditional._fit import ConditionalFit, fit_conditions

__all__ = [
    "PARTS",
    "Column",
    "ConditionalCertificate",
    "ConditionalFit",
    "ConditionalRow",
    "ConditionalTable",
    "fit_conditions",
    "read_columns",
]
