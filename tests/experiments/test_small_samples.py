"""The study of small samples: its problems, its file of cells, its summary."""

import json
import time

import numpy as np
import pytest
from PIL import Image

from brenier.experiments import Run
from brenier.experiments.peers import _small_cells as cells
from brenier.experiments.peers import error_time, small_samples
from brenier.experiments.peers._small_figure import errors_figure
from brenier.experiments.peers._small_methods import METHODS, Fitted, seeds_at
from brenier.experiments.peers._small_problems import PROBLEMS
from brenier.experiments.peers._small_summary import markdown, summary

_CHEAP = ("mean shift", "POT linear", "POT EMD")


@pytest.mark.parametrize("name", PROBLEMS)
def test_a_problem_is_drawn(name):
    problem = PROBLEMS[name]
    n, d = problem.sizes[0], problem.dimensions[0]
    sample, again, other = (problem.sample(d, n, seed) for seed in (0, 0, 1))
    assert sample.x.shape == sample.y.shape == (n, d)
    assert sample.x_test.shape == sample.y_test.shape == (problem.fresh, d)
    assert np.array_equal(sample.x, again.x)
    assert not np.array_equal(sample.x, other.x)
    assert problem.shown in problem.dimensions
    if sample.truth is not None:
        # The images of fresh points have the target's law: two samples, four standard errors.
        spread = sample.y_test.std(axis=0) * np.sqrt(2.0 / problem.fresh)
        gap = sample.truth.mean(axis=0) - sample.y_test.mean(axis=0)
        assert (np.abs(gap) < 4.0 * spread).all()


def test_small_samples_are_parts_of_larger_ones():
    small, large = (PROBLEMS["moons"].sample(2, n, 3) for n in (50, 300))
    assert np.array_equal(small.x, large.x[:50])
    assert np.array_equal(small.y_test, large.y_test)


def test_the_known_map_of_ridges_is_the_gradient_of_a_convex_function():
    map = PROBLEMS["smooth"].map
    x, h = np.random.default_rng(0).normal(size=(20, 5)), 1e-5
    steps = h * np.eye(5)[:, None]
    # Central differences of a smooth map: an error of h², and of rounding over h.
    jacobians = np.moveaxis(
        (map((x + steps).reshape(-1, 5)) - map((x - steps).reshape(-1, 5))).reshape(5, 20, 5)
        / (2.0 * h),
        0,
        2,
    )
    assert np.abs(jacobians - np.swapaxes(jacobians, 1, 2)).max() < 1e-8
    assert np.linalg.eigvalsh(jacobians).min() > 0.3 - 1e-8


def test_first_seeds_come_first_and_what_is_done_is_left_out():
    names, methods = ("moons", "wine"), ("mean shift", "POT mapping, linear")
    blocks = cells.blocks_of(names, None, methods, range(20), set())
    first = blocks[: 5 + 1]
    assert {(b.problem, b.n) for b in first} == {
        ("wine", 40), *(("moons", n) for n in (50, 100, 300, 1000, 3000))
    }  # fmt: skip
    assert all(cells.NOISE in block.methods for block in first)
    assert not any(cells.NOISE in block.methods for block in blocks[6:])
    assert sum(b.n == 3000 for b in blocks) == seeds_at(3000)
    assert {b.methods for b in blocks if b.n == 1000 and b.seed > 0} == {("mean shift",)}
    done = {cells.Cell(b.problem, b.d, b.n, m, b.seed) for b in blocks[3:] for m in b.methods}
    assert cells.blocks_of(names, None, methods, range(20), done) == blocks[:3]


@pytest.mark.slow
def test_a_cell_is_measured_and_a_failure_is_a_row(monkeypatch):
    def fails(x, y, seed):
        raise ValueError("too few points\nmore lines")

    nan = Fitted(lambda points: np.full_like(points, np.nan))
    monkeypatch.setitem(METHODS, "fails", fails)
    monkeypatch.setitem(METHODS, "nan", lambda x, y, seed: nan)
    lines = []
    block = cells.Block("wine", 13, 40, 0, ("mean shift", "fails", "nan", cells.NOISE))
    cells.measure(block, time.time() + 600.0, lines.append)
    good, failed, empty, noise = map(json.loads, lines)
    assert cells.cell_of(good) == ("wine", 13, 40, "mean shift", 0)
    assert np.isfinite(good["error"])
    assert good["cpu_seconds"] >= 0.0
    assert failed["failed"] == "ValueError: too few points"
    assert empty["failed"].startswith("ArithmeticError: 247 NaN of 247")
    assert 0.0 < noise["error"] < 1.0
    cells.measure(block, time.time() - 1.0, lines.append)
    assert len(lines) == 4


def test_a_torn_line_is_cut_off(tmp_path):
    file = tmp_path / "cells.jsonl"
    assert cells.read_rows(file) == []
    file.write_text('{"a": 1}\n{"b": 2}\n{"c": ')
    assert cells.read_rows(file) == [{"a": 1}, {"b": 2}]
    assert file.read_text() == '{"a": 1}\n{"b": 2}\n'


