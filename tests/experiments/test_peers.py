"""Comparisons with other libraries that are not installed; the parts for a GPU, on a CPU."""

import json
import time

import numpy as np
import pytest

from brenier.cli import main
from brenier.experiments import _ott
from brenier.experiments.peers import gpu
from brenier.experiments.peers._gpu_digits import marginal_error
from brenier.experiments.peers._gpu_parts import Task


@pytest.mark.parametrize("name", ["peers-grid-sinkhorn", "peers-sample-sinkhorn"])
def test_a_comparison_without_its_peer_is_told_in_one_line(name, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(_ott, "ott_version", lambda: None)
    assert main(["reproduce", name, "--out", str(tmp_path)]) == 1
    message = capsys.readouterr().err
    assert message == "brenier: ott-jax is not installed (the extra bench brings it).\n"


def _told(parts, within=60.0):
    lines = []
    return gpu.run_parts(parts, lines.append, within), [json.loads(line) for line in lines]


@pytest.mark.slow
def test_a_part_that_hangs_or_fails_is_named_and_the_next_one_runs():
    row = 'print(\'{"part": "%s", "a": 1}\', flush=True); '
    # It begins a process that would hold its output open.
    hang = "import os, time; os.fork(); time.sleep(60)"
    parts = {
        "hangs": gpu.Part(("-c", row % "hangs" + hang), 2.0),
        "fails": gpu.Part(("-c", row % "fails" + "raise ValueError('no device')"), 30.0),
        "dies": gpu.Part(("-c", "import os; os._exit(9)"), 30.0),
        "works": gpu.Part(("-c", row % "works"), 30.0),
    }
    started = time.perf_counter()
    found, lines = _told(parts)
    assert time.perf_counter() - started < 30.0
    assert found["hangs"]["failed"] == "not done after 2 s, killed"
    assert found["fails"]["failed"] == "ValueError: no device"
    assert found["dies"]["failed"] == "exit code 9"
    assert "failed" not in found["works"]
    assert [len(found[name]["rows"]) for name in parts] == [1, 1, 0, 1]
    # Each row as it comes, then what became of the part.
    assert [line["part"] for line in lines] == [
        "hangs", "hangs", "fails", "fails", "dies", "works", "works",
    ]  # fmt: skip


@pytest.mark.slow
def test_a_part_for_which_no_seconds_are_left_is_named():
    sleep = ("-c", "import time; time.sleep(30)")
    found, _ = _told({"first": gpu.Part(sleep, 60.0), "second": gpu.Part(sleep, 60.0)}, 1.0)
    assert found["first"]["failed"] == "not done after 1 s, killed"
    assert found["second"]["failed"] == "no seconds left"


@pytest.mark.slow
def test_two_parts_small_on_any_device():
    parts = gpu._parts(["sinkhorn", "audit"], Task(small=True))
    found, lines = _told(parts, 300.0)
    assert [part.get("failed") for part in found.values()] == [None, None]
    device, *rows = found["sinkhorn"]["rows"]
    assert device["device"]
    assert device["jax"]
    assert len(rows) == 4
    for row in rows:
        assert row["converged"]
        # What float32 says of its error is what it is.
        assert row["error_said"] == pytest.approx(row["error_float64"], rel=1e-3)
        assert row["error_float64"] < 1.01e-3
    assert found["audit"]["rows"][1]["optimality"] == "optimal"
    assert len(lines) == 5 + 2 + 2


def test_the_marginal_error_of_a_plan_that_is_known():
    x = np.zeros((4, 2), np.float32)
    f, g = np.log([2.0, 1.0, 1.0, 1.0]), np.zeros(4)
    # π = e^f / 16: rows of 1/2, 1/4, 1/4, 1/4; columns of 5/16.
    assert float(marginal_error(x, x, f, g, 1.0)) == pytest.approx(0.25 + 4 * (5 / 16 - 1 / 4))


def test_a_part_that_there_is_not(capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["gpu", "sinkhorns"])
    with pytest.raises(SystemExit) as end:
        gpu.command()
    assert end.value.code == 2
    assert "PART: got 'sinkhorns'; wants some of fit-d64, fit-d16" in capsys.readouterr().err
