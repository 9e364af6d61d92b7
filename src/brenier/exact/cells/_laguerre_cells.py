"""The cells of a semi-discrete map as polygons."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jax.typing import ArrayLike

from brenier._solution import Solution
from brenier.exact.cells._power_diagram import cell_polygons
from brenier.maps import GradientMap
from brenier.measures import Uniform
from brenier.numerics import Coordinates
from brenier.potentials import MaxAffine, Preconditioned


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
    inner = potential.potential if isinstance(potential, Preconditioned) else potential
    if not isinstance(inner, MaxAffine) or inner.dimension != 2:
        raise ValueError(
            f"transport: got {type(potential).__name__}; wants a MaxAffine potential "
            "in the plane, its GradientMap, or a Solution that holds it."
        )
    box = Uniform(np.asarray(lower), np.asarray(upper))
    if box.dimension != 2:
        raise ValueError(f"lower: got dimension {box.dimension}; wants corners (2,).")
    plain = isinstance(potential, MaxAffine)
    own = (Coordinates.identity(2) if plain else potential.coordinates).on_host()
    if not np.array_equal(own.matrix, np.eye(2)):
        raise ValueError("transport: got turned coordinates; wants a shift and a scale alone.")
    cells = cell_polygons(
        np.asarray(inner.slopes, np.float64),
        np.asarray(inner.offsets, np.float64),
        *(own.encode_source(np.asarray(corner)) for corner in (box.lower, box.upper)),
    )
    return [own.decode_source(cell) for cell in cells]
