"""Transport maps behind scikit-learn's interface."""

from brenier.estimators._components import Components, principal_components
from brenier.estimators._monge_map import MongeMap

__all__ = ["Components", "MongeMap", "principal_components"]
