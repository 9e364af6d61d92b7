"""What the commands print: a bar while they work, then one table or one JSON object on stdout."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

from brenier._progress import ProgressCallback

# The room ``report`` and rich are imported where something is shown: a help page waits for neither.


class StoppedError(Exception):
    """Ctrl-C, with what is left to say; a ``KeyboardInterrupt`` loses that on its way out."""


def progress_bar() -> AbstractContextManager[ProgressCallback]:
    """A callback that moves a bar on stderr, where that is a terminal."""
    from brenier import report

    return report.progress_bar()


def announce(result: Mapping[str, Any], title: str, rows: Mapping[str, str], as_json: bool) -> None:
    """Print a result: ``rows`` as a table for people, or all of it as one JSON object."""
    from rich.console import Console

    from brenier._json import json_text
    from brenier.report import summary_table

    if as_json:
        print(json_text(result))
    else:
        Console().print(summary_table(title, rows))
