"""The commands and their exit codes: 0 done, 2 bad input, 1 failed, 130 and 143 interrupted."""

from pathlib import Path
from typing import Annotated

import typer

from brenier.cli._console import announce, progress_bar, progress_log
from brenier.cli._options import (
    CandidatesFigure,
    Columns,
    Condition,
    DataFiles,
    Effort,
    FitReport,
    Given,
    Json,
    Layer,
    Obsm,
    OutFolder,
    Outliers,
    ResultFolder,
    Resume,
    RowsFarOut,
    Seed,
    Seeds,
    SourceGrowth,
    SourceValue,
    SourceWeights,
    TargetGrowth,
    TargetValue,
    TargetWeights,
    Unbalanced,
    columns_in,
    no_columns,
    number_in,
)

app = typer.Typer(
    help="Learn, compute and certify optimal transport (Monge) maps.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
# Its commands are in ``_ddpm``, whose defaults are those of image networks: ``main`` reads it where
# it is asked for.
ddpm = typer.Typer(
    help="Image diffusion models: train, encode, decode, pair, audit.",
    no_args_is_help=True,
    add_completion=False,
)
app.add_typer(ddpm, name="ddpm")


def _print_version(wanted: bool) -> bool:
    if wanted:
        from brenier import __version__

        print(f"brenier {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
    # For the help page alone: ``main`` takes it away wherever it stands.
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of a failure; anywhere on the line.")
    ] = False,
) -> None:
    pass


@app.command()
def demo(out: OutFolder = Path("demo"), seed: Seed = 0, json: Json = False) -> None:
    """Transfer the colours of one photo to another, both ways, and draw: about a minute."""
    from brenier.cli._demo import run_demo

    with progress_log("demo: colours of two photos, about a minute on two cores") as progress:
        result, rows = run_demo(out, seed, progress)
    announce(result, "Colour transfer", rows, json)


