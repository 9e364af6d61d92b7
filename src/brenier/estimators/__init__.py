"""Transport maps and generators behind scikit-learn's interface."""

from brenier.estimators._components import Components, principal_components
from brenier.estimators._generator import Generator
from brenier.estimators._monge_map import MongeMap

__all__ = ["Components", "Generator", "MongeMap", "principal_components"]
