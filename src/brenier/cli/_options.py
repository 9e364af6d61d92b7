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
Given = Annotated[
    str | None,
    typer.Option(
        help="A map for every condition: the column, or columns, that tell conditions apart (of "
        "obs, or of tables with names); each row goes by the map of its own.",
        metavar="COLUMN,COLUMN",
    ),
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
Unbalanced = Annotated[
    str | None,
    typer.Option(
        help="Let mass be made and lost where source and target do not hold the same things in the "
        "same shares: a strength in units of half a squared distance, beyond which nothing is "
        "moved; or cv, to choose one, or none, by points held out.",
        metavar="TAU|cv",
    ),
]
SourceGrowth = Annotated[
    str | None,
    typer.Option(
        help="A file to write: the source with a column growth more, the relative mass that each "
        "row sends; of .h5ad, a column of obs.",
        metavar="FILE",
    ),
]
TargetGrowth = Annotated[
    str | None,
    typer.Option(
        help="A file to write: the target with the relative mass that each row receives, likewise.",
        metavar="FILE",
    ),
]
Layer = Annotated[str | None, typer.Option(help="For .h5ad: the layer to read instead of X.")]
Obsm = Annotated[
    str | None, typer.Option(help="For .h5ad: the embedding of obsm to read instead of X.")
]
Law = Annotated[
    str | None,
    typer.Option(
        help="The law of the source, where it is known: normal, for N(0, I), or file.npz with "
        "arrays mean and covariance."
    ),
]
Symmetry = Annotated[
    str | None,
    typer.Option(
        help="A symmetry of the source, where one is known.", metavar="exchangeable|signs|spherical"
    ),
]
Box = Annotated[
    str | None,
    typer.Option(
        help="All entries of points and images lie between, whatever is drawn.", metavar="LOW,HIGH"
    ),
]
Kurtosis = Annotated[
    float | None,
    typer.Option(help="A kurtosis that the gaps of a potential do not exceed, above 1."),
]
Level = Annotated[float, typer.Option(help="The confidence level of every interval.")]
Tolerance = Annotated[
    float,
    typer.Option(
        help="A map is called optimal where at most this fraction of W2 squared is wasted."
    ),
]
Budget = Annotated[
    float,
    typer.Option(help="About how many seconds it may take, compiling and the map's own apart."),
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
