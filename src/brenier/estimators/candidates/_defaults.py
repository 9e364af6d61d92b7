"""Which candidates are worth a trial for the data at hand."""

import numpy as np

from brenier._checks import check_instance
from brenier._types import Key
from brenier.estimators.candidates._candidate import AbstractCandidate
from brenier.estimators.candidates._gaussian import GaussianCandidate
from brenier.estimators.candidates._network import NetworkCandidate
from brenier.estimators.data import FEW, Pair
from brenier.flows import AbstractMethod, ConstrainedDrift, SemiDual

# Steps for each point of the smaller cloud: few points are learned by heart in many steps.
_STEPS_A_POINT, _FEWEST_STEPS, _MOST_STEPS = 0.25, 1000, 5000
# Points a step: half of them where there are few, so that a step is not the same each time.
_BATCH, _LEAST_BATCH = 1024, 64
# Coordinates a step, at most: past 128 dimensions a step costs no more than there.
_BATCH_FLOATS = 2**17


def default_candidates(
    pair: Pair,
    *,
    method: AbstractMethod | None,
    widths: tuple[int, ...],
    pieces: int | None,
    key: Key,
) -> tuple[AbstractCandidate, ...]:
    """What is fitted and compared, simplest first.

    A method that the user passes is all that is tried, and so is the flow to a known density. Else
    the Gaussian map stands first, alone where too few points are there to hold any out, which
    would tell whether a map that bends is better.
    """
    if method is not None:
        check_instance("method", method, AbstractMethod, "a method, as flows.SemiDual()")
    chosen = method or default_method(pair.density is not None, pair.size, pair.dimension)
    trained = method is not None or pair.density is not None
    if not trained and pair.size < FEW:
        return (GaussianCandidate(),)
    network = NetworkCandidate.near_identity(
        chosen, pair.dimension, widths=widths, pieces=pieces, key=key
    )
    return (network,) if trained else (GaussianCandidate(), network)


def default_method(has_density: bool, points: int, dimension: int) -> AbstractMethod:
    """The method for a target with a density, or for so many points a side."""
    if has_density:
        return ConstrainedDrift(step_size=0.4, final_step_size=0.05, steps=40, particles=512)
    steps = int(np.clip(_STEPS_A_POINT * points, _FEWEST_STEPS, _MOST_STEPS))
    most = max(_LEAST_BATCH, min(_BATCH, _BATCH_FLOATS // dimension))
    return SemiDual(steps=steps, batch=int(np.clip(points // 2, _LEAST_BATCH, most)))
