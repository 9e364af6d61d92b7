"""Several devices: work that is worth it is split over all of a kind, and arrays lie as asked."""

import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AbstractMesh, Mesh, NamedSharding, PartitionSpec

Tree = TypeVar("Tree")
Function = TypeVar("Function", bound=Callable[..., Any])

# The axis of the devices that share the work of a call.
_AXIS = "brenier"
# Pairs of points, or numbers in working memory, that take one device about a millisecond (an H200
# sums 2e7 pairs of Sinkhorn's, d = 64). To share less costs more than it saves: a copy of what is
# given to each device, and some 50 µs whenever they wait for each other.
_WORTH = {"cpu": 2**18}
_WORTH_ELSEWHERE = 2**24
# Devices that share their cores: programs that factorise matrices wait there for each other's
# threads, for minutes or for ever.
_ON_SHARED_CORES = {"cpu"}
# Programs over several devices that are started by two threads at once can wait for each other.
_FREE = threading.Lock()


def over_devices(
    work: Callable[..., int], *, factorises: bool = False
) -> Callable[[Function], Function]:
    """A decorator for a compiled function: it runs over all local devices of a kind.

    The arguments are copied to each; what the function splits, by ``on_each_device`` and
    ``split_batch``, is computed in parts; results are handed back on the device that the arguments
    were on. They are those of one device, but for the order in which sums are rounded.

    It stays on one device where the work is not worth more (``_WORTH``), where arguments are traced
    or lie on several already, where ``jax.default_device`` names one, and while another thread has
    them all.

    Args:
        work: of the function's own arguments: pairs of points, or numbers in working memory.
        factorises: whether the program may factorise matrices, which devices of one CPU cannot do
            at once.

    >>> twice = over_devices(lambda x: x.size)(jax.jit(lambda x: 2.0 * x))
    >>> twice(jnp.ones(2)).tolist()
    [2.0, 2.0]
    """

    def decorate(function: Function) -> Function:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            devices = _siblings((args, kwargs))
            if len(devices) > 1:
                platform = devices[0].platform
                least = _WORTH.get(platform, _WORTH_ELSEWHERE)
                able = not (factorises and platform in _ON_SHARED_CORES)
                if able and work(*args, **kwargs) >= least and _FREE.acquire(blocking=False):
                    try:
                        return _shared(function, args, kwargs, devices)
                    finally:
                        _FREE.release()
            return function(*args, **kwargs)

        return call  # type: ignore[return-value]

    return decorate


def on_each_device(function: Callable[[Tree], Any], tiles: Tree) -> Any:
    """function of each device's own tiles, what they give put together again along its first axis.

    Of all tiles where ``over_devices`` shares nothing. The first axes are to be of a multiple of
    ``sharing()``.

    Args:
        function: of tiles; where it is a tree (an ``eqx.Partial``) its arrays are whole on each.
        tiles: a tree of arrays.

    >>> on_each_device(lambda tiles: 2.0 * tiles, jnp.ones(2)).tolist()
    [2.0, 2.0]
    """
    mesh = _in_force()
    if mesh is None:
        return function(tiles)
    copied, own = PartitionSpec(), PartitionSpec(_AXIS)
    arrays, static = eqx.partition(function, eqx.is_array)
    program = _traced_alone(lambda given, part: eqx.combine(given, static)(part), arrays, tiles)
    found = jax.shard_map(
        program,
        in_specs=(copied, own),
        out_specs=own,
        # Loops begin with constants: JAX would have each marked as varying.
        check_vma=False,
    )(arrays, tiles)
    return whole(found)


