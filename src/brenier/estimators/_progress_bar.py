"""Who is told of the progress of a fit: a bar on stderr, and the user's callback."""

from collections.abc import Iterator
from contextlib import contextmanager

from brenier._progress import Progress, ProgressCallback
from brenier.report import progress_bar


@contextmanager
def watched(verbose: bool, callback: ProgressCallback | None) -> Iterator[ProgressCallback]:
    """A callback for a fit: moves a bar on stderr where ``verbose``, then calls the user's own."""
    with progress_bar(show=verbose) as bar:

        def tell(now: Progress) -> None:
            bar(now)
            if callback is not None:
                callback(now)

        yield tell
