"""What long work tells while it runs."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias


class Progress(NamedTuple):
    """How far a piece of work has come; every callback of brenier is told one of these.

    Attributes:
        step: steps done.
        steps: steps in all; 0 where nobody knows.
        stage: what is being done, in words.
        metric: the held-out metric after this step; NaN where none is taken.
        best_metric: the lowest so far.
        seconds: since the work began.
        map: the map so far, where the work holds one.
    """

    step: int
    steps: int
    stage: str = ""
    metric: float = math.nan
    best_metric: float = math.nan
    seconds: float = math.nan
    map: Any = None


ProgressCallback: TypeAlias = Callable[[Progress], None]
