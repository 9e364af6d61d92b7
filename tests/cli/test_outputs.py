"""What stands where a command writes, how it is stopped, and what its terminal can show."""

import io
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

import brenier
from brenier.cli import main
from brenier.maps import AffineMap

POINTS = np.random.default_rng(0).normal(size=(30, 2))


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    brenier.save("m.brenier", AffineMap(2.0 * jnp.eye(2), jnp.ones(2)))
    brenier.save("m", AffineMap.identity(2))
    for name in ("a", "b"):
        np.savetxt(f"{name}.csv", POINTS, delimiter=",")
        np.save(f"{name}.npy", POINTS)
    np.savez("c.npz", x=POINTS, tx=POINTS)
    Path("soft.csv").symlink_to("a.csv")
    Path("labels.html").write_text("1\n" * 30)
    Path("pictures").mkdir()
    return tmp_path


# Every command that writes, with an output that stands at an input.
INPUTS = {
    "fit source": "fit a.csv b.csv -o a.csv",
    "fit target": "fit a.csv b.csv -o ./b.csv",
    "fit link": "fit a.csv b.csv -o soft.csv",
    "fit cells": "fit a.h5ad -o a.h5ad",
    "fit figure": "fit a.png b.csv -o n.brenier --figure a.png",
    "fit report": "fit a.html b.csv -o n.brenier --report a.html",
    "transport points": "transport m.brenier a.csv -o a.csv",
    "transport link": "transport m.brenier soft.csv -o a.csv",
    "transport map": "transport m a.csv -o m",
    "transport array": "transport m.brenier c.npz:x -o c.npz:moved",
    "transport cells": "transport m.brenier a.h5ad -o a.h5ad",
    "generate": "generate a.csv -n 5 -o a.csv",
    "generate map": "generate a.csv -n 5 -o n.csv --save-map a.csv",
    "audit source": "audit m.brenier a.html b.csv --report a.html",
    "audit map": "audit m a.csv b.csv --report m",
    "audit pairs": "audit --pairs c.npz:x,tx --report c.npz",
    "audit groups": "audit m.brenier a.csv b.csv --groups labels.html --report labels.html",
    "ddpm train": "ddpm train pictures -o pictures",
    "ddpm train labels": "ddpm train a.npy -o b.npy --label-file b.npy",
    "ddpm encode": "ddpm encode model a.npy -o a.npy",
    "ddpm decode": "ddpm decode model a.npy -o a.npy",
    "ddpm audit": "ddpm audit model a.npy --report a.npy",
    "reproduce": "reproduce krco22-thm31 -o out --data out/result.json",
}
TWICE = {
    "fit": "fit a.csv b.csv -o n --figure n",
    "fit report": "fit a.csv b.csv -o n --report ./n",
    "generate": "generate a.csv -n 5 -o n.csv --save-map ./n.csv",
}
# An ending of another kind than what would be written.
ENDINGS = {
    "fit": ("fit a.csv b.csv -o m.csv", "wants .brenier"),
    "fit npz": ("fit a.csv b.csv -o M.NPZ", "wants .brenier"),
    "fit figure": ("fit a.csv b.csv -o n.brenier --figure a.pdf", "wants .png"),
    "fit report": ("fit a.csv b.csv -o n.brenier --report a.pdf", "wants .html or .htm"),
    "fit cells": ("fit a.h5ad b.h5ad -o m.h5ad", "wants .brenier"),
    "generate": ("generate a.csv -n 5 -o n.html", "wants one of .npy"),
    "generate map": ("generate a.csv -n 5 -o n.csv --save-map m.json", "wants .brenier"),
    "transport": ("transport m.brenier a.csv -o n.brenier", "wants one of .npy"),
    "audit": ("audit m.brenier a.csv b.csv --report a.pdf", "wants .html or .htm"),
    "audit pairs": ("audit --pairs c.npz --report a.json", "wants .html or .htm"),
    "ddpm encode": ("ddpm encode model a.npy -o n.csv", "wants .npy"),
    "ddpm decode": ("ddpm decode model a.npy -o n.jpg", "wants .npy or .png"),
    "ddpm pair": ("ddpm pair model model -o n.npy", "wants .png"),
    "ddpm audit": ("ddpm audit model a.npy --report a.pdf", "wants .html or .htm"),
}
# Every command that writes, in the folder "no".
FOLDERS = [
    "fit a.csv b.csv -o no/m.brenier",
    "fit a.csv b.csv -o n.brenier --figure no/a.png",
    "fit a.csv b.csv -o n.brenier --report no/a.html",
    "fit a.h5ad b.h5ad -o no/m.brenier",
    "transport m.brenier a.csv -o no/n.csv",
    "transport m.brenier a.h5ad -o no/n.h5ad",
    "generate a.csv -n 5 -o no/n.csv",
    "generate a.csv -n 5 -o n.csv --save-map no/m.brenier",
    "audit m.brenier a.csv b.csv --report no/a.html",
    "demo -o no/demo",
    "reproduce krco22-thm31 -o no/out",
    "ddpm train pictures -o no/model",
    "ddpm encode model a.npy -o no/n.npy",
    "ddpm decode model -o no/n.png",
    "ddpm pair model model -o no/n.png",
    "ddpm labels model --labels 1 -o no/n.png",
    "ddpm audit model a.npy --report no/a.html",
    "ddpm demo -o no/demo",
]


