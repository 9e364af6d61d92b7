"""Options that several commands share, with their help."""

import csv
import enum
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer


class Outliers(enum.StrEnum):
    """What may be done about outliers."""

    warn = "warn"
    drop = "drop"
    keep = "keep"


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object, and nothing else.")]
Seed = Annotated[int, typer.Option(help="The seed of all randomness.", min=0)]
OutFolder = Annotated[Path, typer.Option("--out", "-o", help="The folder to write to.")]
ResultFolder = Annotated[
    Path | None, typer.Option("--out", "-o", help="The folder to write to; by default out/NAME.")
]
Seeds = Annotated[
    int | None, typer.Option(help="How many seeds to run, where it runs several.", min=1)
]
DataFiles = Annotated[
    list[Path] | None, typer.Option("--data", help="A data file, where it reads any; repeatable.")
]
Condition = Annotated[
    str | None, typer.Option(help="For .h5ad: the column of obs that tells groups of cells apart.")
]
SourceValue = Annotated[
    str | None,
    typer.Option("--source", help="For .h5ad: the group of cells to move, a value of --condition."),
]
TargetValue = Annotated[
    str | None,
    typer.Option("--target", help="For .h5ad: the group to move onto, a value of --condition."),
]
RowsFarOut = Annotated[
    Outliers, typer.Option(help="What to do about rows that lie grossly outside of all others.")
]
Effort = Annotated[
    str,
    typer.Option(
        help="How much to try: quick (no network), auto, best (minutes) or a number of seconds.",
        metavar="quick|auto|best|SECONDS",
    ),
]
CandidatesFigure = Annotated[
    str | None, typer.Option("--figure", help="A PNG file to draw the candidates to.")
]
FitReport = Annotated[
    str | None,
    typer.Option(
        "--report",
        help="An HTML page to write: what was chosen, pictures, and how a map of the same kinds "
        "does on rows held out, for which it is fitted once more.",
    ),
]
Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on with the same fit where Ctrl-C or a crash ended it: what was tried is kept "
        "beside the map, in OUT.checkpoint. Another --effort may end it sooner.",
    ),
]
Columns = Annotated[
    str | None,
    typer.Option(
        help="The columns of tables to read, by name or by place from 0 on; the others may hold "
        "anything.",
        metavar="NAME,NAME",
    ),
]
Groups = Annotated[
    str | None,
    typer.Option(
        help="Rows that belong together count as one draw: a file with a label a row; for .h5ad, a "
        "column of obs."
    ),
]
SourceWeights = Annotated[
    str | None,
    typer.Option(
        help="The column of the source's table that says how much a row counts, which is then no "
        "coordinate; for .h5ad, a column of obs; of --pairs, an array of the file.",
        metavar="COLUMN",
    ),
]
TargetWeights = Annotated[
    str | None,
    typer.Option(
        help="The column that says how much a row of the target counts, likewise.", metavar="COLUMN"
    ),
]
Layer = Annotated[str | None, typer.Option(help="For .h5ad: the layer to read instead of X.")]
Obsm = Annotated[
    str | None, typer.Option(help="For .h5ad: the embedding of obsm to read instead of X.")
]


def columns_in(text: str | None) -> Sequence[str] | None:
    """The columns that stand behind ``--columns``; a name with a comma in it, in quotes.

    >>> columns_in('height,"a,b",3')
    ['height', 'a,b', '3']
    """
    if text is None:
        return None
    return [column.strip() for column in next(csv.reader([text]), [])]


def no_columns(file: str | None, columns: object) -> None:
    """Refuses columns beside cells, which have names of genes.

    Raises:
        ValueError: there are some.
    """
    if columns is not None:
        raise ValueError(f"{file}: got --columns, which are of tables; wants none beside cells.")


def number_in(option: str, text: str) -> float:
    """The number behind an option that may be a word too.

    Raises:
        ValueError: it is neither.
    """
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{option}: got {text!r}; wants a number, rule or cv.") from None
