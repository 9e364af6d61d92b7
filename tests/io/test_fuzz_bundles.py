"""Maps, models, checkpoints, cells, folders of diffusers and certificates, changed at random.

A reader gives what was written, or something that works, or says no in one line that names the
file. Bytes are changed, and the JSON inside with its checksum made to match, so that the checks
behind the checksum are reached.
"""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

import brenier
from brenier import Certificate, Checkpoint, audit_pairs
from brenier.images import ImageModel, UNet, UNet2D, UNet2DSettings, UNetSettings
from brenier.io import load_diffusers, load_model, save_model
from brenier.io.modules._container import read_container, write_container
from brenier.maps import AffineMap, Composition, EntropicMap, GradientMap
from brenier.measures import Gaussian
from brenier.potentials import ICNN, Quadratic
from brenier.velocities import FlowMap, LinearSchedule, ProbabilityFlow

KEY = jax.random.key(0)
MAPS = (
    AffineMap(2.0 * jnp.eye(2), jnp.ones(2)),
    GradientMap(ICNN.identity(KEY, 2, (3,))),
    Composition((AffineMap.identity(2), GradientMap(Quadratic.identity(2)))),
    EntropicMap(np.eye(2), np.zeros(2), 0.5),
    FlowMap(ProbabilityFlow(Gaussian.standard(2), LinearSchedule()), 0.1, 0.9),
)
SETTINGS = UNetSettings((8, 8, 1), width=2, multipliers=(1,), classes=2)
MODEL = ImageModel(UNet.random(KEY, SETTINGS), (8, 8, 1), "v", LinearSchedule(), classes=2)
STATE = {"step": jnp.asarray(3.0), "key": jax.random.key(1), "seen": np.arange(3), "best": 0.5}
TEMPLATE = {"step": jnp.zeros(()), "key": KEY, "seen": np.zeros(3, int), "best": 0.0}

# Mutations of each kind, by default and in the long run.
few_and_many = pytest.mark.parametrize(
    "count", [60, pytest.param(10_000, marks=pytest.mark.slow)], ids=["few", "many"]
)
few_and_some = pytest.mark.parametrize(
    "count", [30, pytest.param(2_000, marks=pytest.mark.slow)], ids=["few", "some"]
)


def _counted(format, seen):
    print(f"{format}: {seen[True]} loaded, {seen[False]} refused")
    assert seen[False] > seen[True] / 10


@few_and_many
def test_the_bytes_of_maps(count, tmp_path, mutations, read_or_refused):
    seen, path = Counter(), tmp_path / "m.brenier"
    brenier.save(path, MAPS[0], names=["a", "b"], about={"by": "me"})
    for data in mutations(path.read_bytes(), 0, count):
        path.write_bytes(data)
        found = read_or_refused(lambda: brenier.load(path), path)
        seen[found is not None] += 1
        # What the checksum does not cover says nothing: times, and flags of the zip.
        assert found is None or eqx.tree_equal(found, MAPS[0])
    _counted("maps, bytes", seen)


