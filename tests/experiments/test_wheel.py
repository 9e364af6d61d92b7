"""A wheel brings every experiment, and the numbers expected of it, and works by itself."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import brenier.experiments
from brenier.experiments import experiments

ROOT = Path(__file__).parents[2]
# The quick tests of some rooms, of the command line and of what the core alone does.
QUICK = ("contracts/test_extras.py", "cli/test_fit.py", "io/test_csv.py", "exact/test_gaussian.py")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """A wheel of this working tree."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def files(wheel):
    """The paths in it."""
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_a_wheel_holds_every_experiment(files):
    modules = {f"{module.replace('.', '/')}.py" for module in experiments().values()}
    assert modules <= files
    folder = Path(brenier.experiments.__file__).parent
    expected = {
        f"brenier/experiments/{path.relative_to(folder).as_posix()}"
        for path in folder.glob("*/expected.json")
    }
    assert expected
    assert {file for file in files if file.endswith("expected.json")} == expected


def test_a_wheel_holds_one_package(files):
    tops = {file.split("/")[0] for file in files}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"brenier"}
    assert not {file for file in files if "_experiments" in file or "benchmarks" in file}


def test_a_wheel_says_the_version_and_brings_the_licence(wheel, files):
    assert wheel.name == f"brenier-{brenier.__version__}-py3-none-any.whl"
    assert any(file.endswith(".dist-info/licenses/LICENSE") for file in files)
    assert f"version: {brenier.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## [{brenier.__version__}]\n" in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.slow
def test_a_wheel_works_in_a_clean_environment_without_the_checkout(wheel, tmp_path):
    home, python = tmp_path / "home", tmp_path / "venv" / "bin" / "python"
    shutil.copytree(ROOT / "tests", home / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", home)
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    newest = sys.version_info >= (3, 13)
    lock = ROOT / ("requirements-latest.lock" if newest else "requirements.lock")

    def run(*words):
        done = subprocess.run(words, cwd=home, env=alone, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run(sys.executable, "-m", "venv", str(python.parents[1]))
    run(python, "-m", "pip", "install", "-q", "-c", str(lock), f"{wheel}[test]")
    run(python, "-m", "pip", "check")
    said = run(python, "-c", "import brenier; print(brenier.__version__, brenier.__file__)")
    version, place = said.split()
    assert version == brenier.__version__
    assert Path(place).is_relative_to(tmp_path)
    assert run(python.with_name("brenier"), "--version") == f"brenier {version}\n"
    run(python, "-m", "pytest", *(f"tests/{name}" for name in QUICK))
