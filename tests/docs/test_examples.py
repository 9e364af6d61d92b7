"""Every Python example of the README and of the pages runs as it stands."""

import importlib.util
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
# What a page shows of the output.
SHOWN = re.compile(r"^```text\n(.*?)^```", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"\d[\d,.]*")
# Libraries that brenier does without; a block that imports one stands alone.
OTHERS = re.compile(r"^(?:import|from) (torch|torchcfm|ott|diffusers|moscot)\b", re.MULTILINE)


def _pages() -> dict[str, list[str]]:
    pages = {path: BLOCK.findall(path.read_text()) for path in (ROOT / "docs").rglob("*.md")}
    pages[ROOT / "README.md"] = BLOCK.findall((ROOT / "README.md").read_text())
    return {str(path.relative_to(ROOT)): blocks for path, blocks in pages.items() if blocks}


# Seconds each: networks of images are trained there, fits made of a kind that has tests of its own.
LONG = {"docs/other-maps.md", "docs/rooms/images.md", "docs/conditions.md", "docs/unbalanced.md"}


def _runs() -> Iterator[Any]:
    """What is run in one go: the blocks of a page, but for those that need another library."""
    for page, blocks in _pages().items():
        marks = pytest.mark.slow if page in LONG else ()
        own = [block for block in blocks if not OTHERS.search(block)]
        yield pytest.param(page, own, id=page, marks=marks)
        for number, block in enumerate(block for block in blocks if OTHERS.search(block)):
            yield pytest.param(page, [block], id=f"{page}, another's {number}")


@pytest.mark.parametrize(("page", "blocks"), list(_runs()))
def test_examples_run(page, blocks, tmp_path, monkeypatch, capsys):
    """The blocks of a page run one after another, in an empty folder, as a reader would.

    What the README shows of their output is what they print, but for the digits.
    """
    for library in sorted({name for block in blocks for name in OTHERS.findall(block)}):
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{page}: its example of {library} was not run, which is not installed")
        warnings.simplefilter("default")  # what other libraries warn of is not ours to mend
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "__main__"}
    for number, block in enumerate(blocks):
        exec(compile(block, f"{page}, block {number}", "exec"), namespace)
    if page == "README.md":
        printed = _without_digits(capsys.readouterr().out)
        for shown in SHOWN.findall((ROOT / page).read_text()):
            assert _without_digits(shown) in printed


def _without_digits(text: str) -> str:
    return NUMBER.sub("#", " ".join(text.split()))


FITTED = re.compile(r"\.fit\(([^)]*)\)|brenier fit (\S+ \S+)")
AUDITED = re.compile(r"\baudit\(\s*([^)]*)\)|brenier audit (?!--)\S+ (\S+(?: [^\s#-]\S*)?)")
GIVEN = re.compile(r"[\w.]*\w")


@pytest.mark.parametrize(
    "page", [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"], ids=str
)
def test_no_example_audits_what_it_fitted(page):
    """A map flatters the points that it was fitted on, and those that it was fitted to reach."""
    text = page.read_text()
    fitted, audited = (
        {name for found in kind.findall(text) for given in found for name in GIVEN.findall(given)}
        for kind in (FITTED, AUDITED)
    )
    # X is the source of maps too that were not fitted; one file may hold cells of both sides.
    assert not {"Y", "before.csv", "after.csv"} & fitted & audited
