"""What the house forbids and a reader of the imports can see; HOUSE.md."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import brenier

HOME = Path(brenier.__file__).parent
TESTS = Path(__file__).parents[1]
ROOMS = sorted(init.parent.name for init in HOME.glob("*/__init__.py"))
# One more is asked for by a settings object, or by name.
_MOST_POSITIONAL = 8


def _room(path: Path) -> str | None:
    """The room that a file of the library is in, or that a test mirrors."""
    for home in (HOME, TESTS):
        if path.is_relative_to(home):
            first = path.relative_to(home).parts[0]
            return first if first in ROOMS else None
    return None


def _imported(path: Path) -> Iterator[str]:
    """Every module, and every member of one, that a file imports from brenier."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("brenier."))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "brenier":
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _trespasses(path: Path) -> list[str]:
    """What a file imports from behind the door of another room."""
    found = []
    for name in _imported(path):
        room, *inside = name.split(".")[1:]
        if room in ROOMS and room != _room(path) and any(part[0] == "_" for part in inside):
            found.append(name)
    return found


FILES = sorted([*HOME.rglob("*.py"), *TESTS.rglob("*.py")])


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_file_imports_a_private_file_of_another_room(path):
    assert _trespasses(path) == []


def test_a_trespass_is_seen(tmp_path):
    inside = tmp_path / "any.py"
    inside.write_text(
        "import brenier.maps._base\n"
        "from brenier.maps import AffineMap, _base\n"
        "from brenier.numerics._spd import sqrtm_spd\n"
        "from brenier._checks import check_key\n"
    )
    assert _trespasses(inside) == [
        "brenier.maps._base",
        "brenier.maps._base",
        "brenier.numerics._spd.sqrtm_spd",
    ]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_exports_what_its_list_says(room):
    module = __import__(f"brenier.{room}", fromlist=["__all__"])
    assert len(module.__all__) == len(set(module.__all__))
    assert all(getattr(module, name) is not None for name in module.__all__)
    assert module.__doc__


def _functions(path: Path) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            yield node


def _is_command(function: ast.FunctionDef) -> bool:
    """A command of typer: its arguments are options, never given by position."""
    return any("command" in ast.unparse(decorator) for decorator in function.decorator_list)


@pytest.mark.parametrize(
    "path", sorted(HOME.rglob("*.py")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_no_function_takes_more_than_eight_arguments_by_position(path):
    for function in _functions(path):
        arguments = [*function.args.posonlyargs, *function.args.args]
        given = [a for a in arguments if a.arg not in ("self", "cls")]
        assert len(given) <= _MOST_POSITIONAL or _is_command(function), function.name
