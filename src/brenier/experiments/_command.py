"""``python -m brenier.experiments.<folder>.<file>``: one experiment from the command line."""

import argparse
from pathlib import Path

from brenier._json import json_text
from brenier.experiments._registry import experiment_name, reproduce
from brenier.experiments._run import Run


def command(module: str) -> None:
    """Run the experiment of that module by the process's arguments, and print its result as JSON.

    The module is imported by its name, beside ``__main__``: its functions then have the same
    names in worker processes and in the files of kept results, however the run was begun.
    """
    name = experiment_name(module.removeprefix(f"{__package__}."))
    parser = argparse.ArgumentParser(prog=f"python -m {module}")
    parser.add_argument("--out", "-o", type=Path, default=Path("out", name), metavar="FOLDER")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument("--seeds", type=int, metavar="N", help="how many seeds to run")
    parser.add_argument("--data", type=Path, action="append", default=[], metavar="FILE")
    given = parser.parse_args()
    try:
        run = Run(given.out, given.seed, given.seeds, tuple(given.data))
        print(json_text(reproduce(name, run)))
    except ValueError as error:
        parser.error(str(error))
