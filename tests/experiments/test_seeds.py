"""Blocks of seeds: what is kept is read again, and what is missing is computed."""

import subprocess
import sys
import time

import pytest

from brenier.experiments import _seeds
from brenier.numerics import cpu_cores


def _squares(first, last):
    return [k**2 for k in range(first, last)]


def _meet(folder, name, other, tell):
    """Wait until the other block is at work too; the seconds allow for a process that starts."""
    (folder / name).touch()
    tell(f"{name} waits")
    end = time.monotonic() + 60.0
    while not (folder / other).exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    return name


# Processes start for some seconds.
@pytest.mark.slow
def test_a_stopped_run_goes_on(tmp_path):
    blocks = [(0, 2), (2, 4)]
    heard = []
    rows = _seeds.map_blocks(_squares, blocks, heard.append, tmp_path)
    assert rows == [[0, 1], [4, 9]]
    assert sorted(heard) == [0, 1, 2]
    # One block is lost, the other altered: the first is computed, the second read.
    lost, other = (tmp_path / _seeds._file_name(_squares, block) for block in blocks)
    lost.unlink()
    other.write_text("[7, 7]")
    rows = _seeds.map_blocks(_squares, blocks, heard.append, tmp_path)
    assert rows == [[0, 1], [7, 7]]


@pytest.mark.slow
def test_workers_begin_whatever_the_main_program_is():
    """With ``-c`` there is no main module that a worker could import."""
    program = (
        "import math\n"
        "from brenier.experiments import _seeds\n"
        "print(_seeds.map_blocks(math.comb, [(5, 2), (6, 3)], lambda done: None))\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.stdout.strip() == "[10, 20]", run.stderr


@pytest.mark.slow
@pytest.mark.skipif(cpu_cores() < 2, reason="one core, or OMP_NUM_THREADS=1")
def test_blocks_are_at_work_at_once_and_tell(tmp_path):
    told = []
    blocks = [(tmp_path, "one", "two"), (tmp_path, "two", "one")]
    assert _seeds.map_blocks(_meet, blocks, lambda done: None, tell=told.append) == ["one", "two"]
    assert sorted(told) == ["one waits", "two waits"]
