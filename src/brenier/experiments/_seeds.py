"""Many seeds on all cores: one process a core, results kept between runs."""

import functools
import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import brenier
from brenier.experiments._process import begin_worker
from brenier.io import atomic_write
from brenier.numerics import cpu_cores

# Threads would be lighter, but two XLA programs that factorise matrices at the same time can wait
# for each other's pool threads for ever (jaxlib 0.10, CPU). One thread of XLA a process, then; and
# where there is a GPU, no process takes its memory beforehand.
_WORKER = {
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
    "OMP_NUM_THREADS": "1",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}
# Seconds between two looks at what the workers say.
_PATIENCE = 0.5


def map_blocks(
    work: Callable[..., Any],
    blocks: list[tuple],
    tick: Callable[[int], None],
    kept: Path | None = None,
    tell: Callable[[str], None] | None = None,
) -> list[Any]:
    """``[work(*block) for block in blocks]``, over all cores; ``tick`` is told how many are done.

    ``work`` is a module-level function; a block that raises stops the lot with its exception. With
    a folder ``kept``, each result (JSON's own types, then) is written there at once, and a later
    call with the same block, by the same code, reads it: a run that was stopped goes on. With
    ``tell``, ``work`` gets one more argument, a function of a message that ``tell`` is told.
    """
    done: dict[int, Any] = {}
    places: dict[int, Path] = {}
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        places = {i: kept / _file_name(work, block) for i, block in enumerate(blocks)}
        done = {i: json.loads(place.read_text()) for i, place in places.items() if place.exists()}
    pending = [i for i in range(len(blocks)) if i not in done]
    tick(len(done))
    workers = max(1, min(cpu_cores(), len(pending)))
    with _environment(_WORKER), _messages(tell) as (end, hear):
        pool = ProcessPoolExecutor(
            workers, multiprocessing.get_context("spawn"), initializer=begin_worker
        )
        try:
            running = {pool.submit(work, *blocks[i], *end): i for i in pending}
            while running:
                for future in wait(running, _PATIENCE, FIRST_COMPLETED).done:
                    index = running.pop(future)
                    if index in places:
                        done[index] = kept_result(places[index], future.result)
                    else:
                        done[index] = future.result()
                    tick(len(done))
                hear()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
    return [done[i] for i in range(len(blocks))]


def kept_result(place: Path, compute: Callable[[], Any]) -> Any:
    """What ``compute`` gives (JSON's own types), from the file ``place`` where that is there."""
    if not place.exists():
        # A NumPy number is written as the plain one.
        text = json.dumps(compute(), default=lambda number: number.item())
        with atomic_write(place) as handle:
            handle.write(text.encode())
    return json.loads(place.read_text())


@contextmanager
def _messages(
    tell: Callable[[str], None] | None,
) -> Iterator[tuple[tuple[Callable[[str], None], ...], Callable[[], None]]]:
    """Messages of the workers: a function that they call, and one that hands them to ``tell``.

    The first is a tuple of one function, which is ``work``'s last argument; empty without ``tell``.
    """
    if tell is None:
        yield (), lambda: None
        return
    with multiprocessing.get_context("spawn").Manager() as manager:
        queue = manager.Queue()

        def hear() -> None:
            while not queue.empty():
                tell(queue.get())

        yield (queue.put,), hear


def _file_name(work: Callable[..., Any], block: tuple) -> str:
    digest = hashlib.sha256(repr((work.__name__, block, code_digest())).encode()).hexdigest()[:16]
    return f"{work.__module__.rpartition('.')[2]}-{digest}.json"


@functools.cache
def code_digest() -> str:
    """A digest of all code of brenier, the experiments included: other code, other results."""
    files = sorted(Path(brenier.__file__).parent.rglob("*.py"))
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
