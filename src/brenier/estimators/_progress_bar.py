"""The progress bar of a fit on stderr, beside the user's callback."""

import contextlib
import math
from collections.abc import Iterator

from rich import progress as rich_progress
from rich.console import Console

from brenier._progress import Progress, ProgressCallback


@contextlib.contextmanager
def watched(verbose: bool, callback: ProgressCallback | None) -> Iterator[ProgressCallback]:
    """A callback for a fit: moves a bar on stderr where ``verbose``, then calls the user's own."""
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
