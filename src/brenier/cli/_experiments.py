"""``brenier reproduce`` and ``brenier bench``: finding and running what lies beside the library.

The contract: ``experiments/<paper>/<name>.py`` (called ``<paper>-<name>``, with hyphens or
underscores) and ``benchmarks/<name>.py`` each define

    def main(
        out: Path, seed: int, seeds: int | None, data: list[Path] | None, progress: ProgressCallback
    ) -> dict[str, Any]

which writes its figures and tables under ``out``, tells ``progress`` how far it is, and
returns what ``--json`` prints; ``result.json`` in ``out`` is written here. Files whose names begin
with an underscore are helpers, imported relatively (``from . import _common``).
"""

import contextlib
import importlib
import multiprocessing
import os
import sys
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import brenier
from brenier._progress import ProgressCallback
from brenier.cli._console import json_text
from brenier.io import atomic_write


def run_named(
    kind: str,
    name: str,
    out: Path,
    seed: int,
    seeds: int | None,
    data: list[Path] | None,
    progress: ProgressCallback,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Run the experiment or benchmark of that name; its result, and its rows for people.

    Raises:
        ValueError: no such name (the known ones are listed), or a data file that is not there.
    """
    package, known = find(kind)
    # Modules cannot be named with hyphens, but people may.
    plain = {own.replace("_", "-"): own for own in known}
    name = plain.get(name.replace("_", "-"), name)
    if name not in known:
        listed = ", ".join(known) or f"none here (no folder {kind}/ beside the library)"
        raise ValueError(f"NAME: got {name!r}; wants one of: {listed}.")
    for path in data or []:
        if not path.exists():
            raise ValueError(f"--data: got {path}, which does not exist; wants a file.")
    module = importlib.import_module(f"{package}.{known[name]}")
    out.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    # What a run prints on its way must not mix with the result.
    with contextlib.redirect_stdout(sys.stderr):
        result = module.main(out=out, seed=seed, seeds=seeds, data=data, progress=progress)
    result = {"name": name, "seed": seed, "seconds": time.perf_counter() - started, **result}
    with atomic_write(out / "result.json") as handle:
        handle.write(json_text(result).encode() + b"\n")
    return result, _rows(result)


def register_experiments() -> None:
    """Make ``brenier._experiments`` importable."""
    find("experiments")


def begin_worker() -> None:
    """Begin a worker process: experiments are importable, and it ends when its parent does.

    It lives here since a spawned process finds it before any experiment is importable.
    """
    register_experiments()

    def follow() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def find(kind: str) -> tuple[str, dict[str, str]]:
    """The package that holds experiments (or benchmarks), and their modules by name."""
    package = f"brenier._{kind}"
    home = Path(brenier.__file__).parent
    # A wheel brings the experiments inside the package; a working tree has them beside src/.
    folder = next((f for f in (home / f"_{kind}", home.parents[1] / kind) if f.is_dir()), None)
    if folder is None:
        return package, {}
    if package not in sys.modules:
        root = ModuleType(package)
        root.__path__ = [str(folder)]
        sys.modules[package] = root
    modules = {
        "-".join(path.relative_to(folder).with_suffix("").parts): ".".join(
            path.relative_to(folder).with_suffix("").parts
        )
        for path in sorted(folder.rglob("*.py"))
        if not any(part.startswith(("_", ".")) for part in path.relative_to(folder).parts)
    }
    return package, modules


def _rows(result: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """A result's numbers and words as rows; what is nested is named by its path."""
    rows: dict[str, str] = {}
    for key, value in result.items():
        if isinstance(value, dict):
            rows |= _rows(value, f"{prefix}{key}.")
        elif isinstance(value, float):
            rows[prefix + key] = f"{value:.6g}"
        elif isinstance(value, bool | int | str):
            rows[prefix + key] = str(value)
    return rows
