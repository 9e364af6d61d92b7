"""A fit that is watched: a bar on stderr, and the user's callback."""

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import Progress as ProgressBar

from brenier.flows import Progress


@contextlib.contextmanager
def watched(
    verbose: bool, callback: Callable[[Progress], None] | None
) -> Iterator[Callable[[Progress], None]]:
    """What ``solve`` calls: a bar on stderr where wanted, then the user's callback."""
    bar = ProgressBar(console=Console(stderr=True), disable=not verbose, transient=True)
    with bar:
        task = bar.add_task("compiling", total=None)

        def watch(progress: Progress) -> None:
            bar.update(
                task, completed=progress.step, total=progress.steps,
                description=f"fitting, held-out dual {progress.metric:.5f}",
            )
            if callback is not None:
                callback(progress)

        yield watch
