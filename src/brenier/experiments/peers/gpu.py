"""What an accelerator makes of fits, Sinkhorn, audits, digits and the tests: one script, by parts.

    python -m brenier.experiments.peers.gpu --data ../shared/data/w2bench_D16.npz
    python -m brenier.experiments.peers.gpu sinkhorn precision --within 300
    python -m brenier.experiments.peers.gpu --small        (any computer, minutes)

The parts, the most telling first: ``fit-d64`` (``problems.convex_networks(64)``, 180 s of effort),
``fit-d16`` (the defaults, on the file of ``--data`` or ``convex_networks(16)``), ``sinkhorn``
(d = 64, FlashSinkhorn's sizes, to equal marginal error), ``audit`` (d = 10, n = 2000),
``precision`` (what float32 says of its errors, against float64), ``step`` (milliseconds of
``SemiDual``) and ``tests`` (room by room, where the tests are).

Each part is a process of its own, with the device to itself, and prints each row as a line of JSON
at once; one that fails or hangs is named, and the next begins. ``--within`` seconds bound them all:
what is left for a part may be less than its own limit, or nothing. Compilation, counted by JAX
itself, stands apart from what it delays.
"""

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from brenier._arithmetic import keep_own_arithmetic
from brenier._progress import Progress
from brenier.experiments._process import follow_python
from brenier.experiments._run import Run
from brenier.experiments.peers._gpu_parts import PARTS, Task, device

TIME = "ten minutes"

# Seconds for all of them: a machine that is lent for 15 minutes starts in some of them, and runs no
# command for more than 10.
_WITHIN = 570.0


@dataclass(frozen=True)
class Part:
    """The arguments with which Python measures a part, and the seconds that it may take."""

    arguments: tuple[str, ...]
    limit: float


def run_parts(
    parts: Mapping[str, Part], tell: Callable[[str], None], within: float
) -> dict[str, Any]:
    """The rows of every part, each told when it is there; seconds; why a part failed, if it did."""
    began, found = time.perf_counter(), {}
    for name, part in parts.items():
        started = time.perf_counter()
        rows: list[dict[str, Any]] = []

        def hear(line: str, rows: list[dict[str, Any]] = rows) -> None:
            rows.append(json.loads(line))
            tell(line.rstrip())

        limit = min(part.limit, within - (started - began))
        failed = follow_python(part.arguments, hear, limit) if limit > 0 else "no seconds left"
        end: dict[str, Any] = {"seconds": time.perf_counter() - started}
        if failed:
            end["failed"] = failed
        tell(json.dumps({"part": name, **end}))
        found[name] = {"rows": rows, **end}
    return found


def main(run: Run) -> dict[str, Any]:
    """Every part, at full size."""
    parts = _parts(list(PARTS), Task(run.seed, run.data))

    def tell(line: str) -> None:
        print(line, flush=True)
        run.progress(Progress(0, len(parts), str(json.loads(line)["part"])))

    return {"parts": run_parts(parts, tell, _WITHIN)}


def _parts(names: list[str], task: Task) -> dict[str, Part]:
    given = ["--seed", str(task.seed), *(["--small"] if task.small else [])]
    for path in task.data:
        given += ["--data", str(path)]
    return {
        name: Part(("-m", __spec__.name, name, "--measure", *given), PARTS[name].limit)
        for name in names
    }


def _measure(name: str, task: Task) -> None:
    """A part, in this process: its rows on stdout, and what else is printed on stderr."""
    keep_own_arithmetic()
    out = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):
        if PARTS[name].on_device:
            print(json.dumps({"part": name, **device()}), file=out, flush=True)
        for row in PARTS[name].measure(task):
            print(json.dumps({"part": name, **row}), file=out, flush=True)


def command() -> None:
    """The same from a shell: some parts, any time, small sizes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--small", action="store_true", help="sizes for a CPU")
    parser.add_argument("--within", type=float, default=_WITHIN, metavar="SECONDS")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", type=Path, action="append", default=[], metavar="FILE")
    parser.add_argument("--measure", action="store_true", help="one part, in this process")
    given = parser.parse_args()
    unknown = [name for name in given.parts if name not in PARTS]
    if unknown:
        parser.error(f"PART: got {unknown[0]!r}; wants some of {', '.join(PARTS)}.")
    task = Task(given.seed, tuple(given.data), given.small)
    if given.measure:
        for name in given.parts:
            _measure(name, task)
        return
    found = run_parts(
        _parts(given.parts or list(PARTS), task), lambda line: print(line, flush=True), given.within
    )
    sys.exit(1 if any("failed" in part for part in found.values()) else 0)


if __name__ == "__main__":
    command()
