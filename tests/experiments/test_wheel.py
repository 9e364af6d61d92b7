"""A wheel brings every experiment, and the numbers expected of it."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import brenier.experiments
from brenier.experiments import experiments

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The paths in a wheel of this working tree."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
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
