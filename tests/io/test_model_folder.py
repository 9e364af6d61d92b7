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
from brenier.io.modules._container import digest
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


def _sealed(folder, config):
    """The configuration, with a checksum that is right: what follows is to be found out."""
    config.pop("sha256", None)
    config["sha256"] = digest(config, [(folder / "weights.safetensors").read_bytes()])
    (folder / "config.json").write_text(json.dumps(config))


def _changed(folder, **changes):
    _sealed(folder, {**json.loads((folder / "config.json").read_text()), **changes})


def _network(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    _changed(folder, network={**config["network"], **changes})


def _drop_network(folder):
    config = json.loads((folder / "config.json").read_text())
    del config["network"]
    _sealed(folder, config)


def _weights(folder, **changes):
    """Other weights under the names given; None takes one away."""
    weights = {**load_file(folder / "weights.safetensors"), **changes}
    kept = {name: value for name, value in weights.items() if value is not None}
    save_file(kept, folder / "weights.safetensors")
    _changed(folder)


def _bytes(folder, data):
    (folder / "weights.safetensors").write_bytes(data)
    _changed(folder)


def _schedule(folder, **fields):
    config = json.loads((folder / "config.json").read_text())
    schedule = config["schedule"]
    _changed(folder, schedule={**schedule, "fields": {**schedule["fields"], **fields}})


COSINE = {"class": "brenier.velocities.CosineSchedule", "fields": {"offset": "x", "duration": 0.9}}
BROKEN = {
    "another format": (lambda f: _changed(f, format="x"), "got a folder of another format"),
    "diffusers": (lambda f: _changed(f, format=None, _class_name="UNet2DModel"), "ddpm import"),
    "newer": (lambda f: _changed(f, format_version=9), "a model of format 9.*upgrade brenier"),
    "no json": (lambda f: (f / "config.json").write_text("{"), "got no JSON"),
    "no config": (lambda f: (f / "config.json").unlink(), "without config.json"),
    "no weights": (lambda f: (f / "weights.safetensors").unlink(), "without weights.safetensors"),
    "altered": (lambda f: (f / "weights.safetensors").write_bytes(b"x"), "got altered files"),
    "damaged": (lambda f: _bytes(f, b"x"), "got damaged weights"),
    "a bomb": (lambda f: _bytes(f, b"\xff" * 7 + b"\x00" + b"{"), "got damaged weights"),
    "no network": (_drop_network, "a configuration without 'network'"),
    "other weights": (lambda f: _weights(f, **{"stem.kernel": None}), "got nothing as stem.kernel"),
    "more weights": (lambda f: _weights(f, more=np.ones(2)), "as more; wants no such array"),
    "weights of another shape": (
        lambda f: _weights(f, **{"stem.kernel": np.ones((3, 3, 4, 3), np.float32)}),
        r"got \(3, 3, 4, 3\) as stem.kernel; wants \(3, 3, 3, 4\)",
    ),
    "NaN": (
        lambda f: _weights(f, **{"stem.bias": np.full(4, np.nan, np.float32)}),
        "got 4 of 4 weights of stem.bias NaN or infinite",
    ),
    "infinite": (
        lambda f: _weights(f, **{"stem.bias": np.array([0, 0, np.inf, 0], np.float32)}),
        "got 1 of 4 weights of stem.bias NaN or infinite",
    ),
    "integers": (
        lambda f: _weights(f, **{"stem.bias": np.zeros(4, np.int32)}),
        "got damaged weights",
    ),
    "another shape": (lambda f: _changed(f, shape=[16, 16, 3]), "wants the network's"),
    "another number of classes": (lambda f: _changed(f, classes=2), "wants the network's"),
    "a shape of text": (lambda f: _changed(f, shape="8x8"), r"model\.shape: got '8x8'"),
    "a shape of two": (lambda f: _changed(f, shape=[8, 12]), r"model\.shape: got \[8, 12\]"),
    "levels of 1e30": (lambda f: _changed(f, levels=1e30), r"model\.levels: got 1e\+30; wants int"),
    "levels of 30 digits": (lambda f: _changed(f, levels=10**30, classes=2), "wants the network's"),
    "one level": (lambda f: _changed(f, levels=1), "levels: got 1"),
    "another prediction": (lambda f: _changed(f, prediction="x"), r"prediction: got 'x'"),
    "many classes": (lambda f: _network(f, classes=20_000_000), "a network of at least 320,"),
    "many channels": (lambda f: _network(f, shape=[8, 12, 10**9]), "a network of at least 72,0"),
    "much width": (lambda f: _network(f, width=10**7), "a network of at least"),
    "much depth": (lambda f: _network(f, blocks=10**8), "a network of at least"),
    "a multiplier": (lambda f: _network(f, multipliers=[1, 10**9]), "a network of at least"),
    "a negative width": (lambda f: _network(f, width=-4), "width: got -4"),
    "a width of text": (lambda f: _network(f, width="4"), r"network\.width: got '4'; wants int"),
    "a true width": (lambda f: _network(f, width=True), r"network\.width: got True; wants int"),
    "a deep network": (lambda f: _network(f, multipliers=[1] * 5), "cannot be halved"),
    "offset x": (lambda f: _changed(f, schedule=COSINE), r"offset: got 'x'; wants float"),
    "a schedule below 0": (lambda f: _schedule(f, first=-1.0), r"first: got -1\.0"),
    "a schedule of lists": (lambda f: _schedule(f, first=[1.0]), "schedule.first"),
    "a schedule of 5": (lambda f: _changed(f, schedule=5), "got 5; wants AbstractSchedule"),
    "no schedule": (lambda f: _schedule(f, last=None), "last: got None"),
    "nested": (
        lambda f: (f / "config.json").write_text("[" * 100_000 + "]" * 100_000),
        "got no JSON",
    ),
    "no text": (lambda f: (f / "config.json").write_bytes(b"\xff\xfe{"), "got no JSON"),
    "a list": (lambda f: (f / "config.json").write_text("[]"), "got a folder of another format"),
    "a schedule of code": (lambda f: _changed(f, schedule={"function": "os.system"}), "os.system"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_folder_that_is_not_what_it_says(case, folder):
    spoil, phrase = BROKEN[case]
    spoil(folder)
    with pytest.raises(ValueError, match=phrase) as refusal:
        load_model(folder)
    assert str(folder) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_no_bit_of_a_model_changes_unseen(folder):
    """Of the weights, of the configuration, and with each of the files taken from another model."""
    draws = np.random.default_rng(0)
    for name in ("weights.safetensors", "config.json"):
        whole = (folder / name).read_bytes()
        for place in draws.integers(len(whole), size=60):
            changed = bytearray(whole)
            changed[place] ^= 1 << draws.integers(8)
            (folder / name).write_bytes(changed)
            try:
                found = load_model(folder)
            except ValueError:
                continue
            # Blanks of JSON say nothing.
            assert name == "config.json"
            assert eqx.tree_equal(found, MODEL)
        (folder / name).write_bytes(whole)
    other = UNet.random(jax.random.key(1), SETTINGS)
    save_model(folder.parent / "other", eqx.tree_at(lambda model: model.network, MODEL, other))
    (folder / "config.json").write_bytes((folder.parent / "other/config.json").read_bytes())
    with pytest.raises(ValueError, match="got altered files"):
        load_model(folder)


@pytest.mark.parametrize(
    "dtype", ["bfloat16", "float16", "float8_e4m3fn", "float8_e5m2", "float64"]
)
def test_weights_of_other_precisions_are_read(dtype, folder):
    """By value: halves are widened, what is wider stays."""
    wanted = {
        name: value.astype(jnp.dtype(dtype))
        for name, value in load_file(folder / "weights.safetensors").items()
    }
    save_file(wanted, folder / "weights.safetensors")
    _changed(folder)
    network = load_model(folder).network
    assert network.stem.kernel.dtype == (np.float64 if dtype == "float64" else np.float32)
    for got, name in ((network.stem.kernel, "stem.kernel"), (network.labels, "labels")):
        np.testing.assert_array_equal(np.asarray(got, float), wanted[name].astype(float))


def test_odd_but_sound_folders_are_read(folder):
    """Without a checksum, with keys of its own, in another order and on one line."""
    config = json.loads((folder / "config.json").read_text())
    del config["sha256"]
    config = {"note": {"by": "me"}, **dict(reversed(config.items()))}
    (folder / "config.json").write_text(json.dumps(config))
    assert eqx.tree_equal(load_model(folder), MODEL)
    _sealed(folder, config)
    (folder / "README.txt").write_text("mine")
    assert eqx.tree_equal(load_model(folder), MODEL)
    (folder / "config.json").write_text("\n" + (folder / "config.json").read_text())
    assert eqx.tree_equal(load_model(folder), MODEL)


def test_weights_of_no_number_are_not_saved(folder):
    bad = eqx.tree_at(lambda model: model.network.stem.bias, MODEL, jnp.full(4, jnp.nan))
    with pytest.raises(ValueError, match=r"model: got 4 of 4 weights of stem\.bias NaN"):
        save_model(folder, bad)
    assert eqx.tree_equal(load_model(folder), MODEL)


def test_notes_with_numbers_for_keys_do_not_spoil_the_checksum(folder):
    save_model(folder, MODEL, {"loss": {2: 0.5, 10: 0.25}})
    assert load_model(folder).shape == MODEL.shape
    assert read_model_config(folder)["about"] == {"loss": {"2": 0.5, "10": 0.25}}


def test_no_folder_and_no_place(tmp_path):
    with pytest.raises(ValueError, match="got no such folder"):
        load_model(tmp_path / "absent")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="got a file; wants a folder"):
        check_model_folder(tmp_path / "file")
    other = ImageModel(lambda a, image, label: image, (8, 8, 1), "v", CosineSchedule())
    with pytest.raises(ValueError, match="wants a UNet"):
        save_model(tmp_path / "other", other)
