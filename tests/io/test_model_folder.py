"""Model folders: written, read, and refused where they are not what they say."""

import json
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from brenier.images import ImageModel, UNet, UNetSettings
from brenier.io import check_model_folder, load_model, read_model_config, save_model
from brenier.velocities import CosineSchedule, LinearSchedule

SETTINGS = UNetSettings(
    (8, 12, 3), width=4, multipliers=(1, 2), attention=(4,), heads=2, dropout=0.1, classes=3
)
NET = UNet.random(jax.random.key(0), SETTINGS)
MODEL = ImageModel(NET, (8, 12, 3), "epsilon", LinearSchedule(0.2, 10.0), 17, 3)


@pytest.fixture
def folder(tmp_path):
    save_model(tmp_path / "model", MODEL, {"steps": 5})
    return tmp_path / "model"


def test_what_is_saved_comes_back_bit_for_bit(folder):
    found = load_model(folder)
    assert jax.tree.structure(found) == jax.tree.structure(MODEL)
    for got, wanted in zip(jax.tree.leaves(found), jax.tree.leaves(MODEL), strict=True):
        np.testing.assert_array_equal(got, wanted)
    assert read_model_config(folder)["about"] == {"steps": 5}


def test_the_weights_are_safetensors_by_name(folder):
    weights = load_file(folder / "weights.safetensors")
    np.testing.assert_array_equal(weights["stem.kernel"], NET.stem.kernel)
    assert "down.0.0.block.first.kernel" in weights


def test_a_folder_written_before_this_version_is_read_alike():
    """By the code of commit e4e4e50, with the network's value at one image."""
    home = Path(__file__).parent / "written_by_e4e4e50"
    model = load_model(home / "model")
    assert (model.shape, model.prediction, model.levels, model.classes) == (
        (8, 12, 3),
        "epsilon",
        17,
        3,
    )
    assert model.schedule == LinearSchedule(0.2, 10.0)
    assert model.network.settings == SETTINGS
    image = jnp.asarray(np.linspace(-1.0, 1.0, 288).reshape(8, 12, 3), jnp.float32)
    found = eqx.filter_jit(model.network)(jnp.float32(0.5), image, jnp.asarray(1))
    # Rounding of float32 through a dozen layers.
    np.testing.assert_allclose(found, np.load(home / "values.npz")["model"], rtol=1e-5, atol=1e-6)


def _changed(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def _drop_network(folder):
    config = json.loads((folder / "config.json").read_text())
    del config["network"]
    (folder / "config.json").write_text(json.dumps(config))


def _drop_weight(folder):
    weights = load_file(folder / "weights.safetensors")
    del weights["stem.kernel"]
    save_file(weights, folder / "weights.safetensors")


BROKEN = {
    "another format": (lambda f: _changed(f, format="x"), "got a folder of another format"),
    "diffusers": (lambda f: _changed(f, format=None, _class_name="UNet2DModel"), "load_diffusers"),
    "newer": (lambda f: _changed(f, format_version=9), "a model of format 9.*upgrade brenier"),
    "no json": (lambda f: (f / "config.json").write_text("{"), "got no JSON"),
    "no config": (lambda f: (f / "config.json").unlink(), "without config.json"),
    "no weights": (lambda f: (f / "weights.safetensors").unlink(), "without weights.safetensors"),
    "damaged": (lambda f: (f / "weights.safetensors").write_bytes(b"x"), "got damaged weights"),
    "no network": (_drop_network, "a configuration without 'network'"),
    "other weights": (_drop_weight, "got nothing as stem.kernel"),
    "a schedule of code": (lambda f: _changed(f, schedule={"function": "os.system"}), "os.system"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_folder_that_is_not_what_it_says(case, folder):
    spoil, phrase = BROKEN[case]
    spoil(folder)
    with pytest.raises(ValueError, match=phrase):
        load_model(folder)


def test_no_folder_and_no_place(tmp_path):
    with pytest.raises(ValueError, match="got no such folder"):
        load_model(tmp_path / "absent")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="got a file; wants a folder"):
        check_model_folder(tmp_path / "file")
    other = ImageModel(lambda a, image, label: image, (8, 8, 1), "v", CosineSchedule())
    with pytest.raises(ValueError, match="wants a UNet"):
        save_model(tmp_path / "other", other)
