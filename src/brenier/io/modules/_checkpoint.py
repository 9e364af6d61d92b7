"""Checkpoints: the state of a run on disk, so that it can be taken up again."""

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from brenier._checks import check_at_least
from brenier._outputs import check_folder
from brenier._warnings import warn_user
from brenier.io._refusals import one_line
from brenier.io.modules._container import DamagedFileError, read_container, write_container

_KIND = "checkpoint"
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")  # where a function lies in memory differs between runs
State = TypeVar("State")


@dataclass(frozen=True)
class Checkpoint:
    """A file that a driver saves its state to ``every`` so many steps, and resumes from.

    The state is any pytree: its arrays (random keys included) are stored bit for bit, its structure
    as a fingerprint only, so that a file can bring back numbers and nothing else.

    Two are kept, ``path`` and the one before it, ``path.previous``: a crash, a full disk or Ctrl-C
    while saving leaves both, and where ``path`` turns out damaged the one before is taken up, with
    a ``RuntimeWarning``; the damaged file is set aside as ``path.damaged``.

    Raises:
        ValueError: ``every`` is below 1; on ``load``, a damaged file where there is none before it,
            one of another run, or a folder that cannot be written to.
        OSError: on ``save``, a full disk or another fault of the file system; it says what is kept.

    >>> import jax.numpy as jnp, tempfile
    >>> checkpoint = Checkpoint(tempfile.mkdtemp() + "/run.checkpoint", every=5)
    >>> checkpoint.load({"step": jnp.zeros(())}) is None
    True
    >>> checkpoint.save({"step": jnp.asarray(5.0)})
    >>> float(checkpoint.load({"step": jnp.zeros(())})["step"])
    5.0
    """

    path: str | os.PathLike[str]
    every: int = 10

    def __post_init__(self) -> None:
        check_at_least("every", self.every, 1)

    def save(self, state: Any) -> None:
        """Write the arrays of ``state``, whole or not at all."""
        leaves = _array_leaves(state)
        content = {
            "structure": _fingerprint(state),
            "leaves": [_description(path, leaf) for path, leaf in leaves],
        }
        path, new = Path(self.path), self._beside("new")
        try:
            write_container(new, _KIND, content, [_to_numpy(leaf) for _, leaf in leaves])
            if path.exists():
                _keep(path, self._beside("previous"))
            os.replace(new, path)
        except OSError as error:
            kept = "the checkpoint before it is kept" if path.exists() else "none was before it"
            raise OSError(
                error.errno,
                f"{path}: could not save a checkpoint ({error.strerror or error}); "
                f"{kept}. Mend the cause and run again: the run goes on from there.",
            ) from error

    def load(self, template: State) -> State | None:
        """The saved state in the shape of ``template``, or None where nothing was saved yet."""
        path, previous = Path(self.path), self._beside("previous")
        check_folder(path)
        if not path.exists():
            return None
        try:
            stored = read_container(path, _KIND)
        except DamagedFileError as error:
            try:
                stored = read_container(previous, _KIND)
            except ValueError:
                raise error from None
            # Killed at any of these steps, there is a checkpoint at ``path`` all the same.
            aside = self._beside("damaged")
            _keep(path, aside)
            _keep(previous, self._beside("new"))
            os.replace(self._beside("new"), path)
            warn_user(
                f"{error} The checkpoint before it, {previous}, is taken up; the damaged file is "
                f"now {aside}.",
                RuntimeWarning,
            )
        return self._restored(template, *stored)

    def remove(self) -> None:
        """Delete the checkpoint and the one before it: the run is done."""
        for path in (Path(self.path), *map(self._beside, ("previous", "new"))):
            path.unlink(missing_ok=True)

    def _beside(self, ending: str) -> Path:
        path = Path(self.path)
        return path.with_name(f"{path.name}.{ending}")

    def _restored(
        self, template: State, manifest: dict[str, Any], arrays: list[np.ndarray]
    ) -> State:
        leaves = _array_leaves(template)
        wanted = [_description(path, leaf) for path, leaf in leaves]
        described = manifest.get("leaves")
        if not isinstance(described, list) or len(described) != len(arrays):
            raise ValueError(
                f"{self.path}: got {len(arrays)} arrays without a description each; wants a "
                "checkpoint as brenier wrote it. Delete the file to start anew."
            )
        for got, want in zip(described, wanted, strict=False):
            if got != want:
                raise ValueError(
                    f"{self.path}: got the checkpoint of another run, with {_phrase(got)}; wants "
                    f"{_phrase(want)}. Delete the file to start anew."
                )
        kinds = [(array.shape, array.dtype.name) for array in arrays]
        templates = [_to_numpy(leaf) for _, leaf in leaves]
        if kinds != [(array.shape, array.dtype.name) for array in templates] or (
            manifest.get("structure") != _fingerprint(template)
        ):
            raise ValueError(
                f"{self.path}: got the checkpoint of another run (its settings or structure "
                "differ); wants one of this run. Delete the file to start anew."
            )
        stored = iter(arrays)
        return jax.tree.map(
            lambda leaf: _like(leaf, next(stored)) if _is_stored(leaf) else leaf, template
        )


