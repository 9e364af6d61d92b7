"""A density's values on an equispaced grid as a tensor train: from a function, and checked."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from threadpoolctl import threadpool_limits

from brenier._checks import check_at_least
from brenier._types import Array, Float, Key, Point, Points, Scalar
from brenier.numerics import (
    TensorTrainCores,
    in_blocks,
    tensor_train_contract,
    tensor_train_cross,
    tensor_train_from_array,
    tensor_train_ranks,
)

Corner: TypeAlias = Sequence[float | int] | np.ndarray

# Grids up to this are evaluated at all nodes.
_ALL_NODES = 2**22
# Points whose density is evaluated at once: few, or many. Each size is compiled once.
_BLOCKS = (2**11, 2**14)
_FEWEST_NODES = 8
# Mass that may lie outside of the box.
_OUTSIDE = 1e-8
# Points at which a log-density is evaluated to find its size.
_LOOKED_AT = 4096


class NodeBox(NamedTuple):
    """A box and its equispaced nodes, axis by axis."""

    lower: tuple[float, ...]
    upper: tuple[float, ...]
    shape: tuple[int, ...]

    def nodes(self) -> list[Float[np.ndarray, " _"]]:
        return [np.linspace(*ends) for ends in zip(self.lower, self.upper, self.shape, strict=True)]


def checked_box(lower: Corner, upper: Corner, shape: Sequence[int]) -> NodeBox:
    """The box, or a ``ValueError`` naming what does not match."""
    sizes = tuple(check_at_least("shape", n, _FEWEST_NODES) for n in shape)
    corners = []
    for name, corner in (("lower", lower), ("upper", upper)):
        numbers = tuple(float(number) for number in corner)
        if len(numbers) != len(sizes) or not sizes or not np.isfinite(numbers).all():
            raise ValueError(
                f"{name}: got {list(corner)}; wants {max(len(sizes), 1)} finite "
                "numbers, one for each axis."
            )
        corners.append(numbers)
    if any(a >= b for a, b in zip(*corners, strict=True)):
        raise ValueError(f"upper: got {list(upper)}; wants numbers above lower, {list(lower)}.")
    return NodeBox(corners[0], corners[1], sizes)


def tensor_train_of_function(
    name: str,
    density: Callable[[Point], Scalar],
    box: NodeBox,
    tolerance: float,
    max_rank: int,
    key: Key | None,
) -> TensorTrainCores:
    """Cores of a density's values at the nodes: from all of them by SVD, or some by TT-cross."""
    nodes = box.nodes()

    def at(index: np.ndarray) -> np.ndarray:
        return np.stack([y[index[:, axis]] for axis, y in enumerate(nodes)], axis=1)

    def entries(index: np.ndarray) -> np.ndarray:
        points = at(index)
        return _checked_values(name, _values(density, points), points)

    def heights(index: np.ndarray) -> np.ndarray:
        log = density.function if isinstance(density, Exponential) else density
        return _values(log, at(index))

    if math.prod(box.shape) > _ALL_NODES:
        return tensor_train_cross(entries, box.shape, tolerance, max_rank, heights=heights, key=key)
    grid = np.stack(np.meshgrid(*nodes, indexing="ij"), axis=-1).reshape(-1, len(nodes))
    table = _checked_values(name, _values(density, grid), grid).reshape(box.shape)
    with threadpool_limits(1, user_api="blas"):
        cores = tensor_train_from_array(table, tolerance)
    rank = max(tensor_train_ranks(cores), default=1)
    if rank > max_rank:
        raise ValueError(
            f"max_rank: got {max_rank}; wants at least {rank}, the rank of this "
            f"density at a tolerance of {tolerance:.3g}, or a larger tolerance."
        )
    return cores


class Exponential(eqx.Module):
    """exp(f − shift)."""

    function: Callable[[Point], Scalar]
    shift: Scalar

    def __call__(self, x: Point) -> Scalar:
        return jnp.exp(self.function(x) - self.shift)


