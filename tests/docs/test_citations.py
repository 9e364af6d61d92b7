"""Whatever a docstring, a comment or a page cites can be followed: works, equations, problems."""

import ast
import functools
import io
import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install 'brenier[docs]'")
pytest.importorskip("pybtex", reason="pybtex is not installed: pip install 'brenier[docs]'")

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs" / "hooks"))

from citations import KEY, Bibliography, citations  # noqa: E402
from equations import EQUATION, PLACE, numbers, place, places  # noqa: E402


def _prose(path: Path) -> str:
    """Docstrings, messages and comments of a file, without examples; a page as it is."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    strings = [
        node.value
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    comments = [
        token.string
        for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type == tokenize.COMMENT
    ]
    return "\n\n".join(
        re.sub(r"^\s*(>>>|\.\.\.) .*$", "", s, flags=re.M) for s in strings + comments
    )


def _files() -> Iterator[Path]:
    for folder, kinds in (("src", ("py", "html")), ("docs", ("md",))):
        for kind in kinds:
            yield from sorted((ROOT / folder).rglob(f"*.{kind}"))
    yield ROOT / "README.md"


@functools.cache
def _all_prose() -> dict[str, str]:
    return {str(path.relative_to(ROOT)): _prose(path) for path in _files()}


def test_every_work_that_is_cited_is_in_the_bibliography():
    missing = {
        f"{name}: {written}"
        for name, text in _all_prose().items()
        for written, key in citations(text)
        if key is None
    }
    assert not missing


def test_every_key_that_is_cited_is_in_the_bibliography():
    """A key stands before a comma, a bracket, an equation's number: "KRCO22 (13)", "(LS22)"."""
    others = {"CD14", "CD16", "TF32", "BF16"}  # kinds of cells, and of numbers
    cited = {
        match["key"]
        for text in _all_prose().values()
        for match in re.finditer(KEY, text)
        if match["key"].upper()[:2] == match["key"][:2] or match["key"] in {"Deb25", "Pey24"}
    }
    assert cited - others <= Bibliography.read().keys
    assert {"DLV26", "LS22", "Pey24", "KRCO22", "Deb25"} <= cited


def test_every_work_in_the_bibliography_is_cited():
    cited = {key for text in _all_prose().values() for _, key in citations(text)}
    assert Bibliography.read().keys == cited


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("Amos (2023)", "amos2023"),
        ("Amos, Xu, Kolter (2017)", "amos2017"),
        ("Dhariwal & Nichol (2021)", "dhariwal2021"),
        ("Nichol & Dhariwal 2021", "nichol2021"),
        ("SOAP, Vyas et al., 2024", "vyas2024"),
        ("Hoffman and\n    Gelman 2014", "hoffman2014"),
        ("Székely & Rizzo (2013)", "szekely2013"),
        ("Nobody (2023)", None),
        ("Amos & Nobody (2023)", None),
    ],
)
def test_a_citation_leads_to_its_work(written, key):
    assert [found for _, found in citations(f"See {written}, too.")] == [key]


def test_every_equation_that_is_cited_is_on_a_theory_page():
    cited = {
        (name, match["number"])
        for name, text in _all_prose().items()
        for match in re.finditer(rf"Theory\s+{EQUATION}", text)
    }
    assert len(cited) > 60
    assert not {(name, number) for name, number in cited if number not in numbers()}


def test_every_place_of_the_theory_that_is_cited_is_there():
    cited = {
        (name, place(match))
        for name, text in _all_prose().items()
        for match in re.finditer(PLACE, text)
    }
    assert cited
    assert not {(name, where) for name, where in cited if where not in places()}


def test_no_sheet_is_cited_that_is_not_shipped():
    assert not [name for name, text in _all_prose().items() if "MATH_" in text]


def test_equations_are_numbered_once_each():
    pages = [path.read_text() for path in (ROOT / "docs" / "theory").glob("*.md")]
    tags = [tag for page in pages for tag in re.findall(r"\\tag\{(.*?)\}", page)]
    assert len(tags) == len(set(tags)) == len(numbers())