def _content():
    return {path: path.read_bytes() if path.is_file() else None for path in Path().rglob("*")}


def _refused(command, capsys):
    """The one line on stderr; nothing was made or changed."""
    before = _content()
    assert main(command.split()) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert _content() == before
    return captured.err


@pytest.mark.parametrize("case", INPUTS)
def test_an_output_that_is_an_input_is_refused_before_any_work(case, home, capsys):
    for name in ("a.h5ad", "a.png", "a.html"):
        Path(name).write_bytes(b"whatever it is")  # which nobody reads
    if case == "reproduce":
        Path("out").mkdir()
        Path("out/result.json").write_text("{}")
    assert "would replace the input" in _refused(INPUTS[case], capsys)


@pytest.mark.parametrize("case", TWICE)
def test_two_outputs_of_one_path_are_refused(case, home, capsys):
    assert "the same path for two outputs" in _refused(TWICE[case], capsys)


@pytest.mark.parametrize("case", ENDINGS)
def test_an_ending_of_another_kind_is_refused_before_any_work(case, home, capsys):
    command, phrase = ENDINGS[case]
    assert phrase in _refused(command, capsys)


@pytest.mark.parametrize("command", FOLDERS)
def test_a_folder_that_cannot_be_written_to_is_found_before_any_work(
    command, home, capsys, monkeypatch
):
    Path("no").mkdir()
    # Root may write anywhere, so what the system would answer is put in its place.
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith("/no"))
    assert "no/" in (said := _refused(command, capsys))
    assert "cannot be written to" in said


def test_model_folders_may_lie_beside_the_pictures_but_not_among_them(home, capsys):
    assert "inside the input" in _refused("ddpm train pictures -o pictures/model", capsys)


def test_what_is_private_stays_private_and_devices_stay_devices(home, capsys):
    Path("n.csv").write_text("old")
    Path("n.csv").chmod(0o600)
    assert main(["transport", "m.brenier", "a.csv", "-o", "n.csv"]) == 0
    assert stat.S_IMODE(os.stat("n.csv").st_mode) == 0o600
    assert main(f"fit a.csv b.csv -o {os.devnull} --effort 0 --json".split()) == 0
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


_SLOW = """
import signal, sys, time
from pathlib import Path
import brenier.io.points._points as points
from brenier.cli import main
def write(handle, *_):
    handle.write(b"half")
    Path("writing").touch()
    time.sleep(60.0)
points.write_csv = write
code = main(["transport", "m.brenier", "a.csv", "-o", "n.csv"])
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
sys.exit(code)
"""


def test_sigterm_while_a_file_is_written_leaves_no_part(home):
    Path("n.csv").write_text("old")
    before = sorted(os.listdir())
    run = subprocess.Popen(
        [sys.executable, "-c", _SLOW], env=_environment(), stderr=subprocess.PIPE, text=True
    )
    for _ in range(600):
        if Path("writing").exists():
            break
        time.sleep(0.1)
    run.terminate()
    _, said = run.communicate(timeout=20.0)
    assert (run.returncode, said) == (143, "brenier: interrupted.\n")
    Path("writing").unlink()
    assert sorted(os.listdir()) == before
    assert Path("n.csv").read_text() == "old"


def test_a_handler_of_the_calling_program_is_left(home, capsys):
    def handler(*_):
        pass

    before = signal.signal(signal.SIGTERM, handler)
    try:
        assert main(["transport", "m.brenier", "a.csv", "-o", "n.csv"]) == 0
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, before)


def _printed(monkeypatch, encoding, command, errors="strict"):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, errors=errors)
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(command) == 0
    assert stream.errors == errors
    stream.flush()
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize(
    ("encoding", "errors"),
    [("cp1252", "strict"), ("ascii", "surrogateescape"), ("koi8-r", "strict"), ("utf-8", "strict")],
)
def test_a_result_is_printed_in_what_the_terminal_can_show(encoding, errors, home, monkeypatch):
    name = "moved-ε-\udcff.csv"  # as a file is called whose name is no UTF-8
    transport = ["transport", "m.brenier", "a.csv", "-o", name]
    assert "moved-" in _printed(monkeypatch, encoding, transport, errors)
    if encoding == "cp1252":  # the others take time, and are printed by the same hand
        fit = ["fit", "a.csv", "b.csv", "-o", "n.brenier", "--effort", "0"]
        assert "transport cost" in _printed(monkeypatch, encoding, fit, errors)
        audit = ["audit", "m.brenier", "a.csv", "b.csv", "--budget", "1"]
        assert "optimal" in _printed(monkeypatch, encoding, audit, errors)
    for command in (["--help"], ["fit", "--help"], ["reproduce"]):
        assert "fit" in _printed(monkeypatch, encoding, command, errors)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_json_loses_no_letter_to_the_terminal(encoding, home, monkeypatch):
    command = ["transport", "m.brenier", "a.csv", "-o", "ε.csv", "--json"]
    for name in ("ε.csv", "ü-\udcff.csv"):
        command[4] = name
        assert json.loads(_printed(monkeypatch, encoding, command))["file"] == name


def _environment():
    source = str(Path(__file__).parents[2] / "src")
    return {**os.environ, "PYTHONPATH": source}
