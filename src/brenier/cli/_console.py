"""What the commands print: one table or one JSON object on stdout."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from brenier._json import json_text
from brenier.report import summary_table


class StoppedError(Exception):
    """Ctrl-C, with what is left to say; a ``KeyboardInterrupt`` loses that on its way out."""


def announce(result: Mapping[str, Any], title: str, rows: Mapping[str, str], as_json: bool) -> None:
    """Print a result: ``rows`` as a table for people, or all of it as one JSON object."""
    if as_json:
        print(json_text(result))
    else:
        Console().print(summary_table(title, rows))
