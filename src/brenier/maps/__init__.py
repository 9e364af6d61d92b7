"""Transport maps, and the measures they make."""

from brenier._arithmetic import guard
from brenier.maps._affine import AffineMap
from brenier.maps._base import AbstractMap, evaluation_floats
from brenier.maps._composition import Composition
from brenier.maps._conditional import ConditionalMap
from brenier.maps._covariates import Covariates
from brenier.maps._debiased import DebiasedMap
from brenier.maps._entropic import EntropicMap
from brenier.maps._entropic_growth import EntropicGrowth
from brenier.maps._gradient import ConjugateMap, GradientMap
from brenier.maps._network import ResidualNetwork
from brenier.maps._pushforward import Pushforward
from brenier.maps._subspace import SubspaceMap

__all__ = [
    "AbstractMap",
    "AffineMap",
    "Composition",
    "ConditionalMap",
    "ConjugateMap",
    "Covariates",
    "DebiasedMap",
    "EntropicGrowth",
    "EntropicMap",
    "GradientMap",
    "Pushforward",
    "ResidualNetwork",
    "SubspaceMap",
    "evaluation_floats",
]

guard(globals())
