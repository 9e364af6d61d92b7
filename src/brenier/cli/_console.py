"""What the commands print: progress on stderr, one table or one JSON object on stdout."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich import progress as rich_progress
from rich.console import Console
from rich.progress import (
    BarColumn,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)

from brenier._json import json_text
from brenier._progress import Progress, ProgressCallback
from brenier.report import summary_table


class StoppedError(Exception):
    """Ctrl-C, with what is left to say; a ``KeyboardInterrupt`` loses that on its way out."""


@contextmanager
def progress_bar() -> Iterator[ProgressCallback]:
    """A bar on stderr while the block runs; silent where stderr is no terminal."""
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
    )
    with rich_progress.Progress(
        *columns,
        console=console,
        transient=True,
        redirect_stdout=False,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("starting", total=None)

        def report(now: Progress) -> None:
            bar.tasks[task].total = now.steps or None  # update(total=None) would keep the old one
            bar.update(task, completed=now.step, description=now.stage)

        yield report


def announce(result: Mapping[str, Any], title: str, rows: Mapping[str, str], as_json: bool) -> None:
    """Print a result: ``rows`` as a table for people, or all of it as one JSON object."""
    if as_json:
        print(json_text(result))
    else:
        Console().print(summary_table(title, rows))
