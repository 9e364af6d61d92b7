"""Commands that ask what maps are worth, and what follows from them."""

from pathlib import Path
from typing import Annotated

import typer

from brenier.cli._app import app
from brenier.cli._console import announce, progress_bar
from brenier.cli._options import (
    Box,
    Budget,
    Columns,
    Condition,
    Effort,
    Given,
    Groups,
    Json,
    Kurtosis,
    Law,
    Layer,
    Level,
    Obsm,
    Outliers,
    RowsFarOut,
    Seed,
    SourceValue,
    SourceWeights,
    Symmetry,
    TargetValue,
    TargetWeights,
    Tolerance,
    Unbalanced,
    columns_in,
    no_columns,
)

__all__ = ["app"]


@app.command()
def audit(
    map: Annotated[
        str | None,
        typer.Argument(
            help="A map file that fit wrote; module:function, anyone's map, whose module is "
            "imported, and so runs; or the folder of an image model, for its encoder."
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Argument(
            help="Fresh source points: not those it was fitted on. For an image model, images."
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Argument(help="Fresh target points, too; for an image model N(0, I), if none."),
    ] = None,
    pairs: Annotated[
        str | None,
        typer.Option(
            help="Instead of MAP: pairs in file.npz (arrays x, tx) or file.npz:NAME,NAME."
        ),
    ] = None,
    pairs_target: Annotated[
        str | None,
        typer.Option(
            "--target", help="Target points beside --pairs; for .h5ad, the target group of cells."
        ),
    ] = None,
    condition: Condition = None,
    source_value: SourceValue = None,
    given: Given = None,
    layer: Layer = None,
    obsm: Obsm = None,
    columns: Columns = None,
    report: Annotated[Path | None, typer.Option(help="The HTML report to write.")] = None,
    level: Level = 0.95,
    tolerance: Tolerance = 0.01,
    samples: Annotated[int, typer.Option(help="Points to use, at most.", min=20)] = 20_000,
    budget: Budget = 20.0,
    source_weights: SourceWeights = None,
    target_weights: TargetWeights = None,
    growth: Annotated[
        bool,
        typer.Option(
            help="Whether rows count by the growth in the file of an unbalanced map, or all alike."
        ),
    ] = True,
    groups: Groups = None,
    law: Law = None,
    symmetry: Symmetry = None,
    box: Box = None,
    kurtosis: Kurtosis = None,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Certify how far a map is from optimal, and whether it reaches its target.

    MAP SOURCE [TARGET], or --pairs PAIRS [--target TARGET]; for cells, MAP CELLS.h5ad --condition
    COLUMN --source VALUE [--target VALUE].

    MAP may be module:function, as in mymaps:net: a function of NumPy arrays (n, d), a torch module
    or a JAX function, in a module of the current folder or an installed one. Nothing else that is
    given here runs code.
    """
    from brenier.cli._audit import Settings, run_audit
    from brenier.cli._cell_choice import Choice, is_cells_file
    from brenier.cli._declared import Declarations
    from brenier.cli._given import run_audit_given
    from brenier.cli._given_rows import columns_given, refuse_beside_given
    from brenier.io import check_apart

    check_apart([report], [map, source, target, pairs, pairs_target, groups, law])
    choice = Choice(condition, source_value, layer=layer, obsm=obsm)
    chosen = columns_in(columns)
    if is_cells_file(source):
        no_columns(source, chosen)
        choice = Choice(condition, source_value, pairs_target, layer, obsm)
        pairs_target = None
    else:
        choice.refused(source or pairs or "SOURCE")
    if target is not None and pairs_target is not None:
        raise ValueError(f"--target: got {pairs_target} beside TARGET {target}; wants one of them.")
    said = Declarations(law, symmetry, box, kurtosis, groups)
    weights = (source_weights, target_weights)
    settings = Settings(level, tolerance, samples, budget, seed, said, chosen, weights, growth)
    if given is not None:
        refuse_beside_given(
            pairs=pairs, report=report, columns=columns, groups=groups, law=law, symmetry=symmetry
        )
        own = (map, source, pairs_target if target is None else target)
        with progress_bar() as progress:
            result, rows = run_audit_given(*own, choice, columns_given(given), settings, progress)
        announce(result, "Audit", rows, json)
        return
    with progress_bar() as progress:
        result, rows = run_audit(
            map,
            source,
            pairs_target if target is None else target,
            pairs,
            report,
            settings,
            choice,
            progress,
        )
    announce(result, "Audit", rows, json)


@app.command()
def labels(
    map: Annotated[str, typer.Argument(help="A map file that fit wrote.")],
    source: Annotated[str, typer.Argument(help="Points to label: a table or cells.")],
    labels: Annotated[
        str, typer.Option("--labels", help="The column of TARGET, or of obs, with the labels.")
    ],
    out: Annotated[str, typer.Option("--out", "-o", help="The file to write.")],
    target: Annotated[str | None, typer.Argument(help="Labelled points.")] = None,
    source_labels: Annotated[
        str | None, typer.Option(help="Labels that SOURCE has: says what share of each goes where.")
    ] = None,
    condition: Condition = None,
    source_value: SourceValue = None,
    target_value: TargetValue = None,
    layer: Layer = None,
    obsm: Obsm = None,
    into: Annotated[
        str | None, typer.Option(help="The new column; by default transferred_LABELS.")
    ] = None,
    columns: Columns = None,
    source_weights: SourceWeights = None,
    target_weights: TargetWeights = None,
    json: Json = False,
) -> None:
    """Give points of SOURCE the labels of TARGET, with a probability each, by a saved map.

    Tables .csv or .parquet, of which columns of the map's names are coordinates; or cells.
    """
    from brenier.cli._cell_choice import Choice, is_cells_file
    from brenier.cli._labels import run_labels
    from brenier.io import check_apart

    check_apart([out], [map, source, target])
    choice = Choice(condition, source_value, target_value, layer, obsm, into=into)
    chosen = columns_in(columns)
    if is_cells_file(source):
        no_columns(source, chosen)
    else:
        Choice(condition, source_value, target_value, layer, obsm).refused(source)
    with progress_bar() as progress:
        own = (source_labels, (source_weights, target_weights), chosen, choice, progress)
        result, rows = run_labels((map, source, target), out, labels, *own)
    announce(result, "Labels", rows, json, warnings=result["warnings"])


@app.command()
def series(
    snapshots: Annotated[
        list[str], typer.Argument(help="Tables in the order of their times, or one file of cells.")
    ],
    out: Annotated[str, typer.Option("--out", "-o", help="The file of maps to write.")],
    times: Annotated[
        str,
        typer.Option(help="The time of each table; for .h5ad, the column of obs that holds it."),
    ],
    columns: Columns = None,
    unbalanced: Unbalanced = None,
    effort: Effort = "auto",
    outliers: RowsFarOut = Outliers.warn,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Learn the maps between snapshots of several times, as in day0.csv day2.csv --times 0,2."""
    from brenier.cli._cell_choice import is_cells_file
    from brenier.cli._fit import Settings
    from brenier.cli._growth import penalty_in
    from brenier.cli._series import run_series
    from brenier.io import check_apart

    check_apart([out], snapshots)
    settings = Settings.of(effort, outliers, seed, unbalanced=penalty_in(unbalanced))
    chosen = columns_in(columns)
    held = times if is_cells_file(snapshots[0]) else _times_in(times)
    if isinstance(held, str):
        no_columns(snapshots[0], chosen)
        if len(snapshots) > 1:
            raise ValueError(f"{snapshots[1]}: got a second file of cells; wants one with all.")
    with progress_bar() as progress:
        result, rows = run_series(snapshots, out, held, settings, chosen, progress)
    announce(result, "Series", rows, json)


@app.command()
def follow(
    series: Annotated[str, typer.Argument(help="A file that series wrote.")],
    new: Annotated[str, typer.Argument(help="Points to move: a table or cells.")],
    from_time: Annotated[float, typer.Option("--from", help="The time that they are of.")],
    to_time: Annotated[float, typer.Option("--to", help="The time to move them to.")],
    out: Annotated[str, typer.Option("--out", "-o", help="The file to write.")],
    times: Annotated[
        str | None,
        typer.Option(help="For .h5ad: the column of obs with the time; moves those of --from."),
    ] = None,
    into: Annotated[
        str | None, typer.Option(help="For .h5ad: the new layer; by default 'transported'.")
    ] = None,
    columns: Columns = None,
    json: Json = False,
) -> None:
    """Move points of one time to another along a series, forwards or backwards."""
    from brenier.cli._cell_choice import Choice, is_cells_file
    from brenier.cli._moved_cells import run_follow_cells
    from brenier.cli._series import run_follow
    from brenier.io import check_apart

    check_apart([out], [series, new])
    chosen, moment = columns_in(columns), (from_time, to_time)
    with progress_bar() as progress:
        if is_cells_file(new):
            no_columns(new, chosen)
            choice = Choice(into=into)
            result, rows = run_follow_cells(series, new, out, moment, times, choice, progress)
        else:
            Choice(into=into).refused(new)
            if times is not None:
                raise ValueError(f"--times: got {times} beside the table {new}; wants .h5ad.")
            result, rows = run_follow(series, new, out, moment, chosen, progress)
    announce(result, "Follow", rows, json)


def _times_in(text: str) -> list[float]:
    try:
        return [float(word) for word in text.split(",")]
    except ValueError:
        raise ValueError(f"--times: got {text!r}; wants numbers, as in 0,2,5.") from None
