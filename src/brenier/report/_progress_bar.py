"""What moves while long work is done: a bar, or lines where nobody can see one."""

import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from brenier._progress import Progress, ProgressCallback

# Seconds between two lines of one stage, and between any two.
_LINE, _LEAST = 10.0, 0.3


@contextmanager
def progress_bar(show: bool | None = None) -> Iterator[ProgressCallback]:
    """A callback that moves a bar on stderr, in a notebook under the cell; gone when it is done.

    Args:
        show: whether there is a bar; where None, if stderr is a terminal, and into a file goes a
            line in ten seconds.

    >>> with progress_bar(show=False) as progress:
    ...     progress(Progress(1, 2, "half way"))
    """
    if show is not None and not show:
        yield lambda now: None
        return
    if show and _in_notebook():
        with _notebook_bar() as tell:
            yield tell
        return
    if show is None and not sys.stderr.isatty():
        yield _lines()
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

    what = TextColumn("{task.description}")
    columns = (SpinnerColumn(), what, BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    # What is printed meanwhile stays on stdout, where a command's one JSON object goes.
    with Bar(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as bar:
        task = bar.add_task("starting", total=None)

        def move(now: Progress) -> None:
            bar.tasks[task].total = now.steps or None  # update(total=None) would keep the old one
            bar.update(task, completed=now.step, description=_said(now))

        yield move


@contextmanager
def progress_log(title: str) -> Iterator[ProgressCallback]:
    """As ``progress_bar``; where stderr is no terminal, as a file, a line a stage and one in 10 s.

    Args:
        title: what is done and how long it takes; in a file, said with the first stage.

    >>> with progress_log("work, some seconds") as progress:
    ...     progress(Progress(1, 2, "half way"))
    """
    if sys.stderr.isatty():
        print(f"brenier: {title}", file=sys.stderr)
        with progress_bar(show=True) as tell:
            yield tell
        return
    yield _lines(title)


def _lines(title: str = "") -> ProgressCallback:
    """Writes a line in ten seconds; of what has a title that too, and one a stage."""
    started = time.monotonic()
    # The first stage of what has a title needs not wait, and what is refused before it is said in
    # one line; what has none is silent while it is short.
    least, last, stage = (_LEAST, started - _LEAST, "") if title else (_LINE, started, "")

    def say(text: str) -> None:
        # At once: who follows the file is to see where it is.
        print(f"brenier: {time.monotonic() - started:4.0f} s  {text}", file=sys.stderr, flush=True)

    def log(now: Progress) -> None:
        nonlocal last, stage
        if not stage and title:
            say(title)
        quiet = time.monotonic() - last
        if quiet < (least if now.stage != stage else _LINE):
            return
        last, stage = time.monotonic(), now.stage
        share = f", {now.step:,} of {now.steps:,}" if now.steps else ""
        say(_said(now) + share)

    return log


def _said(now: Progress) -> str:
    metric = "" if math.isnan(now.metric) else f", held-out metric {now.metric:.4g}"
    return now.stage + metric


def _in_notebook() -> bool:
    """Whether the program runs in a kernel that shows HTML."""
    shell: Any = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return type(shell).__name__ == "ZMQInteractiveShell"


@contextmanager
def _notebook_bar() -> Iterator[ProgressCallback]:
    """A bar of HTML's own: rich's wants ipywidgets."""
    import html

    from IPython.display import HTML, display

    def drawn(now: Progress) -> Any:
        share = f' value="{now.step}" max="{now.steps}"' if now.steps else ""
        text = html.escape(_said(now))
        return HTML(f'<progress aria-label="{text}"{share}></progress> {text}')

    handle = display(drawn(Progress(0, 0, "starting")), display_id=True)
    try:
        yield lambda now: handle.update(drawn(now))
    finally:
        handle.update(HTML(""))
