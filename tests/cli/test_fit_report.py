"""``brenier fit --report``: what the page says, of which rows, and how it is written."""

import errno
import json
import os
import re

import numpy as np
import pytest

from brenier.cli import main


def _write(path, points):
    np.savetxt(path, points, delimiter=",", header="<height>,weight", comments="")


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    _write("x.csv", random.normal(size=(600, 2)))
    _write("y.csv", random.normal(size=(800, 2)) @ np.diag([4.0, 0.25]) + 5.0)
    return tmp_path


def _fit(capsys, *options):
    command = ["fit", "x.csv", "y.csv", "-o", "m.brenier", "--effort", "quick", "--json", *options]
    assert main(command) == 0
    return json.loads(capsys.readouterr().out)


def _text(page):
    return re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<[^>]*>", "", page, flags=re.DOTALL))


def test_the_page_says_what_was_chosen_how_it_does_and_how_to_load_it(home, capsys):
    result = _fit(capsys, "--report", "fit.html")
    page = (home / "fit.html").read_text(encoding="utf-8")
    text = _text(page)
    assert result["report"] == "fit.html"
    for words in (
        "A map from x.csv to y.csv",
        "without 120 rows of the source and 160 of the target",
        "chance leaves between two samples of the target",
        "What was chosen",
        f"{result['kind']} *",
        "T = brenier.load(&#x27;m.brenier&#x27;)",
        "$ brenier transport m.brenier x.csv -o moved.csv",
    ):
        assert words in text, words
    assert page.count("<svg") == page.count("aria-label=") == 3
    assert "<script" not in page
    assert "<height>" not in page
    assert ">&lt;height&gt;</text>" in page
    assert len(page.encode()) < 1_000_000


def test_rows_held_out_show_that_the_target_is_reached(home, capsys):
    found = _fit(capsys, "--report", "fit.html")["held_out"]
    assert (found["source_points"], found["target_points"]) == (120, 160)
    # Both laws are Gaussian: what is left is chance, and the moments of 480 and 640 rows.
    assert found["energy_distance_after"] <= 3.0 * found["energy_distance_by_chance"]
    assert found["energy_distance_before"] > 20.0 * found["energy_distance_by_chance"]


@pytest.mark.slow
def test_a_report_changes_nothing_of_the_map(home, capsys):
    plain = _fit(capsys)
    written = (home / "m.brenier").read_bytes()
    _fit(capsys, "--report", "fit.html")
    assert (home / "m.brenier").read_bytes() == written
    assert "held_out" not in plain


def test_of_few_rows_none_is_held_out(home, capsys):
    _write("x.csv", np.random.default_rng(1).normal(size=(30, 2)))
    assert _fit(capsys, "--report", "fit.html")["held_out"] is None
    text = _text((home / "fit.html").read_text(encoding="utf-8"))
    assert "too few to hold any out" in text


def test_a_page_that_cannot_be_written_leaves_the_old_one(home, capsys, monkeypatch):
    (home / "fit.html").write_text("the page of yesterday")
    replace = os.replace

    def full(part, target):
        if os.fspath(target).endswith(".html"):
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(part, target)

    monkeypatch.setattr(os, "replace", full)
    command = ["fit", "x.csv", "y.csv", "-o", "m.brenier", "--effort", "quick", "--report"]
    assert main([*command, "fit.html"]) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert (home / "fit.html").read_text() == "the page of yesterday"
    assert (home / "m.brenier").exists()
    assert not list(home.glob(".*.part"))
