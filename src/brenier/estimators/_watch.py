"""A fit that is watched: a bar on stderr, and the user's callback."""

import contextlib
import math
from collections.abc import Iterator

from rich import progress as rich_progress
from rich.console import Console

from brenier._progress import Progress, ProgressCallback


@contextlib.contextmanager
def watched(verbose: bool, callback: ProgressCallback | None) -> Iterator[ProgressCallback]:
    """What a fit tells of its progress: a bar on stderr where wanted, then the user's callback."""
    console = Console(stderr=True)
    with rich_progress.Progress(console=console, disable=not verbose, transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def tell(now: Progress) -> None:
            metric = "" if math.isnan(now.metric) else f", held-out metric {now.metric:.5f}"
            bar.tasks[task].total = now.steps or None  # update(total=None) would keep the old one
            bar.update(task, completed=now.step, description=now.stage + metric)
            if callback is not None:
                callback(now)

        yield tell
