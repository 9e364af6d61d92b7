"""``brenier audit``: certify a map (saved, a function, a model's encoder), or pairs."""

import contextlib
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from brenier._checks import check_points
from brenier._extras import check_installed
from brenier._progress import Progress, ProgressCallback
from brenier.certify import Certificate, audit, audit_pairs
from brenier.cli._callables import check_map_file, load_callable, names_callable
from brenier.cli._cell_choice import Choice, is_cells_file, labels_of_cells, weights_of_cells
from brenier.cli._cells import audited_cells, clouds_of_cells
from brenier.cli._declared import Declarations
from brenier.cli._growth import growth_beside
from brenier.cli._transport import load_map
from brenier.io import (
    PAGE_ENDINGS,
    check_folder,
    load_model,
    read_array,
    read_manifest,
    read_points,
    read_weighted_points,
)
from brenier.maps import AbstractMap, SubspaceMap
from brenier.measures import StandardNormal


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a user may set about an audit."""

    level: float
    tolerance: float
    samples: int
    budget: float
    seed: int
    declared: Declarations
    columns: Sequence[str] | None = None
    weights: tuple[str | None, str | None] = (None, None)
    growth: bool = True

    def options(
        self,
        dimension: int,
        labels: np.ndarray | None,
        weights: Sequence[np.ndarray | None] = (None, None),
    ) -> dict[str, Any]:
        """What ``audit`` and ``audit_pairs`` are told beside the map and the points."""
        return {
            "source_weights": weights[0],
            "target_weights": weights[1],
            "key": jax.random.key(self.seed),
            "level": self.level,
            "tolerance": self.tolerance,
            "samples": self.samples,
            "budget": self.budget,
            "groups": labels,
            "law": self.declared.measure(dimension),
            "symmetry": self.declared.symmetry,
            "box": self.declared.ends(),
            "kurtosis": self.declared.kurtosis,
        }


def run_audit(
    map_file: str | None,
    source: str | None,
    target: str | None,
    pairs: str | None,
    report: Path | None,
    settings: Settings,
    choice: Choice,
    progress: ProgressCallback,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Audit a map on fresh points, or pairs; the certificate as a dictionary, and its rows.

    ``map_file`` is a map file, the folder of an image model, or ``module:function``: that module
    is imported.
    """
    if report is not None:
        check_folder(report, PAGE_ENDINGS)
        check_installed("--report", "matplotlib")
    progress(Progress(0, 0, "auditing"))
    if pairs is not None:
        certificate, names, files = _of_pairs(pairs, target, map_file, settings, progress)
    elif map_file is None or source is None:
        raise ValueError(
            "MAP SOURCE: got one of them missing; wants a map and a file of "
            "fresh source points, or --pairs."
        )
    elif Path(map_file).is_dir():
        certificate, names, files = _of_model(map_file, source, target, settings, progress)
    else:
        # What a user's own code prints is not the command's answer.
        with contextlib.redirect_stdout(sys.stderr):
            certificate, names, files = _of_map(
                map_file, source, target, settings, choice, progress
            )
    if names is not None:
        certificate = certificate.with_names(names)
    how = {**certificate.how, "names": names, "files": files}
    kind = how.get("kind") or _kind(map_file)
    if kind is not None:
        how["kind"] = kind
    certificate = dataclasses.replace(certificate, how=how)
    result = certificate.to_dict()
    if report is not None:
        progress(Progress(0, 0, "writing the report"))
        certificate.to_html(report)
        result["report"] = str(report)
    rows = {
        question: f"{answer}; {remark}" if remark else answer
        for question, answer, remark in certificate.rows()
    }
    if kind is not None:
        rows["kind of map"] = kind
    if "growth" in how:
        rows["growth"] = how["growth"]
    if report is not None:
        rows["report"] = str(report)
    return result, rows


def _kind(map_file: str | None) -> str | None:
    """The kind of map that ``fit`` chose, in words, where the map is such a file."""
    if map_file is None or names_callable(map_file):
        return None
    return (read_manifest(map_file).get("about") or {}).get("sentence")


def _of_map(
    map_file: str,
    source: str,
    target: str | None,
    settings: Settings,
    choice: Choice,
    progress: ProgressCallback,
) -> tuple[Certificate, Sequence[str] | None, dict[str, str]]:
    map: Any
    names: Sequence[str] | None
    weights: Sequence[np.ndarray | None]
    if names_callable(map_file):
        map = load_callable(map_file)
        if is_cells_file(source):
            clouds, names = clouds_of_cells(source, target, choice)
        else:
            table, own = read_weighted_points(source, settings.columns, settings.weights[0])
            names, width = table.names, table.values.shape[1]
            others, others_own = _read([target], names, source, width, settings)
            clouds, weights = [table.values, *others], [own, *others_own]
    elif is_cells_file(source):
        map, clouds = audited_cells(map_file, source, target, choice)
        names = _components(map)
    else:
        check_map_file(map_file)
        map, names = load_map(map_file, source)
        clouds, weights = _read([source, target], names, map_file, map.dimension, settings)
    if is_cells_file(source):
        weights = weights_of_cells(source, target, choice, settings.weights)
    growth = None
    if settings.growth and not names_callable(map_file):
        growth = growth_beside(map_file, settings.weights)
    if growth is not None and isinstance(map, SubspaceMap):  # it is of coordinates
        map, clouds = map.map, [map.coordinates(cloud) for cloud in clouds]
        names = _components(map)
    labels = (
        labels_of_cells(source, choice, settings.declared.groups)
        if is_cells_file(source) and settings.declared.groups is not None
        else settings.declared.labels(len(clouds[0]))
    )
    options = settings.options(clouds[0].shape[1], labels, weights)
    certificate = audit(map, *clouds, growth=growth, **options, callback=progress)
    if growth is not None:
        said = f"of the map file, penalty {growth.penalty:.4g}: rows count by it"
        certificate = dataclasses.replace(certificate, how={**certificate.how, "growth": said})
    files = {"map": map_file, "source": source}
    return certificate, names, files if target is None else {**files, "target": target}


