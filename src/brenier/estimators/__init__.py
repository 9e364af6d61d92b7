"""Transport maps and generators behind scikit-learn's interface."""

from brenier.estimators._generator import Generator
from brenier.estimators._monge_map import MongeMap

__all__ = ["Generator", "MongeMap"]
