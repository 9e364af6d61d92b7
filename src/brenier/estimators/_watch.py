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
                task,
                completed=progress.step,
                total=progress.steps,
                description=f"fitting, held-out dual {progress.metric:.5f}",
            )
            if callback is not None:
                callback(progress)

        yield watch


@contextlib.contextmanager
def stages(
    verbose: bool, callback: Callable[[int, int, str], None] | None
) -> Iterator[Callable[[int, int, str], None]]:
    """What a fit of several stages tells: (done, in all or 0, what), to a bar and the user."""
    bar = ProgressBar(console=Console(stderr=True), disable=not verbose, transient=True)
    with bar:
        task = bar.add_task("starting", total=None)

        def tell(done: int, total: int, label: str) -> None:
            bar.tasks[task].total = total or None
            bar.update(task, completed=done, description=label)
            if callback is not None:
                callback(done, total, label)

        yield tell