def _components(map: AbstractMap) -> list[str]:
    """What the coordinates of a map are called that was learned in components."""
    return [f"component {i}" for i in range(map.dimension)]


def _read(
    files: Sequence[str | None],
    names: Sequence[str] | None,
    wanted_by: str,
    dimension: int,
    settings: Settings,
) -> tuple[list[np.ndarray], list[np.ndarray | None]]:
    """The points of [source,] target, their columns in the order of ``names``, and the weights.

    Points of those files only that there are.
    """
    clouds: list[np.ndarray] = []
    weights: list[np.ndarray | None] = []
    for file, column in zip(files, settings.weights[-len(files) :], strict=True):
        if file is None:
            if column is not None:
                raise ValueError(f"--target-weights: got {column} without a target; wants one.")
            weights.append(None)
            continue
        table, own = read_weighted_points(file, settings.columns, column)
        aligned = table.aligned(names, wanted_by).values
        clouds.append(check_points(table.file, aligned, dimension=dimension))
        weights.append(own)
    return clouds, weights


def _of_model(
    folder: str, source: str, target: str | None, settings: Settings, progress: ProgressCallback
) -> tuple[Certificate, Sequence[str] | None, dict[str, str]]:
    """The encoder of an image model, by the pairs that it makes: its derivatives are costly."""
    # Imported here: most audits need no network.
    from brenier.cli._ddpm_audit import encoder_pairs
    from brenier.cli._ddpm_choices import MapChoice

    if is_cells_file(source):
        raise ValueError(f"{source}: got cells beside the image model {folder}; wants images.")
    if settings.weights != (None, None):
        raise ValueError(
            f"--source-weights, --target-weights: got one beside the image model {folder}; wants a "
            "map and tables, or --pairs."
        )
    model, maps = load_model(folder), MapChoice(steps=100)
    x, codes = encoder_pairs(model, source, settings.samples, maps, progress)
    law: Any = StandardNormal(model.dimension)
    if target is not None:
        (law,), _ = _read([target], None, folder, model.dimension, settings)
    progress(Progress(0, 0, "assigning and bounding"))
    certificate = audit_pairs(
        x,
        codes,
        law,
        callback=progress,
        **settings.options(model.dimension, settings.declared.labels(len(x))),
    )
    how = {**certificate.how, "kind": f"the encoder of an image model, {maps.name(model)}"}
    files = {"map": folder, "source": source}
    return (
        dataclasses.replace(certificate, how=how),
        None,
        files if target is None else {**files, "target": target},
    )


def _of_pairs(
    pairs: str,
    target: str | None,
    map_file: str | None,
    settings: Settings,
    progress: ProgressCallback,
) -> tuple[Certificate, Sequence[str] | None, dict[str, str]]:
    if map_file is not None:
        hint = "" if target is not None else f" (a target stands behind --target {map_file})"
        raise ValueError(f"MAP: got {map_file} beside --pairs; wants one of the two{hint}.")
    x, tx, names = _read_pairs(pairs, settings.columns)
    clouds, own = _read([target], names, pairs, x.shape[1], settings)
    y = clouds[0] if clouds else None
    weights = [_pair_weights(pairs, settings.weights[0]), *own]
    certificate = audit_pairs(
        x,
        tx,
        y,
        callback=progress,
        **settings.options(x.shape[1], settings.declared.labels(len(x)), weights),
    )
    files = {"pairs": pairs}
    return certificate, names, files if target is None else {**files, "target": target}


def _pair_weights(spec: str, name: str | None) -> np.ndarray | None:
    """The array of that name, beside the pairs in ``file.npz``: a weight for each."""
    if name is None:
        return None
    found = read_array(f"{spec.partition('.npz')[0]}.npz:{name}")
    return found[:, 0] if found.shape[1:] == (1,) else found


def _read_pairs(
    spec: str, columns: Sequence[str] | None
) -> tuple[np.ndarray, np.ndarray, Sequence[str] | None]:
    """The two arrays of ``file.npz``, named x and tx, or as in ``file.npz:x,tx``."""
    file, _, keys = spec.partition(".npz")
    first, comma, second = keys.removeprefix(":").partition(",")
    if not spec.endswith(".npz") and not comma:
        raise ValueError(
            f"--pairs: got {spec}; wants file.npz with arrays x and tx, or file.npz:NAME,NAME."
        )
    first, second = (first, second.removeprefix(":")) if comma else ("x", "tx")
    tables = [read_points(f"{file}.npz:{key}", columns) for key in (first, second)]
    x, tx = (table.values for table in tables)
    if x.shape != tx.shape:
        raise ValueError(
            f"--pairs: got {first} of shape {x.shape} and {second} of shape "
            f"{tx.shape}; wants equal shapes, row by row."
        )
    return x, tx, tables[0].names