@app.command()
def fit(
    source: Annotated[str, typer.Argument(help="Points to move: a table, a picture or cells.")],
    out: Annotated[str, typer.Option("--out", "-o", help="The map file to write.")],
    target: Annotated[str | None, typer.Argument(help="Points to move them onto.")] = None,
    condition: Condition = None,
    source_value: SourceValue = None,
    target_value: TargetValue = None,
    given: Given = None,
    layer: Layer = None,
    obsm: Obsm = None,
    components: Annotated[
        int | None,
        typer.Option(
            help="Principal components to learn in; by default 15 for genes, else all columns.",
            min=1,
        ),
    ] = None,
    columns: Columns = None,
    source_weights: SourceWeights = None,
    target_weights: TargetWeights = None,
    unbalanced: Unbalanced = None,
    source_growth: SourceGrowth = None,
    target_growth: TargetGrowth = None,
    effort: Effort = "auto",
    outliers: RowsFarOut = Outliers.warn,
    figure: CandidatesFigure = None,
    report: FitReport = None,
    resume: Resume = False,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Learn the map from SOURCE to TARGET, and save it.

    Files: .npy, .npz (file.npz:key names the array), .csv, .parquet, or pictures (their pixels);
    .h5ad (single cells), where one file may hold both: --condition COLUMN --source VALUE --target
    VALUE.
    """
    from brenier._extras import check_installed
    from brenier.cli._cell_choice import Choice, is_cells_file
    from brenier.cli._cells import run_fit_cells
    from brenier.cli._fit import Settings, run_fit
    from brenier.cli._given import run_fit_given
    from brenier.cli._given_rows import columns_given, refuse_beside_given
    from brenier.cli._growth import GrowthFiles, penalty_in
    from brenier.io import FIGURE_ENDINGS, PAGE_ENDINGS, check_apart, check_folder

    settings = Settings.of(effort, outliers, seed, resume, penalty_in(unbalanced))
    check_apart([out, figure, report, source_growth, target_growth], [source, target])
    growth = GrowthFiles(source_growth, target_growth)
    growth.checked(settings.unbalanced, source)
    for option, path, endings in (
        ("--figure", figure, FIGURE_ENDINGS),
        ("--report", report, PAGE_ENDINGS),
    ):
        if path is not None:
            check_folder(path, endings)
            check_installed(option, "matplotlib")
    choice = Choice(condition, source_value, target_value, layer, obsm, components)
    chosen, weights = columns_in(columns), (source_weights, target_weights)
    told = columns_given(given)
    if told:
        refuse_beside_given(figure=figure, report=report, columns=columns, unbalanced=unbalanced)
        with progress_bar() as progress:
            own = (settings, choice, told, weights, progress)
            result, rows, warnings = run_fit_given(source, target, out, *own)
        announce(result, "Fit", rows, json, warnings=warnings)
        return
    with progress_bar() as progress:
        if is_cells_file(source):
            no_columns(source, chosen)
            how = (settings, choice, progress, report, weights)
            result, rows, done = run_fit_cells(source, target, out, *how, growth=growth)
        else:
            choice.refused(source)
            if target is None:
                raise ValueError("TARGET: got no file; wants a file of target points.")
            by = (settings, chosen, progress, report, weights)
            result, rows, done = run_fit(source, target, out, *by, growth=growth)
        if figure is not None:
            done.draw(figure)
    announce(result, "Fit", rows, json, candidates=done.candidates, warnings=done.warnings)


@app.command()
def transport(
    map: Annotated[str, typer.Argument(help="A map file that fit wrote.")],
    new: Annotated[str, typer.Argument(help="Points to move: a table, a picture or cells.")],
    out: Annotated[str, typer.Option("--out", "-o", help="The file to write.")],
    inverse: Annotated[
        bool, typer.Option("--inverse", help="Move points back, from target to source.")
    ] = False,
    condition: Condition = None,
    source_value: SourceValue = None,
    given: Given = None,
    layer: Layer = None,
    obsm: Obsm = None,
    into: Annotated[
        str | None,
        typer.Option(help="For .h5ad: the new layer or embedding; by default 'transported'."),
    ] = None,
    columns: Columns = None,
    json: Json = False,
) -> None:
    """Move the points of NEW by a saved map.

    Of an .h5ad file all cells are moved, or the group of --condition COLUMN --source VALUE.
    """
    from brenier.cli._cell_choice import Choice, is_cells_file
    from brenier.cli._given import run_transport_given
    from brenier.cli._given_rows import columns_given, refuse_beside_given
    from brenier.cli._moved_cells import run_transport_cells
    from brenier.cli._transport import run_transport
    from brenier.io import check_apart

    told = columns_given(given)
    check_apart([out], [map, new])
    choice = Choice(condition, source_value, layer=layer, obsm=obsm, into=into)
    chosen = columns_in(columns)
    with progress_bar() as progress:
        if is_cells_file(new):
            no_columns(new, chosen)
            result, rows = run_transport_cells(map, new, out, inverse, choice, progress, told)
        elif told:
            choice.refused(new)
            refuse_beside_given(columns=columns)
            result, rows = run_transport_given(map, new, out, inverse, told, progress)
        else:
            choice.refused(new)
            result, rows = run_transport(map, new, out, inverse, chosen, progress)
    announce(result, "Transport", rows, json)


@app.command()
def generate(
    data: Annotated[str, typer.Argument(help="Points to make more of: a table.")],
    count: Annotated[int, typer.Option("-n", help="How many points to make.", min=1)],
    out: Annotated[str, typer.Option("--out", "-o", help="The file to write.")],
    effort: Effort = "auto",
    source: Annotated[
        str | None,
        typer.Option(
            help="The map of Sinkhorn's flow and no other, from this latent law: isotropic, "
            "covariance, mixture, or cv (best on held-out data)."
        ),
    ] = None,
    epsilon: Annotated[
        str | None,
        typer.Option(
            help="The map of Sinkhorn's flow and no other, so smooth: a number, rule (from the "
            "data) or cv (cross-validated)."
        ),
    ] = None,
    scaling: Annotated[
        str,
        typer.Option(
            help="Scale by columns, whitened (by the covariance) or none (one unit, as pixels)."
        ),
    ] = "columns",
    distill: Annotated[
        bool,
        typer.Option("--distill", help="Also learn the map by a network, which samples faster."),
    ] = False,
    columns: Columns = None,
    outliers: RowsFarOut = Outliers.warn,
    save_map: Annotated[str | None, typer.Option(help="Also write the map to this file.")] = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Make new points like those of DATA, each by one evaluation of a transport map."""
    from brenier.cli._fit import effort_of
    from brenier.cli._generate import run_generate
    from brenier.io import check_apart

    check_apart([out, save_map], [data])
    settings = {
        "source": source,
        "epsilon": epsilon if epsilon in (None, "rule", "cv") else number_in("--epsilon", epsilon),
        "effort": effort_of(effort),
        "scaling": scaling,
        "distill": distill,
        "outliers": outliers,
        "random_state": seed,
    }
    with progress_bar() as progress:
        result, rows, candidates = run_generate(
            data, count, out, settings, save_map, columns_in(columns), progress
        )
    announce(result, "Generate", rows, json, candidates=candidates, warnings=result["warnings"])


@app.command()
def reproduce(
    name: Annotated[str | None, typer.Argument(help="The experiment, as in dlv26-fig2.")] = None,
    out: ResultFolder = None,
    seed: Seed = 0,
    seeds: Seeds = None,
    data: DataFiles = None,
    json: Json = False,
) -> None:
    """Run an experiment of the papers, or beside other libraries; without NAME, list them."""
    from brenier.cli._reproduce import listed, run_reproduce, title_of

    if name is None:
        found, lines = listed()
        announce({"experiments": found}, "Experiments", lines, json)
        return
    with progress_log(title_of(name)) as progress:
        result, rows = run_reproduce(name, out, seed, seeds, data, progress)
    announce(result, result["name"], rows, json)


@app.command(hidden=True, add_help_option=False, context_settings={"ignore_unknown_options": True})
def bench(words: Annotated[list[str] | None, typer.Argument()] = None) -> None:
    """Says where the benchmarks are now."""
    from brenier.cli._reproduce import where_benchmarks_are

    raise ValueError(where_benchmarks_are(words or []))
