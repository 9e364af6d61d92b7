"""``brenier audit``: certify a saved map, or pairs from anywhere."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from brenier._checks import check_points
from brenier._progress import Progress, ProgressCallback
from brenier.certify import Certificate, audit, audit_pairs
from brenier.cli._cells import Choice, audited_cells, is_cells_file
from brenier.cli._transport import load_map
from brenier.io import atomic_write, check_folder, read_manifest, read_points


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a user may set about an audit."""

    level: float
    tolerance: float
    samples: int
    budget: float
    seed: int


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
    """Audit a map file on fresh points, or pairs; the certificate as a dictionary, and its rows."""
    if report is not None:
        check_folder(report)
    progress(Progress(0, 0, "auditing"))
    if pairs is not None:
        certificate, names, files = _of_pairs(pairs, target, map_file, settings)
    elif map_file is None or source is None:
        raise ValueError(
            "MAP SOURCE: got one of them missing; wants a map file and a file of "
            "fresh source points, or --pairs."
        )
    else:
        certificate, names, files = _of_map(map_file, source, target, settings, choice)
    how = {**certificate.how, "names": names, "files": files}
    kind = (
        None if map_file is None else (read_manifest(map_file).get("about") or {}).get("sentence")
    )
    if kind is not None:
        how["kind"] = kind
    certificate = dataclasses.replace(certificate, how=how)
    result = certificate.to_dict()
    if report is not None:
        progress(Progress(0, 0, "writing the report"))
        with atomic_write(report) as handle:
            handle.write(certificate.to_html().encode())
        result["report"] = str(report)
    rows = {
        question: f"{answer}; {remark}" if remark else answer
        for question, answer, remark in certificate.rows()
    }
    if kind is not None:
        rows["kind of map"] = kind
    if report is not None:
        rows["report"] = str(report)
    return result, rows


def _of_map(
    map_file: str, source: str, target: str | None, settings: Settings, choice: Choice
) -> tuple[Certificate, Sequence[str] | None, dict[str, str]]:
    if is_cells_file(source):
        map, clouds = audited_cells(map_file, source, target, choice)
        names: Sequence[str] | None = [f"component {i}" for i in range(map.dimension)]
    else:
        map, names = load_map(map_file)
        clouds = [
            check_points(
                file, read_points(file).aligned(names, map_file).values, dimension=map.dimension
            )
            for file in (source, target)
            if file is not None
        ]
    certificate = audit(
        map,
        *clouds,
        key=jax.random.key(settings.seed),
        level=settings.level,
        tolerance=settings.tolerance,
        samples=settings.samples,
        budget=settings.budget,
    )
    files = {"map": map_file, "source": source}
    return certificate, names, files if target is None else {**files, "target": target}


def _of_pairs(
    pairs: str, target: str | None, map_file: str | None, settings: Settings
) -> tuple[Certificate, Sequence[str] | None, dict[str, str]]:
    if map_file is not None:
        raise ValueError(f"MAP: got {map_file} beside --pairs; wants one of the two.")
    x, tx, names = _read_pairs(pairs)
    y = None
    if target is not None:
        y = check_points(
            target, read_points(target).aligned(names, pairs).values, dimension=x.shape[1]
        )
    certificate = audit_pairs(
        x,
        tx,
        y,
        key=jax.random.key(settings.seed),
        level=settings.level,
        tolerance=settings.tolerance,
        samples=settings.samples,
        budget=settings.budget,
    )
    files = {"pairs": pairs}
    return certificate, names, files if target is None else {**files, "target": target}


def _read_pairs(spec: str) -> tuple[np.ndarray, np.ndarray, Sequence[str] | None]:
    """The two arrays of ``file.npz``, named x and tx, or as in ``file.npz:x,tx``."""
    file, _, keys = spec.partition(".npz")
    first, comma, second = keys.removeprefix(":").partition(",")
    if not spec.endswith(".npz") and not comma:
        raise ValueError(
            f"--pairs: got {spec}; wants file.npz with arrays x and tx, or file.npz:NAME,NAME."
        )
    first, second = (first, second.removeprefix(":")) if comma else ("x", "tx")
    tables = [read_points(f"{file}.npz:{key}") for key in (first, second)]
    x, tx = (table.values for table in tables)
    if x.shape != tx.shape:
        raise ValueError(
            f"--pairs: got {first} of shape {x.shape} and {second} of shape "
            f"{tx.shape}; wants equal shapes, row by row."
        )
    return x, tx, tables[0].names
