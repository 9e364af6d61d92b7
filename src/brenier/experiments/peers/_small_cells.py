"""The cells of the study, what is measured in one, and the file that keeps them."""

import json
import resource
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from brenier._json import json_text
from brenier.estimators import energy_score
from brenier.experiments.peers._small_methods import METHODS, TRAINED, seeds_at
from brenier.experiments.peers._small_problems import PROBLEMS, Sample
from brenier.problems import l2_uvp

# In the file of cells, beside the methods: the standard deviation of the measure itself.
NOISE = "noise"
_REPEATS = 8
# The share of the other methods' seeds that goes before what trains networks.
_TRAINED_RANK = 0.3
_MAPS, _MANY_MAPS = Path("/proc/self/maps"), 30_000


class Cell(NamedTuple):
    """One row of the file."""

    problem: str
    d: int
    n: int
    method: str
    seed: int


class Block(NamedTuple):
    """The cells of one sample that are still to be measured."""

    problem: str
    d: int
    n: int
    seed: int
    methods: tuple[str, ...]


def blocks_of(
    problems: Iterable[str],
    sizes: Iterable[int] | None,
    methods: Iterable[str],
    seeds: range,
    done: set[Cell],
) -> list[Block]:
    """What is left to do: first seeds first, then the same share of each row's seeds.

    A run stopped anywhere has then seen all problems, and each row about equally far; what trains
    networks comes behind a part of the others.
    """
    wanted, methods = None if sizes is None else set(sizes), tuple(methods)
    ranked = []
    for problem in (PROBLEMS[name] for name in problems):
        noisy = problem.map is None
        for d in problem.dimensions:
            for n in problem.sizes if wanted is None else sorted(wanted & set(problem.sizes)):
                for turn, seed in enumerate(seeds[: seeds_at(n)]):
                    own = [m for m in methods if turn < seeds_at(n, m)]
                    own += [NOISE] * (noisy and turn == 0)
                    left = [m for m in own if Cell(problem.name, d, n, m, seed) not in done]
                    trained = tuple(m for m in left if m in TRAINED)
                    others = tuple(m for m in left if m not in TRAINED)
                    share = turn / seeds_at(n)
                    for rank, part in ((share, others), (share + _TRAINED_RANK, trained)):
                        if part:
                            ranked.append((rank, n, Block(problem.name, d, n, seed, part)))
    # Sorting is stable: problems stay in their order.
    return [block for *_, block in sorted(ranked, key=lambda entry: entry[:2])]


def measure(block: Block, deadline: float, tell: Callable[[str], Any]) -> None:
    """Tell a JSON row a method, until a time (``time.time``) after which no method begins."""
    if time.time() > deadline:
        return
    _drop_programs()
    sample = PROBLEMS[block.problem].sample(block.d, block.n, block.seed)
    for name in block.methods:
        if time.time() > deadline:
            return
        cell = Cell(block.problem, block.d, block.n, name, block.seed)
        if name == NOISE:
            found: dict[str, Any] = {"error": _noise(block)}
        else:
            found = _measured(name, sample, block.seed)
        tell(json_text({**cell._asdict(), **found}))


def error(sample: Sample, moved: np.ndarray) -> float:
    """L2-UVP in per cent where the truth is known, else the squared energy distance, unbiased."""
    if sample.truth is None:
        return -energy_score(moved, sample.y_test)
    return float(l2_uvp(jnp.asarray(moved), jnp.asarray(sample.truth)))


def _measured(name: str, sample: Sample, seed: int) -> dict[str, Any]:
    """The error and CPU seconds of one method; where it fails, why."""
    before = _cpu_seconds()
    try:
        fitted = METHODS[name](sample.x, sample.y, seed)
        moved = np.asarray(fitted.move(sample.x_test))
        if not np.isfinite(moved).all():
            raise ArithmeticError(f"{np.isnan(moved).sum()} NaN of {moved.size} numbers.")
    # Whatever a method raises is its failure, and the study goes on.
    except Exception as failure:
        message = f"{type(failure).__name__}: {failure}".partition("\n")[0]
        return {"failed": message, "cpu_seconds": _cpu_seconds() - before}
    spent = _cpu_seconds() - before
    return {"error": error(sample, moved), "cpu_seconds": spent, "chosen": fitted.chosen}


def _drop_programs() -> None:
    """Let go of compiled programs where the process has many memory maps: Linux allows 65,530."""
    if _MAPS.exists() and len(_MAPS.read_bytes().splitlines()) > _MANY_MAPS:
        jax.clear_caches()


def _cpu_seconds() -> float:
    """Of all threads of this process, and of its children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def _noise(block: Block) -> float:
    """The standard deviation of the measure between two fresh clouds of the target."""
    problem = PROBLEMS[block.problem]
    pairs = (problem.target_twice(block.d, block.seed + turn) for turn in range(_REPEATS))
    return float(np.std([energy_score(*pair) for pair in pairs], ddof=1))


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of the file, none where there is no file; a line torn at its end is cut off."""
    if not path.exists():
        return []
    text = path.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if whole != text:
        path.write_bytes(whole)
    return [json.loads(line) for line in whole.splitlines()]


def cell_of(row: dict[str, Any]) -> Cell:
    """Which cell a row is of."""
    return Cell(*(row[field] for field in Cell._fields))
