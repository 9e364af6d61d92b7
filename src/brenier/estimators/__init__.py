"""Transport maps behind scikit-learn's interface."""

from brenier.estimators._monge_map import MongeMap

__all__ = ["MongeMap"]
