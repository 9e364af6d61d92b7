"""What a fit has tried so far, in a folder: it can be ended at any moment, and go on from there."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from brenier.estimators.candidates._trial import Trial
from brenier.io import Checkpoint, check_output_folder, read_record, write_record

_KIND = "fit"
_FILE, _TRAINING = "kinds.brenier", "network-{}.brenier"
# Of a fingerprint, that name a file.
_LETTERS = 16


@dataclass(frozen=True, eq=False)
class Tried:
    """A kind that was tried to its end: its best trial, or why there is none.

    Args:
        best: the trial.
        seconds: that it took.
        error: why there is none.
        random: the state of the random numbers after it.
    """

    best: Trial | None
    seconds: float
    error: str
    random: dict[str, Any]


@dataclass(eq=False)
class Record:
    """The kinds that a fit has tried, kept in a folder after each.

    Args:
        folder: where; it is made when the first kind is done.
        fit: a fingerprint of the data and the settings: what another fit left is refused.
        tried: by the names of the kinds.
    """

    folder: Path
    fit: str
    tried: dict[str, Tried] = field(default_factory=dict)

    @classmethod
    def opened(cls, folder: str | os.PathLike[str], *parts: np.ndarray | object) -> "Record":
        """The record in a folder, of the fit that these arrays and settings define.

        Raises:
            ValueError: the folder holds something else, or the record of another fit.
        """
        home = Path(folder)
        check_output_folder(home)
        digest = hashlib.sha256()
        for part in parts:
            array = isinstance(part, np.ndarray)
            digest.update(np.ascontiguousarray(part).tobytes() if array else repr(part).encode())
        fit = digest.hexdigest()
        if not (home / _FILE).exists():
            return cls(home, fit)
        match read_record(home / _FILE, _KIND):
            case {"fit": str(own), "tried": dict(tried)} if own == fit:
                return cls(home, fit, {name: _tried(**kept) for name, kept in tried.items()})
        raise ValueError(
            f"{home}: got what a fit of other data, another seed or other settings left; wants one "
            "of this fit. Delete the folder to start anew."
        )

    def add(self, name: str, tried: Tried) -> None:
        """Keep what became of a kind."""
        self.tried[name] = tried
        self.folder.mkdir(exist_ok=True)
        told = {own: _fields(kept) for own, kept in self.tried.items()}
        write_record(self.folder / _FILE, _KIND, {"fit": self.fit, "tried": told})

    def training(self, name: str) -> Checkpoint:
        """Where a training of a network is kept after each block of steps."""
        self.folder.mkdir(exist_ok=True)
        return Checkpoint(self.folder / _TRAINING.format(name), every=1)


def kept_training(folder: str | os.PathLike[str], *parts: np.ndarray | object) -> Checkpoint:
    """Where the training of a network on these arrays and settings is kept; others have their own.

    Raises:
        ValueError: the folder holds something else.
    """
    record = Record.opened(folder, *parts)
    return record.training(record.fit[:_LETTERS])


def discard_record(folder: str | os.PathLike[str]) -> None:
    """Delete what a fit left in a folder, where it is; anything else in there stays.

    A map of conditions leaves folders of its parts in there.
    """
    home = Path(folder)
    for part in {file.parent for file in home.glob(f"*/{_FILE}")}:
        discard_record(part)
    for file in (home / _FILE, *home.glob(_TRAINING.format("*") + "*")):
        file.unlink(missing_ok=True)
    if home.is_dir() and not any(home.iterdir()):
        home.rmdir()


def _tried(best: dict[str, Any] | None, **others: Any) -> Tried:
    return Tried(None if best is None else Trial(**best), **others)


def _fields(value: Any) -> Any:
    """What can be written: a dataclass as a dictionary, NumPy's numbers as Python's."""
    if isinstance(value, Tried | Trial):
        return {own.name: _fields(getattr(value, own.name)) for own in fields(value)}
    if isinstance(value, Mapping):
        return {name: _fields(own) for name, own in value.items()}
    return value.item() if isinstance(value, np.generic) else value
