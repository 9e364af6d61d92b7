"""The public face is typed: a user's program passes mypy with all its rules on, and runs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import brenier

PROGRAM = Path(__file__).with_name("user_program.py")
HOME = Path(brenier.__file__).parent


def _mypy(program: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    arguments = ["--strict", "--follow-imports=silent", "--cache-dir", str(folder / "cache")]
    command = [sys.executable, "-m", "mypy", *arguments, str(program)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_a_users_program_passes_mypy_strict(tmp_path):
    run = _mypy(PROGRAM, tmp_path)
    assert run.returncode == 0, run.stdout
    # The names have types of their own: a wrong use of them does not pass.
    wrong = tmp_path / "wrong.py"
    wrong.write_text(
        "import brenier\n"
        "brenier.MongeMap(random_state=0).fit(1)\n"
        "brenier.audit(len, [[0.0]]).proven\n"
        "brenier.load(1)\n"
    )
    run = _mypy(wrong, tmp_path)
    assert "Missing positional argument" in run.stdout
    assert '"Certificate" has no attribute "proven"' in run.stdout
    assert 'incompatible type "int"' in run.stdout or "No overload variant" in run.stdout


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