@few_and_many
def test_maps_behind_their_checksum(count, tmp_path, json_mutations, read_or_refused):
    seen, path = Counter(), tmp_path / "m.brenier"
    for number, map in enumerate(MAPS):
        brenier.save(path, map, names=["a", "b"])
        manifest, arrays = read_container(path, "map")
        for changed in json_mutations(manifest, number, count // len(MAPS)):
            found = _read_again(path, "map", changed, arrays, brenier.load, read_or_refused)
            seen[found is not None] += 1
            if isinstance(found, AffineMap):
                assert found(jnp.zeros(found.dimension)).shape == (found.dimension,)
    _counted("maps, inside", seen)


def _read_again(path, kind, manifest, arrays, read, read_or_refused):
    """What the reader says of another manifest over these arrays, the checksum made to match."""
    try:
        write_container(path, kind, manifest, arrays)
    except ValueError:  # NaN is no JSON
        return None
    return read_or_refused(lambda: read(path), path)


@few_and_many
def test_the_bytes_of_checkpoints(count, tmp_path, mutations, read_or_refused):
    seen, path = Counter(), tmp_path / "run"
    checkpoint = Checkpoint(path)
    checkpoint.save(STATE)
    for data in mutations(path.read_bytes(), 0, count):
        path.write_bytes(data)
        found = read_or_refused(lambda: checkpoint.load(TEMPLATE), path)
        seen[found is not None] += 1
        assert found is None or eqx.tree_equal(found, STATE)
    _counted("checkpoints, bytes", seen)


@few_and_many
def test_checkpoints_behind_their_checksum(count, tmp_path, json_mutations, read_or_refused):
    seen, path = Counter(), tmp_path / "run"
    checkpoint = Checkpoint(path)
    checkpoint.save(STATE)
    manifest, arrays = read_container(path, "checkpoint")

    def read(path):
        return checkpoint.load(TEMPLATE)

    for changed in json_mutations(manifest, 0, count):
        found = _read_again(path, "checkpoint", changed, arrays, read, read_or_refused)
        seen[found is not None] += 1
        assert found is None or eqx.tree_equal(found, STATE)
    _counted("checkpoints, inside", seen)


def _model_seen(folder, read_or_refused):
    found = read_or_refused(lambda: load_model(folder), folder)
    if found is not None:
        weights = jax.tree.leaves(eqx.filter(found.network, eqx.is_array))
        assert all(bool(jnp.isfinite(leaf).all()) for leaf in weights)
        assert found.network.settings.shape == found.shape
    return found


@few_and_some
def test_the_bytes_of_a_model(count, tmp_path, mutations, read_or_refused):
    seen = Counter()
    save_model(tmp_path, MODEL)
    for name in ("config.json", "weights.safetensors"):
        whole = (tmp_path / name).read_bytes()
        for data in mutations(whole, 0, count // 2):
            (tmp_path / name).write_bytes(data)
            found = _model_seen(tmp_path, read_or_refused)
            seen[found is not None] += 1
            assert found is None or eqx.tree_equal(found, MODEL)
        (tmp_path / name).write_bytes(whole)
    _counted("models, bytes", seen)


@few_and_some
def test_a_model_behind_its_checksum(count, tmp_path, mutations, json_mutations, read_or_refused):
    """A folder without one is as those of earlier versions."""
    seen = Counter()
    save_model(tmp_path, MODEL)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["sha256"]
    for changed in json_mutations(config, 0, count // 2):
        (tmp_path / "config.json").write_text(json.dumps(changed))
        seen[_model_seen(tmp_path, read_or_refused) is not None] += 1
    (tmp_path / "config.json").write_text(json.dumps(config))
    for data in mutations((tmp_path / "weights.safetensors").read_bytes(), 1, count // 2):
        (tmp_path / "weights.safetensors").write_bytes(data)
        seen[_model_seen(tmp_path, read_or_refused) is not None] += 1
    _counted("models, inside", seen)


@few_and_many
def test_folders_of_diffusers(count, tmp_path, mutations, json_mutations, read_or_refused):
    settings = UNet2DSettings(
        (4, 4, 1), block_out_channels=(4,), norm_num_groups=2, add_attention=False
    )
    network = {
        "_class_name": "UNet2DModel",
        "sample_size": [4, 4],
        "in_channels": 1,
        "out_channels": 1,
        "layers_per_block": 1,
        "block_out_channels": [4],
        "down_block_types": ["DownBlock2D"],
        "up_block_types": ["UpBlock2D"],
        "norm_num_groups": 2,
        "add_attention": False,
        "num_class_embeds": None,
    }
    plan = {
        "_class_name": "DDIMScheduler",
        "beta_schedule": "linear",
        "num_train_timesteps": 20,
        "beta_start": 1e-2,
        "beta_end": 0.2,
        "prediction_type": "epsilon",
        "steps_offset": 0,
    }
    tensors = {}
    for name, weight in UNet2D.random(jax.random.key(0), settings).weights.items():
        axes = {4: (3, 2, 0, 1), 2: (1, 0)}.get(weight.ndim)
        array = np.asarray(weight)
        tensors[name] = np.ascontiguousarray(array.transpose(axes) if axes else array)
    save_file(tensors, tmp_path / "diffusion_pytorch_model.safetensors")
    files, seen = {"config.json": network, "scheduler_config.json": plan}, Counter()
    for name, plain in files.items():
        (tmp_path / name).write_text(json.dumps(plain))
    for name, plain in files.items():
        texts = [json.dumps(changed).encode() for changed in json_mutations(plain, 0, count // 4)]
        texts += mutations(json.dumps(plain).encode(), 0, count // 4)
        for text in texts:
            (tmp_path / name).write_bytes(text)
            seen[read_or_refused(lambda: load_diffusers(tmp_path), tmp_path) is not None] += 1
        (tmp_path / name).write_text(json.dumps(plain))
    _counted("folders of diffusers", seen)


@few_and_many
def test_certificates(count, mutations, json_mutations):
    x = np.random.default_rng(0).normal(size=(300, 2))
    text = audit_pairs(x, -x, 1.0 - x[::-1], budget=0.1).to_json()
    seen = Counter()
    texts = [json.dumps(changed) for changed in json_mutations(json.loads(text), 0, count // 2)]
    changes = mutations(text.encode(), 0, count - count // 2)
    texts += [data.decode("utf-8", "replace") for data in changes]
    for changed in texts:
        try:
            found = Certificate.from_json(changed)
        except ValueError as error:
            said = str(error)
            assert said.startswith(("text", "certificate")), said
            assert "\n" not in said
            assert len(said) < 2000
            seen[False] += 1
        else:
            assert isinstance(str(found), str)
            json.loads(found.to_json())
            seen[True] += 1
    _counted("certificates", seen)


_CHILD = """
import importlib.util, sys, warnings
from pathlib import Path
spec = importlib.util.spec_from_file_location("conftest", sys.argv[1])
tools = importlib.util.module_from_spec(spec); spec.loader.exec_module(tools)
from brenier.io import cells_of, read_cells
warnings.simplefilter("ignore")
whole, path = Path(sys.argv[2]).read_bytes(), Path(sys.argv[3])
first, count = int(sys.argv[4]), int(sys.argv[5])
for number, data in enumerate(tools._mutations(whole, 0, count, head=len(whole))):
    if number < first:
        continue
    path.write_bytes(data)
    print(number, flush=True)
    def read():
        cells = read_cells(path)
        return cells_of(cells, str(path)), cells_of(cells, str(path), layer="l")
    print(tools._read_or_refused(read, path) is not None, flush=True)
"""


@pytest.mark.parametrize(
    "count", [100, pytest.param(10_000, marks=pytest.mark.slow)], ids=["few", "many"]
)
def test_cells(count, tmp_path):
    """In a process of its own: where HDF5 dies of a file, that is seen."""
    anndata = pytest.importorskip("anndata")
    from scipy import sparse

    matrix = sparse.random(20, 5, 0.3, "csr", rng=np.random.default_rng(0))
    cells = anndata.AnnData(matrix, layers={"l": matrix.toarray()})
    cells.obs["kind"] = ["a", "b"] * 10
    whole, path = tmp_path / "whole.h5ad", tmp_path / "a.h5ad"
    cells.write_h5ad(whole, compression="gzip")
    tools = Path(__file__).with_name("conftest.py")
    seen, deaths, first = Counter(), [], 0
    while first < count:
        arguments = map(str, (tools, whole, path, first, count))
        run = subprocess.run(
            [sys.executable, "-c", _CHILD, *arguments], text=True, capture_output=True, check=False
        )
        lines = run.stdout.split()
        seen.update(line == "True" for line in lines[1::2])
        if run.returncode == 0:
            break
        if run.returncode == 1:
            raise AssertionError(f"{lines[-1]}: {run.stderr[-3000:]}")
        deaths.append((int(lines[-1]), run.returncode))
        first = int(lines[-1]) + 1
    print(f"cells: {seen[True]} loaded, {seen[False]} refused, dead {deaths}")
    assert not deaths
