"""One map for every condition."""

from collections.abc import Sequence

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

_NAMED = 10  # conditions that a message lists, at most


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
        values = (condition,) if isinstance(condition, str | float | int) else tuple(condition)
        code = self.covariates.encode(values)
        for doubt in self.doubts(values):
            warn_user(doubt)
        potential = Preconditioned.in_coordinates(self.potential.at(code), self.coordinates)
        map = GradientMap(potential)
        if self.basis is None or self.centre is None or self.across is None:
            return map
        basis, shift = np.asarray(self.basis), np.asarray(self.across(code))
        # In single precision sums of shifts across are not quite across.
        return SubspaceMap(map, basis, self.centre, shift - basis @ (basis.T @ shift))

    def doubts(self, condition: Sequence[str | float]) -> list[str]:
        """What was not seen of a condition, in a sentence each."""
        own, found = self.covariates, []
        values = own.checked(condition)
        for i, (name, categories, value) in enumerate(
            zip(own.names, own.categories, values, strict=True)
        ):
            if categories and value not in categories:
                found.append(
                    f"condition: got {name} {value!r}, which was not fitted: the map is predicted "
                    f"from those that were, {_listed(categories)}."
                )
            elif not categories:
                seen = [float(known[i]) for known in self.known]
                if not min(seen) <= float(value) <= max(seen):
                    found.append(
                        f"condition: got {name} {value:g}, outside of what was fitted, "
                        f"{min(seen):g} to {max(seen):g}: the map is extrapolated."
                    )
        return found

    def codes(self) -> np.ndarray:
        """The codes of the conditions that were seen, (k, e)."""
        return np.stack([self.covariates.encode(known) for known in self.known])


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"
