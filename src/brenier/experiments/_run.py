"""What an experiment is given."""

from dataclasses import dataclass
from pathlib import Path

from brenier._progress import Progress, ProgressCallback


def _silent(now: Progress) -> None:
    pass


@dataclass(frozen=True)
class Run:
    """The settings of one run of an experiment.

    Attributes:
        out: the folder to write to, which is there when the experiment begins.
        seed: the seed of all randomness.
        seeds: how many seeds to run, where it runs several; None for the experiment's own number.
        data: the files to read; none by default.
        progress: told how far the run is.

    >>> Run(Path("out"), seeds=5).seeds_or(100), Run(Path("out")).seeds_or(100)
    (5, 100)
    """

    out: Path
    seed: int = 0
    seeds: int | None = None
    data: tuple[Path, ...] = ()
    progress: ProgressCallback = _silent

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise ValueError(f"seed: got {self.seed}; wants 0 or more.")
        if self.seeds is not None and self.seeds < 1:
            raise ValueError(f"seeds: got {self.seeds}; wants 1 or more.")

    def seeds_or(self, default: int) -> int:
        """How many seeds to run, ``default`` where it was not said."""
        return default if self.seeds is None else self.seeds
