"""Saving and loading maps, potentials and measures."""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias, overload

import equinox as eqx
import numpy as np

from brenier.io._refusals import one_line, refusing
from brenier.io.modules._container import read_container, write_container
from brenier.io.modules._tree import decode, encode
from brenier.maps import AbstractMap, ConditionalMap, EntropicGrowth, SubspaceMap
from brenier.measures import AbstractMeasure
from brenier.potentials import AbstractPotential

_KIND, _GROWTH = "map", "growth"
Saved: TypeAlias = AbstractMap | AbstractPotential | AbstractMeasure | ConditionalMap
_KINDS: dict[str, type[Saved]] = {
    "map": AbstractMap,
    "potential": AbstractPotential,
    "measure": AbstractMeasure,
    "conditional map": ConditionalMap,
}


def save(
    path: str | os.PathLike[str],
    module: eqx.Module,
    *,
    names: Sequence[str] | None = None,
    about: Mapping[str, Any] | None = None,
    growth: EntropicGrowth | None = None,
) -> None:
    """Write a map (or a potential, or a measure) to one file; the same map gives the same bytes.

    The file is a zip of plain arrays and a ``manifest.json`` with the format's version, the classes
    and their settings, dtype, dimension and a checksum. It is written whole or not at all.

    Not for maps that hold a Python function of your own (a ``Gibbs`` of a lambda): a file that
    could bring that back could run anything.

    Args:
        path: where to write; by habit ``name.brenier``.
        module: what to write.
        names: names of the coordinates, kept in the manifest.
        about: where the map comes from, plain JSON, kept in the manifest under ``about``.
        growth: of an unbalanced map, ``est.growth_``: ``io.load_growth`` reads it.

    Raises:
        ValueError: growth of another dimension than the map's (its components', where it has any);
            a field cannot be saved (it is named), or the folder does not exist.

    >>> import jax.numpy as jnp, tempfile, brenier
    >>> from brenier.potentials import Quadratic
    >>> path = tempfile.mkdtemp() + "/half.brenier"
    >>> brenier.save(path, Quadratic.identity(2))
    >>> brenier.load(path).gradient(jnp.array([1.0, 2.0])).tolist()
    [1.0, 2.0]
    """
    if not isinstance(module, Saved):
        raise ValueError(
            f"module: got {type(module).__name__}; wants a map, a potential or a measure of "
            "brenier (of a fitted estimator, save its map_)."
        )
    if names is not None and len(names) != module.dimension:
        raise ValueError(
            f"names: got {len(names)} names; wants one for each of {module.dimension} dimensions."
        )
    arrays: list[np.ndarray] = []
    root = encode(module, type(module).__name__, arrays)
    if growth is not None:
        _check_growth("growth", growth, module)
    floats = [array.dtype for array in arrays if array.dtype.kind == "f"]
    content = {
        "class": root["class"],
        "dimension": module.dimension,
        "dtype": str(np.result_type(*floats)) if floats else None,
        "names": None if names is None else [str(name) for name in names],
        "root": root,
        **({} if about is None else {"about": dict(about)}),
        **({} if growth is None else {_GROWTH: encode(growth, _GROWTH, arrays)}),
    }
    write_container(path, _KIND, content, arrays)


@overload
def load(path: str | os.PathLike[str], kind: Literal["map"] = ...) -> AbstractMap: ...
@overload
def load(path: str | os.PathLike[str], kind: Literal["potential"]) -> AbstractPotential: ...
@overload
def load(path: str | os.PathLike[str], kind: Literal["measure"]) -> AbstractMeasure: ...
@overload
def load(path: str | os.PathLike[str], kind: Literal["conditional map"]) -> ConditionalMap: ...
def load(path: str | os.PathLike[str], kind: str | None = None) -> Saved:
    """The map (or potential, or measure) that ``save`` wrote. Nothing in a file can run code.

    Args:
        path: of the file.
        kind: "map", "potential", "measure" or "conditional map", where another one is to be
            refused. Without it a file of any of them is read, and a type checker takes it for a
            map.

    Raises:
        ValueError: no such file, not a brenier file, truncated, altered, written by a newer
            brenier, or not of the kind that was asked for; each says so.

    >>> import tempfile
    >>> from brenier.potentials import Quadratic
    >>> path = tempfile.mkdtemp() + "/half.brenier"
    >>> save(path, Quadratic.identity(2))
    >>> load(path, "potential").dimension
    2
    >>> load(path, "map")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    ValueError: ...: got a Quadratic; wants a map.
    """
    if kind is not None and kind not in _KINDS:
        raise ValueError(f"kind: got {kind!r}; wants one of {list(_KINDS)}.")
    return _module(path, *_read(path), kind)


