"""The cells of a semi-discrete map as polygons."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jax.typing import ArrayLike

from brenier._solution import Solution
from brenier.exact.cells._power_diagram import cell_polygons
from brenier.maps import GradientMap
from brenier.measures import Uniform
from brenier.potentials import MaxAffine


def laguerre_cells(
    transport: Solution[Any] | GradientMap | MaxAffine,
    lower: ArrayLike | Sequence[float],
    upper: ArrayLike | Sequence[float],
) -> list[np.ndarray]:
    """The cells of a semi-discrete map in the plane, cut to a box: polygons to draw.

    Not beyond the plane, where cells are polytopes: evaluate the map instead.

    Args:
        transport: a solution of ``solve_semi_discrete`` or ``solve_assignment``, its map, or the
            ``MaxAffine`` potential.
        lower: (2,), the lowest corner of the box.
        upper: (2,), the highest.

    Returns:
        For each of the potential's points the corners (k, 2) of its cell, counter-clockwise; (0, 2)
        where the cell does not meet the box.

    Raises:
        ValueError: a map without a ``MaxAffine`` potential in the plane, or a box without area.

    >>> import jax.numpy as jnp
    >>> corner = jnp.ones(2)
    >>> phi = MaxAffine(jnp.array([[-1.0, 0.0], [1.0, 0.0]]), jnp.zeros(2), jnp.array(-jnp.inf))
    >>> [cell.shape for cell in laguerre_cells(phi, -corner, corner)]
    [(4, 2), (4, 2)]
    """
    held = transport.map if isinstance(transport, Solution) else transport
    potential = held.potential if isinstance(held, GradientMap) else held
    if not isinstance(potential, MaxAffine) or potential.dimension != 2:
        raise ValueError(
            f"transport: got {type(potential).__name__}; wants a MaxAffine potential "
            "in the plane, its GradientMap, or a Solution that holds it."
        )
    box = Uniform(np.asarray(lower), np.asarray(upper))
    if box.dimension != 2:
        raise ValueError(f"lower: got dimension {box.dimension}; wants corners (2,).")
    origin = np.zeros(2) if potential.origin is None else np.asarray(potential.origin)
    slopes = np.asarray(potential.slopes, np.float64)
    cells = cell_polygons(
        slopes - slopes[0],
        np.asarray(potential.offsets, np.float64),
        np.asarray(box.lower) - origin,
        np.asarray(box.upper) - origin,
    )
    return [origin + cell for cell in cells]
