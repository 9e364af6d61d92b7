"""Tutorials run when the site is built; what they print and draw is their page."""

import doctest
import re
import sys
from pathlib import Path

import pytest

pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install 'brenier[docs]'")
pytest.importorskip(
    "matplotlib", reason="matplotlib is not installed: pip install 'brenier[plots]'"
)

from mkdocs.exceptions import PluginError

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs" / "hooks"))

import run_tutorial  # noqa: E402
import tutorial_pages  # noqa: E402

SCRIPTS = sorted((ROOT / "docs" / "tutorials").glob("*.py"))
SCRIPT = """# %% [markdown]
# # A title
#
# Words.

# %%
import matplotlib.pyplot as plt

print(6 * 7)

# %% alt="A rising line."
plt.subplots(figsize=(2, 1))[1].plot([0, 1])
"""


def _script(folder: Path, text: str) -> Path:
    path = folder / "small.py"
    path.write_text(text)
    return path


def test_a_page_is_what_a_script_prints_and_draws(tmp_path):
    folder = tutorial_pages.finished(_script(tmp_path, SCRIPT), tmp_path / "kept")
    page = (folder / "page.md").read_text()
    assert page.startswith("# A title\n\nWords.\n\n```python\nimport matplotlib")
    assert '```text title="Printed"\n42\n```' in page
    assert "![A rising line.](small-3.png)" in page
    assert (folder / "small-3.png").read_bytes()[1:4] == b"PNG"


def test_a_second_build_runs_nothing_and_a_changed_script_runs_again(tmp_path):
    script, kept = _script(tmp_path, SCRIPT), tmp_path / "kept"
    page = tutorial_pages.finished(script, kept) / "page.md"
    page.write_text("as it was")
    assert (tutorial_pages.finished(script, kept) / "page.md").read_text() == "as it was"
    script.write_text(SCRIPT.replace("6 * 7", "6 * 8"))
    assert "48" in (tutorial_pages.finished(script, kept) / "page.md").read_text()


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("# %%\n1 / 0\n", "line 13: ZeroDivisionError: division by zero"),
        ("# %%\nplt.figure()\n", "a figure without words"),
        pytest.param("# %%\nx = (\n", "line 13", marks=pytest.mark.slow),
        pytest.param("# %%\nraise SystemExit(3)\n", "small.py", marks=pytest.mark.slow),
    ],
)
def test_a_tutorial_that_fails_stops_the_build_with_its_name(cell, told, tmp_path):
    script = _script(tmp_path, SCRIPT.partition("# %% alt")[0] + "# %%\n" + cell)
    with pytest.raises(PluginError, match=r"tutorial small\.py") as failure:
        tutorial_pages.finished(script, tmp_path / "kept")
    assert told in str(failure.value)
    with pytest.raises(PluginError):  # and again: what failed is not kept
        tutorial_pages.finished(script, tmp_path / "kept")


def test_an_animation_moves_and_has_a_still(tmp_path):
    drawn = """# %% alt="A dot."
import matplotlib.pyplot as plt
from matplotlib.animation import FuncAnimation

figure, axes = plt.subplots(figsize=(1, 1))
(dot,) = axes.plot([0], [0], "o")
FuncAnimation(figure, lambda i: dot.set_data([i], [0]), frames=2)
"""
    page = run_tutorial.page(_script(tmp_path, drawn), tmp_path)
    assert '<img alt="A dot." src="small-1.gif">' in page
    assert "prefers-reduced-motion" in page
    assert (tmp_path / "small-1.gif").read_bytes()[:3] == b"GIF"
    assert (tmp_path / "small-1.png").exists()


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_tutorial_tells_a_story(script):
    """A question first, what can go wrong, where to go on; pictures have words."""
    cells = run_tutorial.cells(script.read_text())
    words = "\n".join(cell.body for cell in cells if cell.text)
    assert words.startswith("# ")
    assert "**The question.**" in words
    assert "## What can go wrong" in words
    assert "## Where to go on" in words
    assert any(cell.alt for cell in cells)
    listed = (ROOT / "docs" / "tutorials" / "index.md").read_text()
    assert f"({script.stem}.md)" in listed


def test_all_seven_are_in_the_menu():
    menu = (ROOT / "mkdocs.yml").read_text()
    assert {script.stem for script in SCRIPTS} == set(re.findall(r"tutorials/(\w+)\.md", menu)) - {
        "index"
    }


def test_examples_of_the_runner_hold():
    found = doctest.testmod(run_tutorial)
    assert found.attempted > 0
    assert found.failed == 0
