"""Many seeds on all cores: one process a core, blocks of seeds vmapped in each."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from typing import Any

from brenier.cli import register_experiments

# Threads would be lighter, but two XLA programs that factorise matrices at the same time can wait
# for each other's pool threads for ever (jaxlib 0.10, CPU). One thread of XLA a process, then.
_ONE_THREAD = {"XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false", "OMP_NUM_THREADS": "1"}


def map_blocks(
    work: Callable[..., Any],
    blocks: list[tuple],
    tick: Callable[[int], None],
) -> list[Any]:
    """``[work(*block) for block in blocks]``, over all cores; ``tick`` is told how many are done.

    ``work`` is a module-level function; a block that raises stops the lot with its exception.
    """
    cores = os.cpu_count() or 1
    with (
        _environment(_ONE_THREAD),
        ProcessPoolExecutor(
            min(cores, len(blocks)),
            mp_context=multiprocessing.get_context("spawn"),
            initializer=register_experiments,
        ) as pool,
    ):
        futures = [pool.submit(work, *block) for block in blocks]
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                future.result()
                tick(done)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [future.result() for future in futures]


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
