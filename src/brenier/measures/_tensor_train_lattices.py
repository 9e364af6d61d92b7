"""From values at equispaced nodes, in tensor-train format, to a sum of Gaussians on a lattice."""

from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np
from threadpoolctl import threadpool_limits

from brenier._checks import to_device
from brenier._types import Array, Float
from brenier.numerics import (
    Lattice,
    TensorTrainCores,
    fit_lattice,
    tensor_train_change_axes,
    tensor_train_contract,
    unresolved,
    upsample,
)

# The aliasing error that nodes may have, in tolerances: it is an estimate, too high where the
# spectrum falls.
_ALIASED = 100.0


def fitted_lattices(
    values: TensorTrainCores, nodes: Sequence[Float[np.ndarray, " _"]], tolerance: float
) -> tuple[tuple[Float[Array, "_ _ _"], ...], tuple[Float[Array, " _"], ...], Float[Array, " _"]]:
    """Cores of the weights, centres and widths of the law with these values, scaled to mass 1.

    Raises:
        ValueError: values too rough for their nodes.
    """
    lattices: list[Lattice] = []

    def choose(axis: int, columns: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        # No fit can be better than what the border of the box cuts off.
        border = float(np.linalg.norm(columns[[0, -1]]) / np.linalg.norm(columns))
        allowed = max(tolerance, 10.0 * border)
        lattice = fit_lattice(nodes[axis], columns, allowed)
        if lattice.error <= allowed:
            lattices.append(lattice)
            return lattice.weights
        # At the nodes alone only wide Gaussians can be fitted; interpolation allows narrower ones.
        finer, more = upsample(nodes[axis], columns)
        lattice = fit_lattice(finer, more, allowed)
        error = max(lattice.error, unresolved(columns) / _ALIASED)
        if error > allowed:
            raise ValueError(
                f"shape: got {nodes[axis].size} nodes along axis {axis}, where the density is too "
                f"rough for them; wants more nodes, or a tolerance of {1.1 * error:.2g} or more."
            )
        lattices.append(lattice)
        return lambda part: lattice.weights(upsample(nodes[axis], part)[1])

    # The matrices are small: threads of BLAS cost more than they bring, and much more when busy.
    with threadpool_limits(1, user_api="blas"):
        cores = list(tensor_train_change_axes(values, choose, tolerance))
    mass = tensor_train_contract(tuple(cores), [np.ones((1, core.shape[1])) for core in cores])[0]
    cores[-1] = cores[-1] / mass
    return (
        tuple(to_device(core) for core in cores),
        tuple(to_device(lattice.centres) for lattice in lattices),
        jnp.asarray([lattice.width for lattice in lattices]),
    )
