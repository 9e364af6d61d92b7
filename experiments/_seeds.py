"""Many seeds on all cores: one process a core, blocks of seeds vmapped in each."""

import functools
import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import brenier
from brenier.cli import begin_worker
from brenier.io import atomic_write

# Threads would be lighter, but two XLA programs that factorise matrices at the same time can wait
# for each other's pool threads for ever (jaxlib 0.10, CPU). One thread of XLA a process, then.
_ONE_THREAD = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false", "OMP_NUM_THREADS": "1"}


def map_blocks(
    work: Callable[..., Any],
    blocks: list[tuple],
    tick: Callable[[int], None],
    kept: Path | None = None,
) -> list[Any]:
    """``[work(*block) for block in blocks]``, over all cores; ``tick`` is told how many are done.

    ``work`` is a module-level function; a block that raises stops the lot with its exception. With
    a folder ``kept``, each result (JSON's own types, then) is written there at once, and a later
    call with the same block, by the same code, reads it: a run that was stopped goes on.
    """
    done: dict[int, Any] = {}
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        places = [kept / _file_name(work, block) for block in blocks]
        there = [i for i, place in enumerate(places) if place.exists()]
        done = {i: json.loads(places[i].read_text()) for i in there}
    pending = [i for i in range(len(blocks)) if i not in done]
    tick(len(done))
    with (
        _environment(_ONE_THREAD),
        ProcessPoolExecutor(
            max(1, min(os.cpu_count() or 1, len(pending))),
            mp_context=multiprocessing.get_context("spawn"),
            initializer=begin_worker,
        ) as pool,
    ):
        futures = {pool.submit(work, *blocks[i]): i for i in pending}
        try:
            for future in as_completed(futures):
                index = futures[future]
                done[index] = future.result()
                if kept is not None:
                    with atomic_write(places[index]) as handle:
                        # A NumPy number is written as the plain one.
                        text = json.dumps(done[index], default=lambda number: number.item())
                        handle.write(text.encode())
                tick(len(done))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [done[i] for i in range(len(blocks))]


def _file_name(work: Callable[..., Any], block: tuple) -> str:
    digest = hashlib.sha256(repr((work.__name__, block, code_digest())).encode()).hexdigest()[:16]
    return f"{work.__module__.rpartition('.')[2]}-{digest}.json"


@functools.cache
def code_digest() -> str:
    """A digest of brenier and of the experiments: other code, other results."""
    folders = (Path(brenier.__file__).parent, Path(__file__).parent)
    files = sorted(path for folder in folders for path in folder.rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


@contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