def _traced_alone(function: Callable[..., Any], arrays: Any, tiles: Any) -> Callable[..., Any]:
    """The program of one device's part, traced where no devices share it.

    What a function computes from constants while it is traced, as diffrax does, JAX 0.10 cannot do
    inside of ``shard_map``.
    """
    count = sharing()

    def part(leaf: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((leaf.shape[0] // count, *leaf.shape[1:]), leaf.dtype)

    given = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), arrays)
    with jax.sharding.use_abstract_mesh(AbstractMesh((), ())):
        traced, shapes = jax.make_jaxpr(function, return_shape=True)(
            given, jax.tree.map(part, tiles)
        )

    def program(*args: Any) -> Any:
        found = jax.core.eval_jaxpr(traced.jaxpr, traced.consts, *jax.tree.leaves(args))
        return jax.tree.unflatten(jax.tree.structure(shapes), found)

    return program


def split_batch(batch: Tree) -> Tree:
    """The rows of a batch over the devices that share the program; XLA splits what comes of them.

    Any number of rows. As it is where ``over_devices`` shares nothing.

    >>> split_batch(jnp.ones(3)).tolist()
    [1.0, 1.0, 1.0]
    """
    if _in_force() is None:
        return batch
    return jax.lax.with_sharding_constraint(batch, PartitionSpec(_AXIS))


def whole(tree: Tree) -> Tree:
    """What ``split_batch`` split, or XLA did, whole on each device again.

    As it is where ``over_devices`` shares nothing.

    >>> whole(split_batch(jnp.ones(3))).tolist()
    [1.0, 1.0, 1.0]
    """
    if _in_force() is None:
        return tree
    arrays, static = eqx.partition(tree, eqx.is_array)
    return eqx.combine(jax.lax.with_sharding_constraint(arrays, PartitionSpec()), static)


def sharing() -> int:
    """How many devices share the program that is being traced.

    >>> sharing()
    1
    """
    mesh = _in_force()
    return 1 if mesh is None else mesh.size


def split_rows(tree: Tree, devices: Sequence[Any] | None = None) -> Tree:
    """The same arrays with their rows over the devices, equal numbers on each.

    What is computed from them is computed where they lie: a batch, a sum over points, the rows of
    Sinkhorn's kernel (``sinkhorn`` of a split x and an unsplit y). Results are those of one device,
    but for the order in which sums are rounded. With several processes (``jax.distributed``) every
    process passes the same whole array, and keeps its own rows.

    Of rows that the devices do not divide, parts lie on as many as do, and copies of these on the
    rest: of 6 rows each of four devices has 3, of 7 all.

    Not for arrays that fit one device in memory and time: rows that must meet are sent around, and
    brenier shares large work by itself.

    Args:
        tree: an array, a measure, any tree of arrays; what has no rows is left whole on each.
        devices: where to; all of all processes when None.

    >>> import jax.numpy as jnp
    >>> split_rows(jnp.arange(4.0)).sum().item()
    6.0
    """
    mesh = _mesh(devices)

    def place(leaf: Any) -> Any:
        axes, left = [], leaf.shape[0] if leaf.ndim else 1
        for axis, size in mesh.shape.items():
            if left % size == 0:
                axes.append(axis)
                left //= size
        return _placed(leaf, NamedSharding(mesh, PartitionSpec(tuple(axes) or None)))

    return _mapped(place, tree)


def copy_to_all(tree: Tree, devices: Sequence[Any] | None = None) -> Tree:
    """The same arrays, copied whole to every device: parameters, keys, small clouds.

    >>> import jax.numpy as jnp
    >>> copy_to_all(jnp.ones(3)).sharding.is_fully_replicated
    True
    """
    sharding = NamedSharding(_mesh(devices), PartitionSpec())
    return _mapped(lambda leaf: _placed(leaf, sharding), tree)


def _in_force() -> AbstractMesh | None:
    """The devices that share the program that is being traced; None inside of a device's part."""
    mesh = jax.sharding.get_abstract_mesh()
    return mesh if _AXIS in mesh.axis_names and not mesh.manual_axes else None


def _siblings(given: Any) -> list[Any]:
    """The local devices of the kind of the one on which the arrays lie; none if not on one."""
    settings: Any = jax.config  # JAX's types do not know them
    if jax.local_device_count() < 2 or settings.jax_default_device is not None:
        return []
    leaves = jax.tree.leaves(given)
    # What is computed inside of a user's ``jit`` is traced, whatever its arguments.
    traced = any(isinstance(leaf, jax.core.Tracer) for leaf in (*leaves, jnp.zeros(())))
    if traced or _in_force() is not None:
        return []
    homes = _homes(given) or {jax.local_devices()[0]}
    if len(homes) > 1:
        return []
    (home,) = homes
    local = jax.local_devices(backend=home.platform)
    return [device for device in local if device.device_kind == home.device_kind]


def _homes(given: Any) -> set[Any]:
    """The devices to which the user has bound the arrays."""
    leaves = (leaf for leaf in jax.tree.leaves(given) if isinstance(leaf, jax.Array))
    bound = (leaf for leaf in leaves if leaf.committed)
    return set().union(*(leaf.devices() for leaf in bound))


def _shared(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], devices: list[Any]
) -> Any:
    """The function's results, found by all the devices and handed back."""
    homes = _homes((args, kwargs))
    mesh = Mesh(np.asarray(devices), (_AXIS,))
    whole = NamedSharding(mesh, PartitionSpec())
    with jax.set_mesh(mesh):
        args, kwargs = _mapped(lambda leaf: jax.device_put(leaf, whole), (args, kwargs))
        found = function(*args, **kwargs)

    def hand_back(leaf: Any) -> Any:
        # What comes from the host mixes with arrays on any device, as what was given did.
        return jax.device_put(leaf, *homes) if homes else _by_data(leaf, _from_host)

    return jax.block_until_ready(_mapped(hand_back, found))


def _mesh(devices: Sequence[Any] | None) -> Mesh:
    """The devices along one axis for each prime factor of their number."""
    array = np.asarray(jax.devices() if devices is None else devices)
    primes, left = [], array.size
    for factor in range(2, left + 1):
        while left % factor == 0:
            primes.append(factor)
            left //= factor
    return Mesh(array.reshape(primes or 1), [f"rows{k}" for k in range(len(primes) or 1)])


def _placed(leaf: Any, sharding: NamedSharding) -> jax.Array:
    """The array where the sharding says; of several processes, each puts its own part."""
    if sharding.is_fully_addressable:
        return jax.device_put(leaf, sharding)

    def part(data: Any) -> jax.Array:
        whole = np.asarray(data)
        return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index])

    return _by_data(leaf, part)


def _from_host(data: Any) -> jax.Array:
    return jnp.asarray(np.asarray(data))


def _by_data(leaf: Any, place: Callable[[Any], jax.Array]) -> jax.Array:
    """The array placed; of random keys, which NumPy does not know, the data."""
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        data = place(jax.random.key_data(leaf))
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
    return place(leaf)


def _mapped(place: Callable[[Any], Any], tree: Tree) -> Tree:
    return jax.tree.map(
        lambda leaf: place(leaf) if isinstance(leaf, jax.Array | np.ndarray) else leaf, tree
    )
