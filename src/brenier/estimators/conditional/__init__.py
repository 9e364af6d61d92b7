"""Maps of many conditions: their potentials, what they are mixed from, their certificates."""

from brenier.estimators.conditional._audit import (
    ConditionPair,
    Told,
    audit_conditions,
    condition_pairs,
)
from brenier.estimators.conditional._certificates import ConditionalCertificate
from brenier.estimators.conditional._choice import PARTS, ConditionalRow, ConditionalTable
from brenier.estimators.conditional._columns import Column, Condition, grouped_rows, read_condition
from brenier.estimators.conditional._fit import ConditionalFit, fit_conditions

__all__ = [
    "PARTS",
    "Column",
    "Condition",
    "ConditionPair",
    "ConditionalCertificate",
    "ConditionalFit",
    "ConditionalRow",
    "ConditionalTable",
    "Told",
    "audit_conditions",
    "condition_pairs",
    "fit_conditions",
    "grouped_rows",
    "read_condition",
]
