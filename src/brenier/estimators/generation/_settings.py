"""What the user of a generator asks for, checked."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from brenier._checks import check_at_least, check_positive
from brenier.estimators.candidates import Effort
from brenier.estimators.generation._scaling import SCALINGS
from brenier.estimators.generation._source_law import SOURCES


@dataclass(frozen=True)
class GeneratorSettings:
    """The arguments of ``Generator`` that decide about the map, and the seed drawn for one fit.

    ``source`` and ``epsilon`` are None where they are not given.

    Raises:
        ValueError: a setting is not what it should be; it is named.
    """

    source: str | None
    epsilon: float | str | None
    time: float | str | None
    scaling: str
    debias: bool
    components: int | None
    folds: int
    widths: tuple[int, ...]
    effort: Effort
    random_state: int

    def __post_init__(self) -> None:
        if self.source not in (None, *SOURCES, "cv"):
            raise ValueError(f"source: got {self.source!r}; wants one of {[*SOURCES, 'cv']}.")
        if self.scaling not in SCALINGS:
            raise ValueError(f"scaling: got {self.scaling!r}; wants one of {list(SCALINGS)}.")
        if isinstance(self.epsilon, str):
            if self.epsilon not in ("rule", "cv"):
                raise ValueError(f"epsilon: got {self.epsilon!r}; wants a number, 'rule' or 'cv'.")
        elif self.epsilon is not None:
            check_positive("epsilon", self.epsilon)
        if isinstance(self.time, str):
            if self.time != "cv":
                raise ValueError(f"time: got {self.time!r}; wants a number, None or 'cv'.")
        elif self.time is not None:
            check_positive("time", self.time)
        if self.components is not None:
            check_at_least("components", self.components, 1)
        check_at_least("folds", self.folds, 2)
        if not isinstance(self.widths, Sequence) or not self.widths or min(self.widths) < 1:
            raise ValueError(
                f"widths: got {self.widths}; wants at least one positive width, as (128, 64)."
            )

    def scaled(self, unit: float) -> "GeneratorSettings":
        """The same for data whose squared distances are so much smaller."""
        epsilon, time = (
            value if value is None or isinstance(value, str) else value / unit
            for value in (self.epsilon, self.time)
        )
        return replace(self, epsilon=epsilon, time=time)

    @property
    def one_shot(self) -> bool:
        """Whether a setting asks for the map of Sinkhorn's flow, compared with nothing."""
        given = (self.source, self.epsilon, self.time, self.components)
        return not self.debias or any(value is not None for value in given)

    def check_components(self, n: int) -> None:
        """A ``ValueError`` where n points cannot make so many components of a mixture."""
        if self.components is not None and self.components > n:
            raise ValueError(
                f"components: got {self.components}; wants at most {n}, the number of points."
            )
