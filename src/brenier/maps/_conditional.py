"""One map for every condition."""

from collections.abc import Iterable, Sequence
from typing import Any

import equinox as eqx
import numpy as np

from brenier._types import Array, Float
from brenier._warnings import warn_user
from brenier.maps._base import AbstractMap
from brenier.maps._covariates import Covariates
from brenier.maps._gradient import GradientMap
from brenier.maps._subspace import SubspaceMap
from brenier.numerics import Coordinates, Kriging
from brenier.potentials import AbstractConditionalPotential, Preconditioned

# Conditions that a message lists, at most: of those that were fitted, and of those that were not.
_NAMED, _DOUBTED = 10, 3


class ConditionalMap(eqx.Module):
    """T(x; c) = ∇φ(x; c), φ convex in x for every condition c: a Monge map for each.

    ``at`` gives the map of one condition, with its inverse, Jacobian and all else. What
    ``ConditionalMongeMap`` learns; ``brenier.save`` writes it.

    Args:
        potential: φ, in standard coordinates.
        coordinates: in which it takes points, of those of the data or of their components.
        covariates: what a condition is told by.
        known: the conditions that were seen.
        basis: where the map is of components, theirs (d, k), and their centre (d,).
        centre: see there.
        across: the shift of points across the components, (d,) of each condition.

    >>> import numpy as np
    >>> from brenier.potentials import Quadratic, Unconditional
    >>> own = Covariates(("dose",), ((),), np.zeros(1), np.ones(1))
    >>> phi = Unconditional(Quadratic.identity(2), own.layout)
    >>> T = ConditionalMap(phi, Coordinates.identity(2), own, ((0.0,), (1.0,)))
    >>> T.at((0.5,))(np.ones((1, 2))).tolist()
    [[1.0, 1.0]]
    """

    potential: AbstractConditionalPotential
    coordinates: Coordinates
    covariates: Covariates
    known: tuple[tuple[str | float, ...], ...] = eqx.field(static=True)
    basis: Float[Array, "d k"] | None = None
    centre: Float[Array, " d"] | None = None
    across: Kriging | None = None

    def __check_init__(self):
        if self.potential.layout != self.covariates.layout:
            raise ValueError(
                f"covariates: got the layout {self.covariates.layout}; wants "
                f"{self.potential.layout}, that of the potential."
            )
        parts = (self.basis, self.centre, self.across)
        if any(part is None for part in parts) != all(part is None for part in parts):
            raise ValueError("basis, centre, across: got some of them; wants all or none.")

    @property
    def dimension(self) -> int:
        return self.coordinates.dimension if self.centre is None else self.centre.shape[-1]

    def at(self, condition: Sequence[str | float] | str | float) -> AbstractMap:
        """T(·; c) of one condition: a value, or one for each covariate.

        Of a condition that was not seen it is a prediction.

        Raises:
            ValueError: another number of values than there are covariates; a number that is none.

        Warns:
            UserWarning: a category that was not seen, or a number outside of all that were.
        """
        several = condition if isinstance(condition, Sequence | np.ndarray) else (condition,)
        return self.each([(several,) if isinstance(several, str) else tuple(several)])[0]

    def each(self, conditions: Iterable[Sequence[Any]]) -> list[AbstractMap]:
        """T(·; c) of each of several conditions, a value for each covariate.

        Raises:
            ValueError: as ``at``.

        Warns:
            UserWarning: as ``at``, once for all that is unknown of a covariate.
        """
        told = list(conditions)
        for doubt in self.doubts(*told):
            warn_user(doubt)
        return [self._of(self.covariates.encode(values)) for values in told]

    def _of(self, code: np.ndarray) -> AbstractMap:
        """The map of one code."""
        potential = Preconditioned.in_coordinates(self.potential.at(code), self.coordinates)
        map = GradientMap(potential)
        if self.basis is None or self.centre is None or self.across is None:
            return map
        basis, shift = np.asarray(self.basis), np.asarray(self.across(code))
        # In single precision sums of shifts across are not quite across.
        return SubspaceMap(map, basis, self.centre, shift - basis @ (basis.T @ shift))

    def doubts(self, *conditions: Sequence[Any]) -> list[str]:
        """What was not seen of conditions, in a sentence for each covariate that it is of."""
        own, found = self.covariates, []
        columns = zip(*(own.checked(condition) for condition in conditions), strict=True)
        for i, values in enumerate(columns):
            categories = own.categories[i]
            if categories:
                new = [repr(value) for value in sorted(set(values) - set(categories))]
                were = "was" if len(new) == 1 else "were"
                why = f"which {were} not fitted"
                how = f"predicted from those that were, {_listed(categories)}"
            else:
                seen = [float(known[i]) for known in self.known]
                low, high = min(seen), max(seen)
                numbers = sorted(set(map(float, values)))
                new = [f"{value:g}" for value in numbers if not low <= value <= high]
                why = f"outside of what was fitted, {low:g} to {high:g}"
                how = "extrapolated"
            if new:
                found.append(_doubt(own.names[i], new, why, how))
        return found

    def codes(self) -> np.ndarray:
        """The codes of the conditions that were seen, (k, e)."""
        return np.stack([self.covariates.encode(known) for known in self.known])


def _doubt(name: str, new: Sequence[str], why: str, how: str) -> str:
    if len(new) == 1:
        return f"condition: got {name} {new[0]}, {why}: the map is {how}."
    some = _listed(new, _DOUBTED)
    return f"condition: got {len(new):,} values of {name}, {some}, {why}: their maps are {how}."


def _listed(names: Sequence[str], most: int = _NAMED) -> str:
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
