"""Arguments and options that several commands of ``brenier ddpm`` share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    Context = typer.Context
else:  # what typer in fact hands over: the parent of its own, whose place differs by version
    Context = typer.Context.__mro__[1]

Model = Annotated[Path, typer.Argument(help="A model folder that ddpm train or import wrote.")]
Images = Annotated[
    Path, typer.Argument(help="A folder of pictures, an .npy file, or an IDX file (.gz or not).")
]
Steps = Annotated[
    int, typer.Option(help="Number of DDIM steps; 0 for the flow in adaptive steps.", min=0)
]
Tolerance = Annotated[float, typer.Option(help="Error tolerance of the adaptive steps.")]
PrecisionName = Annotated[
    str, typer.Option("--precision", help="Products of the network: highest, tf32 or bfloat16.")
]
Sampler = Annotated[
    str,
    typer.Option(help="Of the steps: ddim, or bdia, which is exactly invertible and codes pairs."),
]
Label = Annotated[int | None, typer.Option(help="The class to condition on.", min=0)]
Labels = Annotated[
    Path | None,
    typer.Option("--label-file", help="A file with the labels of the images, .npy or IDX."),
]
Classes = Annotated[
    str | None, typer.Option(help="Take only the images of these classes, as in 0,1,2.")
]
Strict = Annotated[
    bool, typer.Option("--strict", help="Fail at a damaged file, rather than skip it.")
]
Limit = Annotated[int | None, typer.Option(help="Take at most this many images.", min=1)]
Grid = Annotated[Path, typer.Option("--out", "-o", help="The picture to write (.png).")]
Controls = Annotated[
    bool,
    typer.Option(
        help="Compare with a wrong schedule of the same weights, a control; twice the work."
    ),
]
ClassNames = Annotated[
    Path | None,
    typer.Option("--class-names", help="A text file of the classes' names, one a line from 0."),
]
Count = Annotated[int, typer.Option("-n", help="Number of random codes.", min=1)]


def of_network(help: str, least: int | None = None) -> Any:
    """An option of ``train``, in the panel of the network on its help page."""
    return typer.Option(help=help, min=least, rich_help_panel="Network")


def of_training(help: str, least: int | None = None) -> Any:
    """An option of ``train``, in the panel of the training on its help page."""
    return typer.Option(help=help, min=least, rich_help_panel="Training")


def said(ctx: Context) -> frozenset[str]:
    """The options that stand in the command, as against those that have their defaults."""
    sources = {name: ctx.get_parameter_source(name) for name in ctx.params}
    return frozenset(n for n, source in sources.items() if source and source.name == "COMMANDLINE")
