"""What the commands print: a bar while they work, then one table or one JSON object on stdout."""

import io
import json
import sys
import warnings as python_warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from brenier._progress import ProgressCallback

if TYPE_CHECKING:
    from brenier.estimators.candidates import CandidateTable

# The room ``report`` and rich are imported where something is shown: a help page waits for neither.


# What stdout may do about a character that its encoding lacks, and fail.
_FAILING = ("strict", "surrogateescape")


def progress_bar() -> AbstractContextManager[ProgressCallback]:
    """A callback that moves a bar on stderr, where that is a terminal, or writes lines."""
    from brenier import report

    return report.progress_bar()


def progress_log(title: str) -> AbstractContextManager[ProgressCallback]:
    """As ``progress_bar``; where stderr is a file, a line for each stage and one in ten seconds."""
    from brenier import report

    return report.progress_log(title)


@contextmanager
def warnings_at_once() -> Iterator[None]:
    """Warnings as one line each on stderr, when they are given: that work will take long."""
    with python_warnings.catch_warnings():
        python_warnings.showwarning = lambda message, *_: _warn(str(message))
        yield


def _warn(message: str) -> None:
    print(f"brenier: {' '.join(message.split())}", file=sys.stderr)


@contextmanager
def printable_output() -> Iterator[None]:
    """Characters that stdout cannot encode are replaced: a result is not lost for a letter."""
    stream = sys.stdout
    if not isinstance(stream, io.TextIOWrapper) or stream.errors not in _FAILING:
        yield
        return
    before = stream.errors
    stream.reconfigure(errors="replace")
    try:
        yield
    finally:
        if not stream.closed:
            stream.reconfigure(errors=before)


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
        print(_encodable(json_text(result), sys.stdout.encoding or "utf-8"))
        return
    console = Console()
    console.print(summary_table(title, rows))
    if candidates is not None:
        from brenier.estimators.candidates import NUMBERS

        best = candidates.rows.index(candidates.chosen)
        words = candidates.to_words()
        console.print(words_table("Candidates", words, numbers=NUMBERS, best=best))
    for message in warnings:
        _warn(message)


def _encodable(text: str, encoding: str) -> str:
    """JSON whose letters are escaped where the encoding lacks one: a reader gets them all back."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(json.loads(text))
    return text
