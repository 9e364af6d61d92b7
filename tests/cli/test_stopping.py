"""Ctrl-C and SIGTERM: the end comes soon, in one line, and what was done is kept."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from brenier.cli import main

# Commands that hear nothing for a minute, or lose what they hear.
_PROGRAM = """
import sys
from brenier.cli import main
from brenier.cli._app import app

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
    turn = jax.jit(lambda x: jax.lax.fori_loop(0, 10**10, lambda _, x: x + 1.0, x))
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


def _stopped(words, folder, number=signal.SIGINT):
    """Exit code, seconds and lines of a program that is stopped once it says that it works."""
    run = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, *words],
        cwd=folder,
        env=_environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.stderr is not None
    assert run.stderr.readline() == "started\n"
    time.sleep(0.2)
    asked = time.monotonic()
    run.send_signal(number)
    _, said = run.communicate(timeout=60)
    return run.returncode, time.monotonic() - asked, said


@pytest.mark.parametrize(
    "command", ["compiled", "xla", "finalizers", "stubborn", "importing", "writing"]
)
def test_the_end_comes_soon_whatever_is_going_on(command, tmp_path):
    (tmp_path / "out.bin").write_bytes(b"before")
    number = signal.SIGTERM if command == "xla" else signal.SIGINT
    code, seconds, said = _stopped([command], tmp_path, number)
    assert (code, said) == (128 + number, "brenier: interrupted.\n")
    assert seconds < 10  # two, on a machine that does nothing else; without a watch a minute
    assert [file.name for file in tmp_path.iterdir()] == ["out.bin"]
    assert (tmp_path / "out.bin").read_bytes() == b"before"


def _clouds(folder, n):
    draws = np.random.default_rng(0)
    np.save(folder / "x.npy", draws.normal(size=(n, 2)))
    np.save(folder / "y.npy", np.sinh(draws.normal(size=(n, 2))))


def _fit(*more):
    return [
        sys.executable,
        "-c",
        "import sys; from brenier.cli import entry; sys.exit(entry())",
        "fit",
        "x.npy",
        "y.npy",
        "-o",
        "map.brenier",
        *more,
    ]


def test_an_interrupted_fit_goes_on_to_the_same_bytes(tmp_path):
    _clouds(tmp_path, 600)
    run = subprocess.Popen(
        _fit(), cwd=tmp_path, env=_environment(), stderr=subprocess.PIPE, text=True
    )
    record = tmp_path / "map.brenier.checkpoint" / "kinds.brenier"
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
    subprocess.run(
        _fit("--resume"), cwd=tmp_path, env=_environment(), check=True, capture_output=True
    )
    assert not record.parent.exists()
    resumed = (tmp_path / "map.brenier").read_bytes()
    subprocess.run(_fit(), cwd=tmp_path, env=_environment(), check=True, capture_output=True)
    assert (tmp_path / "map.brenier").read_bytes() == resumed


def test_what_cannot_be_resumed_is_said(tmp_path, monkeypatch, capsys):
    _clouds(tmp_path, 40)
    monkeypatch.chdir(tmp_path)
    words = ["fit", "x.npy", "y.npy", "-o", "map.brenier"]
    assert main([*words, "--resume"]) == 2
    assert "--resume: got no map.brenier.checkpoint" in capsys.readouterr().err


def test_the_traceback_is_shown_on_request_and_no_failure_is_a_traceback(capsys, monkeypatch):
    def broken(*_):
        raise KeyError("a fault of ours")

    monkeypatch.setattr("brenier.experiments.summaries", broken)
    assert main(["reproduce"]) == 1
    assert capsys.readouterr().err == (
        "brenier: KeyError: 'a fault of ours' (--debug shows where).\n"
    )
    assert main(["reproduce", "--debug"]) == 1
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert "in broken" in shown