def load_growth(path: str | os.PathLike[str]) -> EntropicGrowth | None:
    """The growth beside the map in a file that ``save`` wrote; None of a balanced map.

    And of one that was saved without it. It is of the points that the map takes: beside a
    ``SubspaceMap``, of its ``coordinates``.

    Raises:
        ValueError: as ``load``.

    >>> import tempfile, numpy as np, brenier
    >>> x = np.random.default_rng(0).normal(size=(60, 2))
    >>> est = brenier.MongeMap(candidates=["gaussian"], unbalanced=4.0, random_state=0)
    >>> est = est.fit(x, x[:30])
    >>> path = tempfile.mkdtemp() + "/fewer.brenier"
    >>> brenier.save(path, est.map_, growth=est.growth_)
    >>> bool(np.array_equal(load_growth(path).source(x), est.source_growth_))
    True
    """
    manifest, arrays = _read(path)
    if _GROWTH not in manifest:
        return None
    where, writer = f"{path}: {_GROWTH}", one_line(manifest.get("brenier_version"))
    with refusing(path, "growth inside growth without end", "growth", RecursionError):
        growth = decode(manifest[_GROWTH], arrays, where, writer)
    _check_growth(where, growth, _module(path, manifest, arrays))
    return growth


def _module(
    path: str | os.PathLike[str],
    manifest: dict[str, Any],
    arrays: list[np.ndarray],
    kind: str | None = None,
) -> Saved:
    """What is at the root of a file that was read."""
    writer = one_line(manifest.get("brenier_version"))
    with refusing(path, "a map inside maps without end", "a map", RecursionError):
        module = decode(manifest.get("root"), arrays, str(path), writer)
    wanted = Saved if kind is None else _KINDS[kind]
    if not isinstance(module, wanted):
        raise ValueError(f"{path}: got a {type(module).__name__}; wants a {kind or 'map'}.")
    return module


def _check_growth(name: str, growth: Any, module: Saved) -> None:
    """A ``ValueError`` where it is no growth, or none of the points that the module takes."""
    if not isinstance(growth, EntropicGrowth):
        raise ValueError(f"{name}: got {type(growth).__name__}; wants an EntropicGrowth, or None.")
    own = module.map if isinstance(module, SubspaceMap) else module
    if growth.dimension != own.dimension:
        raise ValueError(
            f"{name}: got growth of dimension {growth.dimension}; wants dimension "
            f"{own.dimension}, that of the map (of its components, where it has any)."
        )


def read_manifest(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a map file says of itself: class, dimension, dtype, names, brenier_version.

    >>> import tempfile, brenier
    >>> from brenier.potentials import Quadratic
    >>> path = tempfile.mkdtemp() + "/half.brenier"
    >>> brenier.save(path, Quadratic.identity(2), names=["height", "weight"])
    >>> read_manifest(path)["names"]
    ['height', 'weight']
    """
    return _read(path)[0]


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], list[np.ndarray]]:
    manifest, arrays = read_container(path, _KIND)
    names, dimension = manifest.get("names"), manifest.get("dimension")
    fits = isinstance(names, list) and len(names) == dimension
    if names is not None and not (fits and all(isinstance(name, str) for name in names)):
        raise ValueError(
            f"{path}: got {names!r:.100} as the names of {dimension!r:.20} columns; wants a name "
            "each."
        )
    return manifest, arrays
