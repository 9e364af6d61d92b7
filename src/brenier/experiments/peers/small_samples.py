"""Maps learned from 50 to 3000 points: ``MongeMap``, each of its candidates alone, and POT's maps.

    brenier reproduce peers-small-samples --json
    python -m brenier.experiments.peers.small_samples --hours 3 --problems moons rain --sizes 50 100

Problems whose map is known are measured by L2-UVP on 4000 fresh points, the others by the unbiased
squared energy distance of the moved source to the target, both fresh (4000 points; of digits 74, of
wines 19 held out). Two errors that differ by less than the noise of that measure, the standard
deviation over repeats of what two fresh samples of the target give, count as equal.

POT's maps have POT's defaults, out of sample as POT does it; Sinkhorn also with its ε chosen, in
units of the median cost, by the energy distance of a held-out fifth (to an L2 error of a marginal
of 1e-4). 20 seeds up to n = 100, then 10, 4 and 2; what trains networks has one, up to 1000 points,
POT's slow maps have fewer, and none where they would take hours (MappingTransport and validated
Sinkhorn stop at 300 points, Sinkhorn at 1000). Up to 4000 points ``effort="quick"`` does what the
default does, and is not run beside it.

CPU seconds are of the fit and of moving the fresh points, compilation included: the first fit of a
size pays for it. One worker a core, one thread each. Every cell is a line of ``cells.jsonl`` once
it is done, failures with their message: a run that was stopped, by Ctrl-C or by its hours (3, about
what all of it takes on 2 cores), goes on where it was; delete the file for a fresh start. First
seeds come first.
"""

import argparse
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from brenier._arithmetic import keep_own_arithmetic
from brenier._progress import Progress
from brenier.experiments._run import Run
from brenier.experiments._seeds import map_blocks
from brenier.experiments.peers._small_cells import blocks_of, cell_of, measure, read_rows
from brenier.experiments.peers._small_figure import errors_figure
from brenier.experiments.peers._small_methods import METHODS
from brenier.experiments.peers._small_problems import PROBLEMS
from brenier.experiments.peers._small_summary import markdown, summary
from brenier.io import atomic_write, write_whole
from brenier.report import progress_bar

TIME = "three hours"

_SEEDS, _HOURS = 20, 3.0
_CELLS = "cells.jsonl"


def main(run: Run) -> dict[str, Any]:
    """The whole study; ``--seeds`` is the most seeds of a row."""
    return study(run)


def study(
    run: Run,
    *,
    hours: float = _HOURS,
    problems: Iterable[str] = tuple(PROBLEMS),
    sizes: Iterable[int] | None = None,
    methods: Iterable[str] = tuple(METHODS),
) -> dict[str, Any]:
    """What is left of the study, for so many hours; then the summary of all that the file has."""
    deadline = time.time() + 3600.0 * hours
    file = run.out / _CELLS
    done = {cell_of(row) for row in read_rows(file)}
    seeds = range(run.seed, run.seed + run.seeds_or(_SEEDS))
    blocks = blocks_of(problems, sizes, methods, seeds, done)
    total, finished = sum(len(block.methods) for block in blocks), 0

    def keep(line: str) -> None:
        nonlocal finished
        finished += 1
        with file.open("a", encoding="utf-8") as handle:
            handle.write(line + "\n")
        row = cell_of(json.loads(line))
        stage = f"{row.problem}, d = {row.d}, n = {row.n}, seed {row.seed}: {row.method}"
        run.progress(Progress(finished, total, stage))

    if blocks:
        tasks = [(block, deadline) for block in blocks]
        map_blocks(measure, tasks, lambda _: None, tell=keep)
    found = {"left": total - finished, **summary(read_rows(file))}
    with atomic_write(run.out / "small_samples.md") as handle:
        handle.write(markdown(found).encode())
    write_whole(run.out / "small_samples.png", errors_figure(found["cells"]))
    return found


def command() -> None:
    """The same from a shell, of a part of it."""
    keep_own_arithmetic()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("out", "peers-small-samples"))
    parser.add_argument("--hours", type=float, default=_HOURS)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, default=_SEEDS, help="the most seeds of a row")
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--sizes", nargs="+", type=int)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    given = vars(parser.parse_args())
    out, seed, seeds = (given.pop(name) for name in ("out", "seed", "seeds"))
    out.mkdir(parents=True, exist_ok=True)
    with progress_bar() as progress:
        found = study(Run(out, seed, seeds, progress=progress), **given)
    print(json.dumps({name: value for name, value in found.items() if name != "cells"}, indent=2))


if __name__ == "__main__":
    command()