def _rows(problem, n, errors):
    """Rows of hand-made errors by method and seed; None is a failure."""
    return [
        {"problem": problem, "d": 2, "n": n, "method": method, "seed": seed}
        | ({"failed": "why"} if error is None else {"error": error})
        | {"cpu_seconds": 0.5 * (seed + 1)}
        for method, own in errors.items()
        for seed, error in enumerate(own)
    ]


def test_the_summary_of_known_errors():
    rows = _rows("smooth", 50, {
        "default": [8.0, 12.0],
        "gaussian alone": [20.0, 30.0],
        "network alone": [4.0, 6.0],
        "POT EMD": [7.0, 10.0],
        "POT Sinkhorn": [None, 13.0],
    })  # fmt: skip
    # Of these the first is known to the noise alone, and equal; the second is beyond it.
    rows += _rows("moons", 100, {
        "default": [0.05], "gaussian alone": [-0.02], "POT EMD": [0.01], cells.NOISE: [0.1],
    })  # fmt: skip
    rows += _rows("moons", 50, {
        "default": [0.4, None], "gaussian alone": [-0.02], cells.NOISE: [0.1],
    })  # fmt: skip
    found = summary(rows)
    smooth, equal, beyond = (
        next(c for c in found["cells"] if (c["problem"], c["n"]) == place)
        for place in (("smooth", 50), ("moons", 100), ("moons", 50))
    )
    default = smooth["methods"]["default"]
    # The deviations are ±2, so the standard error is √8/√2.
    assert default == {"mean": 10.0, "stderr": pytest.approx(2.0), "seeds": 2, "failed": 0}
    assert smooth["methods"]["POT Sinkhorn"]["failed"] == 1
    assert smooth["best_candidate"] == "network alone"
    assert smooth["ratios"]["default"] == 2.0
    # Worse than EMD by 1 and 2: 1.5 with a standard error of 0.5.
    assert (smooth["best_pot"], smooth["flagged"]) == ("POT EMD", True)
    assert equal["ratios"]["default"] == 1.0
    assert not equal["flagged"]
    # The noise, 0.1, is the least that counts; and a default that failed is flagged.
    assert beyond["ratios"]["default"] == pytest.approx(4.0)
    assert beyond["flagged"]
    assert found["flags"] == 2
    assert found["failures"] == 2
    assert found["ratios"]["default"] == {
        "mean": pytest.approx(7.0 / 3.0),
        "worst": pytest.approx(4.0),
        "worst_at": "moons, d = 2, n = 50",
        "cells": 3,
    }
    assert found["ratios"]["best"]["mean"] is None
    assert found["cpu_seconds"]["POT EMD"] == {"50": 0.75, "100": 0.5}
    text = markdown(found)
    assert "| smooth | 2 | 50 | 2 | 10 ± 2 | **8.5** ± 1.5 | 13, 1 failed | 5 (network) |" in text
    assert errors_figure(found["cells"])[1:4] == b"PNG"


def test_a_study_of_nothing_has_an_empty_summary(tmp_path):
    found = small_samples.study(Run(tmp_path), problems=())
    assert (found["left"], found["cells"]) == (0, [])


@pytest.mark.slow
def test_a_stopped_study_goes_on(tmp_path):
    def run(**settings):
        return small_samples.study(
            Run(tmp_path, seeds=1), problems=("smooth",), sizes=(50,), methods=_CHEAP, **settings
        )

    file = tmp_path / "cells.jsonl"
    assert run(hours=-1.0)["left"] == 2 * len(_CHEAP)
    found = run()
    first = file.read_text().splitlines(keepends=True)
    assert (found["left"], len(first)) == (0, 2 * len(_CHEAP))
    assert (tmp_path / "small_samples.md").exists()
    assert (tmp_path / "small_samples.png").read_bytes()[1:4] == b"PNG"
    # A torn cell is measured again, to the same error; the others are not.
    file.write_text("".join(first[:-1]) + first[-1][:20])
    again = run()
    last = file.read_text().splitlines(keepends=True)
    assert last[:-1] == first[:-1]
    assert json.loads(last[-1])["error"] == json.loads(first[-1])["error"]
    assert [c["methods"] for c in again["cells"]] == [c["methods"] for c in found["cells"]]


@pytest.mark.slow
def test_error_against_time_is_measured_and_drawn(tmp_path, monkeypatch):
    pytest.importorskip("ot")
    cheap = {name: error_time._COLOURS[name] for name in ("POT EMD", "POT linear")}
    monkeypatch.setattr(error_time, "_COLOURS", cheap)
    run = Run(out=tmp_path, seeds=1)
    found = error_time.main(run)
    assert found["failed"] == 0
    assert len(found["rows"]) == 2 * 2 * 3
    assert all(row["seeds"] == 1 and row["cpu_seconds"] > 0 for row in found["rows"])
    # The assignment of more points is nearer, and nearer than an affine map, in the plane.
    plane = {(r["method"], r["n"]): r["error"] for r in found["rows"] if r["d"] == 2}
    assert plane["POT EMD", 1000] < plane["POT EMD", 100]
    assert plane["POT EMD", 1000] < plane["POT linear", 1000]
    with Image.open(tmp_path / "error_time.png") as picture:
        assert picture.width > 800
