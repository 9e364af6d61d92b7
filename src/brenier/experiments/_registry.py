"""The experiments by name: every module of this package that is no helper."""

import ast
import contextlib
import difflib
import importlib
import importlib.util
import pkgutil
import sys
import time
from pathlib import Path
from typing import Any

import brenier.experiments
from brenier._arithmetic import own_arithmetic
from brenier._extras import check_installed
from brenier._json import json_text
from brenier.experiments._run import Run
from brenier.io import check_apart, check_output_folder, write_whole


def experiments() -> dict[str, str]:
    """Every experiment's name, ``<folder>-<file>`` with hyphens, and its module's.

    >>> experiments()["dlv26-fig2"]
    'brenier.experiments.dlv26.fig2'
    """
    package = brenier.experiments
    found = {}
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        parts = module.name.removeprefix(f"{package.__name__}.").split(".")
        if not module.ispkg and not any(part.startswith("_") for part in parts):
            found[_hyphenated("-".join(parts))] = module.name
    return found


def summaries() -> dict[str, str]:
    """Every experiment's name, and the first line of what its module says of itself.

    >>> summaries()["krco22-thm31"]
    'KRCO22, Theorem 3.1: the encoder of a Gaussian, integrated, against its closed form.'
    """
    return {
        name: (ast.get_docstring(tree) or "").partition("\n")[0] for name, tree in _trees().items()
    }


def experiment_times() -> dict[str, str]:
    """Every experiment's name, and how long it takes on two cores, as its ``TIME`` says.

    >>> experiment_times()["krco22-thm31"]
    'half a minute'
    """
    found = {}
    for name, tree in _trees().items():
        said = [
            node.value.value
            for node in tree.body
            if isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Constant)
            and ast.unparse(node.targets[0]) == "TIME"
        ]
        found[name] = str(said[0]) if said else "no time known"
    return found


def _trees() -> dict[str, ast.Module]:
    """Every experiment's module, read and not imported: some want libraries that are not here."""
    found = {}
    for name, module in experiments().items():
        spec = importlib.util.find_spec(module)
        assert spec is not None
        assert spec.origin is not None
        found[name] = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    return found


def experiment_name(name: str) -> str:
    """The name of an experiment, written with hyphens, underscores or dots.

    Raises:
        ValueError: no experiment is called so; the message names the nearest.

    >>> experiment_name("dlv26_fig2")
    'dlv26-fig2'
    """
    known = experiments()
    if _hyphenated(name) not in known:
        near = difflib.get_close_matches(_hyphenated(name), known)
        wanted = f"{' or '.join(near)}, or another" if near else "one"
        raise ValueError(
            f"NAME: got {name!r}; wants {wanted} of those that `brenier reproduce` lists."
        )
    return _hyphenated(name)


def reproduce(name: str, run: Run) -> dict[str, Any]:
    """Run the experiment of that name; its result, which ``result.json`` in ``run.out`` keeps.

    Raises:
        ValueError: no such name (the known ones are listed), or a data file that is not there.

    >>> from brenier.experiments import Run
    >>> reproduce("krco22-thm31", Run(Path("out"), data=(Path("no.csv"),)))
    Traceback (most recent call last):
        ...
    ValueError: --data: got no.csv, which does not exist; wants a file.
    """
    name = experiment_name(name)
    for path in run.data:
        if not path.exists():
            raise ValueError(f"--data: got {path}, which does not exist; wants a file.")
    check_installed(name, "matplotlib")
    check_output_folder(run.out)
    check_apart([run.out / "result.json"], run.data)
    module = importlib.import_module(experiments()[name])
    run.out.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    # What a run prints on its way must not mix with the result.
    with contextlib.redirect_stdout(sys.stderr), own_arithmetic():
        result = module.main(run)
    result = {"name": name, "seed": run.seed, "seconds": time.perf_counter() - started, **result}
    write_whole(run.out / "result.json", json_text(result).encode() + b"\n")
    return result


def _hyphenated(name: str) -> str:
    return name.replace("_", "-").replace(".", "-")
