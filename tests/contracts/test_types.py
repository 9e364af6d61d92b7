"""The public face is typed: a user's program passes mypy with all its rules on, and runs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import brenier

PROGRAM = Path(__file__).with_name("user_program.py")
MISTAKES = Path(__file__).with_name("user_mistakes.py")
HOME = Path(brenier.__file__).parent


@pytest.mark.slow
def test_a_users_program_passes_mypy_strict_and_wrong_uses_do_not(tmp_path):
    """As a user would, by --strict; ``make lint`` asks the same rules of both files each time."""
    arguments = ["--strict", "--follow-imports=silent", "--cache-dir", str(tmp_path / "cache")]
    command = [sys.executable, "-m", "mypy", *arguments, str(PROGRAM), str(MISTAKES)]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout


def test_the_program_runs():
    exec(compile(PROGRAM.read_text(), str(PROGRAM), "exec"), {"__name__": "user_program"})


def test_the_typed_face_is_the_one_that_is_there():
    """What type checkers read in ``brenier/__init__.py`` against what Python finds."""
    tree = ast.parse((HOME / "__init__.py").read_text())
    typed = {
        (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("brenier")
        for alias in node.names
        if alias.name != "set_up_jax"
    }
    assert {name for _, name in typed} == set(brenier.__all__)
    for module, name in typed:
        found = getattr(brenier, name)
        if module == "brenier":
            assert found.__name__ == f"brenier.{name}"
        else:
            assert found is getattr(sys.modules[module], name)
    assert set(brenier.__all__) | {"__version__"} == set(dir(brenier))
    with pytest.raises(AttributeError, match="module 'brenier' has no attribute 'nothing'"):
        _ = brenier.nothing
