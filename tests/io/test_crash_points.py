"""Writers killed after every system call that they make: the old or the new is there, whole."""

import json
import shutil

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import brenier
from brenier import Checkpoint
from brenier.images import ImageModel, UNet, UNetSettings
from brenier.io import load_model, save_model
from brenier.maps import AffineMap
from brenier.velocities import CosineSchedule


def _model(seed, classes):
    settings = UNetSettings((8, 8, 1), width=2, multipliers=(1,), classes=classes)
    net = UNet.random(jax.random.key(seed), settings)
    return ImageModel(net, (8, 8, 1), "v", CosineSchedule(), classes=classes)


# The last two are of one architecture: the weights of one fit the configuration of the other.
OLD, NEW, NEXT = _model(0, 0), _model(1, 2), _model(2, 2)


def test_a_map_is_the_old_or_the_new(tmp_path, killed_everywhere):
    path, old, new = tmp_path / "m.brenier", AffineMap.identity(2), AffineMap.identity(3)
    seen = []
    for _ in killed_everywhere(lambda: brenier.save(path, old), lambda: brenier.save(path, new)):
        seen.append(brenier.load(path).dimension)
    assert seen == sorted(seen)
    assert set(seen) == {2, 3}
    assert len(seen) > 10


@pytest.mark.parametrize(
    ("old", "checked"),
    [
        pytest.param(OLD, True, id="another architecture"),
        pytest.param(NEXT, True, id="the same", marks=pytest.mark.slow),
        pytest.param(OLD, False, id="no checksum, another one", marks=pytest.mark.slow),
        pytest.param(NEXT, False, id="no checksum, the same", marks=pytest.mark.slow),
    ],
)
def test_a_model_is_the_old_or_the_new(old, checked, tmp_path, killed_everywhere):
    folder = tmp_path / "model"

    def prepare():
        shutil.rmtree(folder, ignore_errors=True)
        save_model(folder, old)
        if not checked:
            config = json.loads((folder / "config.json").read_text())
            del config["sha256"]
            (folder / "config.json").write_text(json.dumps(config))

    seen = []
    for _ in killed_everywhere(prepare, lambda: save_model(folder, NEW)):
        found = load_model(folder)
        seen.append(bool(eqx.tree_equal(found, NEW)))
        assert seen[-1] or eqx.tree_equal(found, old)
    assert seen == sorted(seen)
    assert set(seen) == {False, True}


@pytest.mark.slow
def test_a_model_is_whole_after_two_deaths(tmp_path, killed_everywhere):
    """The second writer must not take away the weights that the first one left to be named."""
    folder, left = tmp_path / "model", tmp_path / "left"

    def prepare():
        shutil.rmtree(folder, ignore_errors=True)
        save_model(folder, OLD)

    prepare()
    before = (folder / "config.json").read_text()
    for _ in killed_everywhere(prepare, lambda: save_model(folder, NEW)):
        pending = (folder / "weights.safetensors.new").exists()
        if pending and (folder / "config.json").read_text() != before:
            break
    assert eqx.tree_equal(load_model(folder), NEW)
    folder.rename(left)

    def again():
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(left, folder)

    for _ in killed_everywhere(again, lambda: save_model(folder, NEXT)):
        found = load_model(folder)
        assert any(eqx.tree_equal(found, model) for model in (NEW, NEXT))
    assert eqx.tree_equal(found, NEXT)
    assert {file.name for file in folder.iterdir()} == {"config.json", "weights.safetensors"}


STATES = [{"step": jnp.asarray(float(i)), "values": jnp.arange(5.0)} for i in range(4)]


def _step(checkpoint):
    found = checkpoint.load(STATES[0])
    return None if found is None else float(found["step"])


def test_a_checkpoint_is_the_old_or_the_new(tmp_path, killed_everywhere):
    checkpoint = Checkpoint(tmp_path / "run")

    def prepare():
        for state in STATES[1:3]:
            checkpoint.save(state)

    seen = [
        _step(checkpoint) for _ in killed_everywhere(prepare, lambda: checkpoint.save(STATES[3]))
    ]
    assert seen == sorted(seen)
    assert set(seen) == {2.0, 3.0}


DAMAGES = {
    "cut short": lambda data: data[:-100],
    "empty": lambda data: b"",
    "a bit of the directory": lambda data: _flipped(data, data.rindex(b"manifest.json") + 3),
    "a bit of the manifest": lambda data: _flipped(data, data.index(b'"brenier"') + 3),
    "a bit of an array": lambda data: _flipped(data, data.rindex(b"NUMPY") + 130),
    "a page of zeros": lambda data: bytes(len(data)),
}


def _flipped(data, place):
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.filterwarnings("ignore:.*The checkpoint before it:RuntimeWarning")
def test_the_sound_one_before_is_taken_up_however_often_one_is_killed(
    damage, tmp_path, killed_everywhere
):
    checkpoint = Checkpoint(tmp_path / "run")

    def prepare():
        for state in STATES[1:3]:
            checkpoint.save(state)
        damaged = DAMAGES[damage]((tmp_path / "run").read_bytes())
        (tmp_path / "run").unlink()
        (tmp_path / "run").write_bytes(damaged)

    for _ in killed_everywhere(prepare, lambda: checkpoint.load(STATES[0])):
        assert _step(checkpoint) == 1.0
    np.testing.assert_array_equal(
        np.frombuffer((tmp_path / "run").read_bytes(), np.uint8),
        np.frombuffer((tmp_path / "run.previous").read_bytes(), np.uint8),
    )


def test_of_two_damaged_checkpoints_the_last_is_named(tmp_path):
    checkpoint = Checkpoint(tmp_path / "run")
    for state in STATES[1:3]:
        checkpoint.save(state)
    (tmp_path / "run").write_bytes(b"PK")
    (tmp_path / "run.previous").unlink()
    (tmp_path / "run.previous").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"run: got a truncated file"):
        checkpoint.load(STATES[0])
