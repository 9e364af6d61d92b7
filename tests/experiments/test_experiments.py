"""The experiments give what their ``expected.json`` says. Minutes long."""

import functools
import json
from pathlib import Path

import pytest

import brenier.experiments
from brenier.cli import main

_FOLDER = Path(brenier.experiments.__file__).parent
_SEEDS = {
    "dlv26/affine": "1",
    "dlv26/fig2": "10",
    "exact/references": "1",
    "audit/calibration": "4",
    "audit/gallery": "1",
    "encoder/references": "2",
    "krco22/thm31": "2",
    "pey24/tessellation": "1",
    "ls22/counterexample": "1",
    "krco22/table1": "2",
    "krco22/fig1": "1",
    "krco22/fig3": "2",
    "deb25/gaussians": "1",
    "deb25/mckean_vlasov": "1",
    "deb25/mirror_examples": "1",
    "deb25/generator": "1",
    "deb25/references": "1",
    "deb25/scaling_limit": "1",
    "krco22/images": "1",
    "single/cell": "1",
    "single/conditions": "1",
    "single/labels": "1",
    "single/time": "1",
    "single/unbalanced": "1",
    "single/weights": "3",
    "w2/benchmark": "1",
}
# Those that read data, which a fresh clone does not have.
_SHARED = Path(__file__).parents[3] / "shared" / "data"
_DATA = {
    "single/cell": (_SHARED / "kang_ifnb_pbmc.h5ad",),
    "single/conditions": (_SHARED / "kang_ifnb_pbmc.h5ad",),
    "single/labels": (_SHARED / "kang_ifnb_pbmc.h5ad",),
    "single/unbalanced": (_SHARED / "kang_ifnb_pbmc.h5ad",),
    "w2/benchmark": (_SHARED / "w2bench_D2.npz", _SHARED / "w2bench_D16.npz"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(_SEEDS))
def test_an_experiment_gives_what_is_expected(name, tmp_path, capsys):
    paper, experiment = name.split("/")
    arguments = ["reproduce", f"{paper}-{experiment}", "--seeds", _SEEDS[name], "--json"]
    for file in _DATA.get(name, ()):
        if not file.exists():
            pytest.skip(f"the data of {name} are not here: {file}")
        arguments += ["--data", str(file)]
    assert main([*arguments, "--out", str(tmp_path)]) == 0
    result = json.loads(capsys.readouterr().out)
    expected = json.loads((_FOLDER / paper / "expected.json").read_text())[experiment]
    outside = {}
    for path, (low, high) in expected.items():
        value = functools.reduce(lambda tree, key: tree[key], path.split("."), result)
        if not low <= value <= high:
            outside[path] = value
    assert outside == {}


def test_every_experiment_with_expectations_is_run():
    listed = {
        f"{file.parent.name}/{name}"
        for file in _FOLDER.glob("*/expected.json")
        for name in json.loads(file.read_text())
    }
    assert listed == set(_SEEDS)
