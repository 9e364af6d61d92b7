"""What an audit was asked for, and what only the map itself could show it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from brenier._checks import check_at_least, check_positive
from brenier._progress import Progress, ProgressCallback
from brenier._row_checks import FEWEST
from brenier._types import Key
from brenier.certify._orbits import Orbits
from brenier.certify._weights import Shares
from brenier.certify._witnesses import Asymmetry, Ring


@dataclass(frozen=True)
class Settings:
    """What the caller asked for, and when the audit began."""

    key: Key
    level: float
    tolerance: float
    samples: int
    budget: float
    callback: ProgressCallback | None
    started: float = field(default_factory=time.perf_counter)

    def checked(self) -> "Settings":
        """The settings themselves, or a ``ValueError`` that names one out of range."""
        if not 0.5 <= check_positive("level", self.level) < 1.0:
            raise ValueError(f"level: got {self.level}; wants a number in [0.5, 1).")
        if check_positive("tolerance", self.tolerance) > 1.0:
            raise ValueError(f"tolerance: got {self.tolerance}; wants a share, in (0, 1].")
        check_positive("budget", self.budget)
        if not (self.callback is None or callable(self.callback)):
            raise ValueError(
                f"callback: got {type(self.callback).__name__}; wants a function of a Progress."
            )
        return replace(self, samples=check_at_least("samples", self.samples, FEWEST))

    def tell(self, stage: str) -> None:
        """Say what comes next."""
        if self.callback is not None:
            self.callback(Progress(0, 0, stage, seconds=time.perf_counter() - self.started))


@dataclass(frozen=True)
class Seen:
    """What only the map itself can show; where there are only pairs, none of it.

    And the ``shares`` of the rows' weights, where they have some.
    """

    subject: str
    optimal: bool = False
    precision: float = float(np.finfo(np.float64).eps)
    asymmetry: Asymmetry | None = None
    ring: Ring | None = None
    entropy: tuple[float, float] = (float("nan"), float("nan"))
    orbits: Sequence[Orbits] = ()
    compiled: float = 0.0
    names: Sequence[str] | None = None
    shares: Shares | None = None
