"""The bar that moves while long work is done."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

from brenier._progress import Progress, ProgressCallback


@contextmanager
def progress_bar(show: bool | None = None) -> Iterator[ProgressCallback]:
    """A callback that moves a bar on stderr; the bar is gone when the block ends.

    Args:
        show: whether there is a bar; where None, if stderr is a terminal.

    >>> with progress_bar(show=False) as progress:
    ...     progress(Progress(1, 2, "half way"))
    """
    if show is not None and not show:
        yield lambda now: None
        return

    from rich.console import Console
    from rich.progress import (
        BarColumn,
        SpinnerColumn,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
    )
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    shown = console.is_terminal if show is None else show
    what = TextColumn("{task.description}")
    columns = (SpinnerColumn(), what, BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    # What is printed meanwhile stays on stdout, where a command's one JSON object goes.
    with Bar(
        *columns, console=console, transient=True, redirect_stdout=False, disable=not shown
    ) as bar:
        task = bar.add_task("starting", total=None)

        def tell(now: Progress) -> None:
            metric = "" if math.isnan(now.metric) else f", held-out metric {now.metric:.4g}"
            bar.tasks[task].total = now.steps or None  # update(total=None) would keep the old one
            bar.update(task, completed=now.step, description=now.stage + metric)

        yield tell
