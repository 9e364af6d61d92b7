"""Transport maps and generators behind scikit-learn's interface."""

from brenier.estimators._components import Components, principal_components
from brenier.estimators._generator import Generator
from brenier.estimators._generator_choice import energy_score
from brenier.estimators._monge_map import MongeMap

__all__ = ["Components", "Generator", "MongeMap", "energy_score", "principal_components"]
