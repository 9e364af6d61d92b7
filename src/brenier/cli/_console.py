"""What the commands print: a bar while they work, then one table or one JSON object on stdout."""

import sys
import warnings as python_warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from brenier._progress import ProgressCallback

if TYPE_CHECKING:
    from brenier.estimators.candidates import CandidateTable

# The room ``report`` and rich are imported where something is shown: a help page waits for neither.


class StoppedError(Exception):
    """Ctrl-C, with what is left to say; a ``KeyboardInterrupt`` loses that on its way out."""


def progress_bar() -> AbstractContextManager[ProgressCallback]:
    """A callback that moves a bar on stderr, where that is a terminal."""
    from brenier import report

    return report.progress_bar()


@contextmanager
def warnings_at_once() -> Iterator[None]:
    """Warnings as one line each on stderr, when they are given: that work will take long."""
    with python_warnings.catch_warnings():
        python_warnings.showwarning = lambda message, *_: print(
            f"brenier: {message}", file=sys.stderr
        )
        yield


def announce(
    result: Mapping[str, Any],
    title: str,
    rows: Mapping[str, str],
    as_json: bool,
    *,
    candidates: "CandidateTable | None" = None,
    warnings: Sequence[str] = (),
) -> None:
    """Print a result: ``rows`` as a table for people, or all of it as one JSON object.

    People also see the candidates below, and warnings, a line each, on stderr.
    """
    from rich.console import Console

    from brenier._json import json_text
    from brenier.report import summary_table, words_table

    if as_json:
        print(json_text(result))
        return
    console = Console()
    console.print(summary_table(title, rows))
    if candidates is not None:
        from brenier.estimators.candidates import NUMBERS

        best = candidates.rows.index(candidates.chosen)
        words = candidates.to_words()
        console.print(words_table("Candidates", words, numbers=NUMBERS, best=best))
    for line in warnings:
        print(f"brenier: {line}", file=sys.stderr)
