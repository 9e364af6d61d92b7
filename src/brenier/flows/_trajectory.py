"""One loop for flows whose answer is a trajectory: progress, failure and Ctrl-C."""

import math
import time
from collections.abc import Iterator
from typing import NamedTuple

from brenier._progress import Progress, ProgressCallback
from brenier._solution import Result


class Moment(NamedTuple):
    """How a flow stands after a step; what it has computed stays with the flow."""

    step: int
    metric: float = math.nan
    result: Result = Result.successful


def follow(
    moments: Iterator[Moment],
    steps: int,
    *,
    stage: str,
    callback: ProgressCallback | None,
    throw: bool,
) -> Result:
    """Take the moments in turn, up to the last or the first whose result is a failure.

    Ctrl-C is heard between two compiled calls. It raises ``KeyboardInterrupt`` with ``throw``, and
    is ``Result.interrupted`` without, as in ``solve``.

    >>> seen = []
    >>> moments = (Moment(step, 1.0 / step) for step in (1, 2))
    >>> follow(moments, 2, stage="flowing", callback=seen.append, throw=True).name
    'successful'
    >>> [(now.step, now.steps, now.metric) for now in seen]
    [(1, 2, 1.0), (2, 2, 0.5)]
    """
    started, best = time.perf_counter(), math.nan
    try:
        for step, metric, result in moments:
            best = metric if math.isnan(best) else min(best, metric)
            if callback is not None:
                elapsed = time.perf_counter() - started
                callback(Progress(step, steps, stage, metric, best, elapsed))
            if result.failed:
                return result
    except KeyboardInterrupt:
        if throw:
            raise
        return Result.interrupted
    return Result.successful
