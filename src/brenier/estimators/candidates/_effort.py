"""How much work a choice among candidates may be."""

import math
import time
from dataclasses import dataclass, field
from numbers import Real

EFFORTS = ("quick", "auto", "best")


@dataclass(frozen=True)
class Effort:
    """What may be tried, and until when.

    Args:
        name: "quick", "auto", "best" or "seconds".
        seconds: after which nothing new is begun; infinite for work that is counted.
    """

    name: str
    seconds: float = math.inf
    started: float = field(default_factory=time.perf_counter)

    @classmethod
    def of(cls, effort: str | int | float) -> "Effort":
        """What a user asks for.

        Raises:
            ValueError: neither one of the names nor a number of seconds.

        >>> Effort.of("quick").name, Effort.of(3.0).seconds
        ('quick', 3.0)
        """
        if isinstance(effort, str) and effort in EFFORTS:
            return cls(effort)
        known = isinstance(effort, Real) and not isinstance(effort, bool)
        if known and float(effort) >= 0:
            return cls("seconds", float(effort))
        raise ValueError(
            f"effort: got {effort!r}; wants one of {list(EFFORTS)}, or seconds, 0 or more."
        )

    @property
    def left(self) -> float:
        """Seconds; infinite where the work is counted."""
        return self.seconds - (time.perf_counter() - self.started)

    @property
    def spent(self) -> bool:
        """Whether nothing new should be begun."""
        return self.left <= 0.0
