"""Transport maps and generators behind scikit-learn's interface."""

from brenier._arithmetic import guard
from brenier.estimators._conditional import ConditionalMongeMap
from brenier.estimators._generator import Generator
from brenier.estimators._monge_map import MongeMap
from brenier.estimators.conditional import ConditionalCertificate, ConditionalTable
from brenier.estimators.data import Components, principal_components
from brenier.estimators.generation import energy_score

__all__ = [
    "Components",
    "ConditionalCertificate",
    "ConditionalMongeMap",
    "ConditionalTable",
    "Generator",
    "MongeMap",
    "energy_score",
    "principal_components",
]

guard(globals())