def values_in_range(log_density: Callable[[Point], Scalar], box: NodeBox) -> Exponential:
    """The density, scaled so that its values neither overflow nor all vanish."""
    random = np.random.default_rng(0)
    points = random.uniform(box.lower, box.upper, (_LOOKED_AT, len(box.shape)))
    values = _values(log_density, points)
    if np.isnan(values).any() or np.isposinf(values).any():
        row = int(np.flatnonzero(np.isnan(values) | np.isposinf(values))[0])
        raise ValueError(
            f"log_density: got {values[row]} at {points[row].tolist()}; wants numbers "
            "(or -inf where the density is 0)."
        )
    top = values.max()
    return Exponential(log_density, jnp.asarray(top if np.isfinite(top) else 0.0))


def checked_tensor_train(
    values: TensorTrainCores, lower: Corner, upper: Corner, tolerance: float
) -> list[Float[np.ndarray, " _"]]:
    """The nodes of cores of values; a ``ValueError`` where these are no density's."""
    ranks = [1, *(core.shape[-1] for core in values)]
    if (
        not values
        or any(core.ndim != 3 for core in values)
        or ranks[-1] != 1
        or [core.shape[0] for core in values] != ranks[:-1]
    ):
        raise ValueError(
            f"cores: got shapes {[core.shape for core in values]}; wants a chain "
            "(1, n_1, r_1), (r_1, n_2, r_2), …, (r_{d-1}, n_d, 1)."
        )
    box = checked_box(lower, upper, [core.shape[1] for core in values])
    bad = sum(int((~np.isfinite(core)).sum()) for core in values)
    if bad:
        raise ValueError(f"cores: got {bad} NaN or infinite entries; wants finite numbers.")
    nodes = box.nodes()
    gaps = [(y[-1] - y[0]) / (y.size - 1) for y in nodes]
    ones = [np.full((1, y.size), gap) for y, gap in zip(nodes, gaps, strict=True)]
    mass = float(tensor_train_contract(values, ones)[0])
    if not mass > 0.0 or not np.isfinite(mass):
        raise ValueError(
            f"density: got an integral of {mass:.3g} over the box; wants a density "
            "with a finite integral above 0."
        )
    for axis, gap in enumerate(gaps):
        rows = [np.broadcast_to(one, (nodes[axis].size, one.shape[1])) for one in ones]
        rows[axis] = np.eye(nodes[axis].size)
        marginal = tensor_train_contract(values, rows) / mass
        if marginal.min() < -max(1e3 * tolerance, 1e-9) * marginal.max():
            raise ValueError(
                f"density: got a marginal along axis {axis} that is negative, "
                f"{marginal.min() / marginal.max():.3g} of its maximum; wants a "
                "density >= 0."
            )
        _check_border(marginal, gap, axis, tolerance)
    return nodes


def _check_border(
    marginal: Float[np.ndarray, " n"], gap: float, axis: int, tolerance: float
) -> None:
    for name, ends in (("lower", marginal[:3]), ("upper", marginal[:-4:-1])):
        if ends[0] <= 1e3 * tolerance * marginal.max():
            continue
        # The mass beyond, if the density goes on to decay at the rate of the last two nodes.
        rate = math.log(ends[1] / ends[0]) / gap if ends[1] > ends[0] else 0.0
        outside = min(ends[0] / rate, 1.0) if rate > 0.0 else 1.0
        if outside > _OUTSIDE:
            raise ValueError(
                f"{name}: got a border of axis {axis} where the density has not decayed: about "
                f"{outside:.2g} of the mass lies beyond it (the marginal there is "
                f"{ends[0] / marginal.max():.2g} of its maximum); wants a wider box."
            )


def over_nodes(function: Callable[[Points], Array], points: np.ndarray) -> np.ndarray:
    """A compiled function of the nodes that a cross approximation asks for, few or many at once."""
    return in_blocks(function, points, _BLOCKS[len(points) > _BLOCKS[0]])


def _values(function: Callable[[Point], Scalar], points: np.ndarray) -> Float[np.ndarray, " n"]:
    return over_nodes(functools.partial(_values_of_block, function), points)


@eqx.filter_jit
def _values_of_block(function: Callable[[Point], Scalar], points: Points) -> Float[Array, " n"]:
    return jax.vmap(function)(points)


def _checked_values(name: str, values: np.ndarray, points: np.ndarray) -> np.ndarray:
    wrong = ~np.isfinite(values) | (values < 0.0)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ValueError(
            f"{name}: got a density of {values[row]} at {points[row].tolist()}; wants "
            "finite values >= 0."
        )
    return values
