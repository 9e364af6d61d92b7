"""Every public name is on the page of its room: the site shows what has words of its own.

Read, where ``test_site`` builds the whole site, slowly.
"""

import ast
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
ROOMS = sorted(path.stem for path in (ROOT / "docs" / "rooms").glob("*.md"))


def _file(module: str) -> Path:
    path = SOURCE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _has_words(module: str, name: str) -> bool:
    """Whether the name has a docstring where it is made, however often it is imported."""
    body = ast.parse(_file(module).read_text()).body
    for number, node in enumerate(body):
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return _has_words(node.module or "", alias.name)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            if node.name == name and ast.get_docstring(node):  # of overloads the last has them
                return True
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            made = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(own, ast.Name) and own.id == name for own in made):
                after = body[number + 1] if number + 1 < len(body) else None
                return isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
    return False


@pytest.mark.parametrize("room", ROOMS)
def test_every_public_name_is_on_the_page_of_its_room(room):
    page = (ROOT / "docs" / "rooms" / f"{room}.md").read_text()
    assert f"\n::: brenier.{room}\n" in page
    said = set(re.findall(r"`(\w+)`", page))  # constants without words of their own
    names = importlib.import_module(f"brenier.{room}").__all__
    missing = {
        name
        for name in names
        if not _has_words(f"brenier.{room}", name) and not (name.isupper() and name in said)
    }
    assert not missing, f"docs/rooms/{room}.md lacks {missing}"
