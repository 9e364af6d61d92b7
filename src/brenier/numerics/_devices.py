"""Arrays over several devices: XLA splits the work along them (GSPMD), the code stays the same."""

from collections.abc import Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

Tree = TypeVar("Tree")


def split_rows(tree: Tree, devices: Sequence[Any] | None = None) -> Tree:
    """The same arrays with their rows over the devices, equal numbers on each.

    What is computed from them is computed where they lie: a batch, a sum over points, the rows of
    Sinkhorn's kernel (``sinkhorn`` of a split x and an unsplit y). Results are those of one device,
    but for the order in which sums are rounded. With several processes (``jax.distributed``) every
    process passes the same whole array, and keeps its own rows.

    Not for arrays that fit one device in memory and time: rows that must meet are sent around.

    Args:
        tree: an array, a measure, any tree of arrays; what has no rows is left whole on each.
        devices: where to; all of all processes when None.

    Raises:
        ValueError: a number of rows that the number of devices does not divide.

    >>> import jax.numpy as jnp
    >>> split_rows(jnp.arange(4.0)).sum().item()
    6.0
    """
    mesh = _mesh(devices)
    count = mesh.devices.size

    def place(leaf: Any) -> Any:
        rows = leaf.shape[0] if leaf.ndim else None
        if rows is not None and rows % count:
            raise ValueError(
                f"tree: got an array of {rows} rows for {count} devices; wants a "
                f"multiple of {count} (leave out {rows % count})."
            )
        spec = PartitionSpec() if rows is None else PartitionSpec("rows")
        return _placed(leaf, NamedSharding(mesh, spec))

    return _mapped(place, tree)


def copy_to_all(tree: Tree, devices: Sequence[Any] | None = None) -> Tree:
    """The same arrays, copied whole to every device: parameters, keys, small clouds.

    >>> import jax.numpy as jnp
    >>> copy_to_all(jnp.ones(3)).sharding.is_fully_replicated
    True
    """
    sharding = NamedSharding(_mesh(devices), PartitionSpec())
    return _mapped(lambda leaf: _placed(leaf, sharding), tree)


def _mesh(devices: Sequence[Any] | None) -> Mesh:
    return Mesh(np.asarray(jax.devices() if devices is None else devices), ("rows",))


def _placed(leaf: Any, sharding: NamedSharding) -> jax.Array:
    """The array where the sharding says; of several processes, each puts its own part."""
    if sharding.is_fully_addressable:
        return jax.device_put(leaf, sharding)
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        data = _placed(jax.random.key_data(leaf), sharding)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
    whole = np.asarray(leaf)
    return jax.make_array_from_callback(whole.shape, sharding, lambda part: whole[part])


def _mapped(place: Any, tree: Tree) -> Tree:
    return jax.tree.map(
        lambda leaf: place(leaf) if isinstance(leaf, jax.Array | np.ndarray) else leaf, tree
    )