def _keep(path: Path, name: Path) -> None:
    """A second name for a file, in the place of what had it; a copy where there are no links."""
    link = name.with_name(f"{name.name}.part")
    link.unlink(missing_ok=True)
    try:
        os.link(path, link)
    except OSError:
        shutil.copy2(path, link)
    os.replace(link, name)
    link.unlink(missing_ok=True)  # of two names of one file, a system may leave both


def _is_stored(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray | np.generic | bool | int | float)


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _array_leaves(state: Any) -> list[tuple[str, Any]]:
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in leaves if _is_stored(leaf)]


def _description(path: str, leaf: Any) -> dict[str, Any]:
    """What a leaf must agree on for a checkpoint to be of the same run."""
    if isinstance(leaf, bool | int | float):
        return {"path": path, "dtype": type(leaf).__name__, "shape": []}
    return {"path": path, "dtype": str(leaf.dtype), "shape": list(leaf.shape)}


def _phrase(description: Any) -> str:
    match description:
        case {"path": str(path), "dtype": str(dtype), "shape": list(shape)}:
            return one_line(f"state{path} of dtype {dtype} and shape {tuple(shape)}")
    return one_line(description)


def _fingerprint(state: Any) -> str:
    """A hash of the tree's structure, static fields and function leaves included."""
    leaves, structure = jax.tree.flatten(state)
    functions = [repr(leaf) for leaf in leaves if not _is_stored(leaf)]
    return hashlib.sha256(_ADDRESS.sub("", f"{structure}{functions}").encode()).hexdigest()


def _to_numpy(leaf: Any) -> np.ndarray:
    """The numbers of a leaf; of a dtype that is not NumPy's own (bfloat16), the bits."""
    array = np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)
    return array if _is_own(array.dtype) else array.view(f"u{array.dtype.itemsize}")


def _is_own(dtype: np.dtype) -> bool:
    return dtype.kind in "biufc"


def _like(leaf: Any, stored: np.ndarray) -> Any:
    """``stored`` as the kind of thing that ``leaf`` is, so that a resumed run traces alike."""
    if _is_key(leaf):
        return jax.random.wrap_key_data(jnp.asarray(stored), impl=jax.random.key_impl(leaf))
    if isinstance(leaf, jax.Array | np.ndarray | np.generic) and not _is_own(leaf.dtype):
        stored = stored.view(leaf.dtype)
    if isinstance(leaf, jax.Array):
        return leaf.at[...].set(stored)  # keeps JAX's weak type, which decides how a leaf promotes
    return stored if isinstance(leaf, np.ndarray) else type(leaf)(stored.item())
