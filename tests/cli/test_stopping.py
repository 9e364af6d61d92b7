"""Ctrl-C and SIGTERM: the end comes soon, in one line, and what was done is kept."""

import errno
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from brenier.cli import _fit, main

# A shell that starts a job behind itself has it ignore Ctrl-C, and so its children.
_HEARING = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
# Commands that hear nothing for a minute, or lose what they hear.
_PROGRAM = """
import sys
from brenier.cli import _fit, main
from brenier.cli._questions import app

def started():
    print("started", file=sys.stderr, flush=True)

@app.command()
def compiled():
    import hashlib
    started()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)

@app.command()
def xla():
    import jax
    turn = jax.jit(lambda x: jax.lax.while_loop(lambda x: x > -1.0, lambda x: x + 1.0, x))
    started()
    turn(0.0).block_until_ready()

@app.command()
def finalizers():
    class Deaf:
        def __del__(self):
            sum(range(200_000))  # what is raised in here is lost
    started()
    while True:
        Deaf()

@app.command()
def stubborn():
    started()
    while True:
        try:
            sum(range(1000))
        except KeyboardInterrupt:
            pass

@app.command()
def importing():
    import importlib, pathlib, sys, tempfile
    folder = pathlib.Path(tempfile.mkdtemp())
    (folder / "slow_module.py").write_text("import time\\ntime.sleep(60)\\n")
    sys.path.insert(0, str(folder))
    started()
    importlib.import_module("slow_module")

@app.command()
def writing():
    import hashlib
    from brenier.io import atomic_write
    with atomic_write("out.bin") as handle:
        handle.write(b"half")
        handle.flush()
        started()
        hashlib.pbkdf2_hmac("sha256", b"", b"", 10**9)

sys.exit(main(sys.argv[1:]))
"""


def _environment():
    return {**os.environ, "JAX_PLATFORMS": "cpu"}


@contextmanager
def _running(program, words, folder):
    """A process that is gone after the block, however that ends."""
    run = subprocess.Popen(
        [sys.executable, "-c", _HEARING + program, *words],
        cwd=folder,
        env=_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield run
    finally:
        run.kill()
        run.communicate()


@pytest.mark.daily("xla")
@pytest.mark.parametrize(
    "command", ["xla", "writing", "compiled", "finalizers", "stubborn", "importing"]
)
def test_the_end_comes_soon_whatever_is_going_on(command, tmp_path):
    (tmp_path / "out.bin").write_bytes(b"before")
    number = signal.SIGTERM if command == "xla" else signal.SIGINT
    with _running(_PROGRAM, [command], tmp_path) as run:
        assert run.stderr.readline() == "started\n"
        time.sleep(0.2)
        asked = time.monotonic()
        run.send_signal(number)
        _, said = run.communicate(timeout=60)
    assert (run.returncode, said) == (128 + number, "brenier: interrupted.\n")
    # Two seconds, on a machine that does nothing else; without a watch a minute.
    assert time.monotonic() - asked < 30
    assert [file.name for file in tmp_path.iterdir()] == ["out.bin"]
    assert (tmp_path / "out.bin").read_bytes() == b"before"


def _clouds(folder, n):
    draws = np.random.default_rng(0)
    np.save(folder / "x.npy", draws.normal(size=(n, 2)))
    np.save(folder / "y.npy", np.sinh(draws.normal(size=(n, 2))))


_COMMAND = "import sys; from brenier.cli import entry; sys.exit(entry())"
_FIT = ["fit", "x.npy", "y.npy", "-o", "map.brenier", "--effort", "quick"]


@pytest.mark.slow
def test_an_interrupted_fit_goes_on_to_the_same_bytes(tmp_path):
    _clouds(tmp_path, 300)
    record = tmp_path / "map.brenier.checkpoint" / "kinds.brenier"
    with _running(_COMMAND, _FIT, tmp_path) as run:
        while not record.exists() and run.poll() is None:
            time.sleep(0.01)
        run.send_signal(signal.SIGINT)
        _, said = run.communicate(timeout=60)
    assert run.returncode == 130
    assert said == (
        "brenier: interrupted. What was tried is kept in map.brenier.checkpoint: the same command "
        "with --resume goes on from there.\n"
    )
    assert not (tmp_path / "map.brenier").exists()
    written = []
    for words in ([*_FIT, "--resume"], _FIT):
        with _running(_COMMAND, words, tmp_path) as run:
            run.communicate(timeout=300)
        assert run.returncode == 0
        assert not record.parent.exists()
        written.append((tmp_path / "map.brenier").read_bytes())
    assert written[0] == written[1]


def test_a_map_that_cannot_be_written_leaves_what_was_tried(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    _clouds(tmp_path, 60)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(_fit, "save", full)
        assert main([*_FIT, "--effort", "quick"]) == 1
    assert not Path("map.brenier").exists()
    capsys.readouterr()
    assert main([*_FIT, "--effort", "quick", "--resume"]) == 0
    assert Path("map.brenier").exists()
    assert not Path("map.brenier.checkpoint").exists()


def test_what_cannot_be_resumed_is_said(tmp_path, monkeypatch, capsys):
    _clouds(tmp_path, 40)
    monkeypatch.chdir(tmp_path)
    assert main([*_FIT, "--resume"]) == 2
    assert "--resume: got no map.brenier.checkpoint" in capsys.readouterr().err


def test_the_traceback_is_shown_on_request_and_no_failure_is_a_traceback(capsys, monkeypatch):
    def broken(*_):
        raise KeyError("a fault of ours")

    monkeypatch.setattr("brenier.cli._reproduce.summaries", broken)
    assert main(["reproduce"]) == 1
    assert capsys.readouterr().err == (
        "brenier: KeyError: 'a fault of ours' (--debug shows where).\n"
    )
    assert main(["reproduce", "--debug"]) == 1
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert "in broken" in shown
