"""Checkpoints of guided-diffusion: read exactly, asked what they do not say, refused by name."""

import dataclasses
import json
import re

import equinox as eqx
import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from brenier.images import ImageModel, UNetSettings
from brenier.io import (
    GuidedDiffusion,
    import_guided_diffusion,
    load_guided_diffusion,
    load_model,
    read_model_config,
)
from brenier.velocities import LinearSchedule

from .guided_diffusion import Reference, state_dict

TOLD = GuidedDiffusion(
    image_size=16, num_heads=2, attention_order="legacy", noise_schedule="linear"
)
# Every switch of the original in one place or the other: weights, what is told, heads.
NETWORKS = {
    "convolutions": (
        {"attention": (1,), "multipliers": (1, 2)},
        GuidedDiffusion(
            image_size=16,
            num_heads=2,
            num_heads_upsample=4,
            attention_order="legacy",
            noise_schedule="linear",
        ),
        lambda channels, up: 4 if up and channels == 32 else 2,
    ),
    "residual blocks": (
        {"attention": (2,), "residual": True, "scales": True, "classes": 5, "variance": True},
        GuidedDiffusion(
            image_size=16,
            num_head_channels=32,
            attention_order="new",
            noise_schedule="cosine",
            diffusion_steps=300,
            rescale_timesteps=True,
            class_cond=True,
        ),
        lambda channels, up: channels // 32,
    ),
}


def rates(told):
    """β of the original's two schedules."""
    count = told.diffusion_steps
    if told.noise_schedule == "linear":
        return np.linspace(0.1 / count, 20.0 / count, count)
    bars = np.cos(0.5 * np.pi * (np.arange(count + 1) / count + 0.008) / 1.008) ** 2
    return np.minimum(1.0 - bars[1:] / bars[:-1], 0.999)


@pytest.fixture
def file(tmp_path):
    save_file(state_dict(), tmp_path / "model.safetensors")
    return tmp_path / "model.safetensors"


@pytest.mark.daily("residual blocks")
@pytest.mark.parametrize("kind", NETWORKS)
def test_it_is_the_network_in_plain_numpy(kind, tmp_path):
    """In float64, at the signals of whole steps; by way of the model folder."""
    made, told, heads = NETWORKS[kind]
    weights = state_dict(**made)
    save_file(weights, tmp_path / "model.safetensors")
    import_guided_diffusion(tmp_path / "model.safetensors", tmp_path / "model", told)
    model = load_model(tmp_path / "model")
    label = 3 if model.classes else None
    image = np.random.default_rng(1).normal(size=(16, 16, 3))
    signals = np.sqrt(np.cumprod(1.0 - rates(told)))
    reference = Reference(weights, heads, new_order=told.attention_order == "new")
    network = eqx.filter_jit(model.network)
    for step in (0, 200):
        number = step * float(np.float32(1000 / 300)) if told.rescale_timesteps else step
        wanted = reference(number, image.transpose(2, 0, 1), label)[:3].transpose(1, 2, 0)
        at = None if label is None else jnp.asarray(label)
        found = network(jnp.asarray(signals[step]), jnp.asarray(image), at)
        np.testing.assert_allclose(found, wanted, atol=1e-10 * np.abs(wanted).max())
    np.testing.assert_allclose(model.schedule.signals, signals, rtol=1e-12)
    assert (model.prediction, model.shape) == ("epsilon", (16, 16, 3))


def test_the_weights_say_what_they_can():
    """Of the default multipliers, the size of the images too."""
    from brenier.io.modules._guided_diffusion import network_settings

    weights = state_dict(
        width=64, multipliers=(0.5, 1, 1, 2, 2, 4, 4), attention=(16, 64), blocks=2, residual=True
    )
    shapes = {name: array.shape for name, array in weights.items()}
    told = GuidedDiffusion(num_head_channels=32, attention_order="new", noise_schedule="linear")
    found = network_settings("x.pt", shapes, told)
    assert (found.shape, found.attention, found.blocks) == ((512, 512, 3), (32, 8), 2)
    assert (found.resampling, found.modulation, found.variance) == ("residual", "shift", False)
    assert found.multipliers == (0.5, 1, 1, 2, 2, 4, 4)


@pytest.mark.slow
def test_it_is_the_same_from_the_checkpoint_and_from_the_folder(file, tmp_path):
    model = load_guided_diffusion(file, TOLD)
    about = import_guided_diffusion(file, tmp_path / "model", TOLD)
    assert eqx.tree_equal(model, load_model(tmp_path / "model"))
    assert read_model_config(tmp_path / "model")["about"] == about
    assert about["family"] == "guided-diffusion"


def test_which_part_of_a_file_is_the_model_can_be_told(file, tmp_path):
    torch = pytest.importorskip("torch", reason="writes a file of PyTorch")
    own = {name: torch.tensor(array) for name, array in state_dict().items()}
    torch.save({"model": own, "ema": {n: 2 * t for n, t in own.items()}}, tmp_path / "two.pt")
    with pytest.raises(ValueError, match=r"part: got None .* tensors in 'ema', 'model'"):
        load_guided_diffusion(tmp_path / "two.pt", TOLD)
    told = dataclasses.replace(TOLD, part="ema")
    import_guided_diffusion(tmp_path / "two.pt", tmp_path / "model", told)
    stem = load_guided_diffusion(file, TOLD).network.stem.kernel
    np.testing.assert_array_equal(load_model(tmp_path / "model").network.stem.kernel, 2 * stem)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_precision_is_kept_in_the_folder_and_widened_in_the_model(dtype, tmp_path):
    halves = {name: array.astype(dtype) for name, array in state_dict().items()}
    save_file(halves, tmp_path / "model.safetensors")
    import_guided_diffusion(tmp_path / "model.safetensors", tmp_path / "model", TOLD)
    kernel = load_model(tmp_path / "model").network.stem.kernel
    assert kernel.dtype == np.float32
    wanted = halves["input_blocks.0.0.weight"].astype(np.float32).transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(kernel, wanted)
    held = (tmp_path / "model/weights.safetensors").stat().st_size
    assert held < 1.1 * (tmp_path / "model.safetensors").stat().st_size


def _changed(**changes):
    """The weights with others by these names (dots as __); None takes one away."""
    named = {name.replace("__", "."): array for name, array in changes.items()}
    weights = {**state_dict(), **named}
    return {name: array for name, array in weights.items() if array is not None}


OTHERS = {
    "missing": (_changed(time_embed__2__bias=None), "1 missing: time_embed.2.bias"),
    "surplus": (_changed(ema=np.ones(2)), "1 surplus: ema"),
    "misshaped": (
        _changed(out__0__bias=np.ones(3, np.float32)),
        r"1 misshaped: out.0.bias of \(3,\) \(not \(32,\)\)",
    ),
    "all three": (
        _changed(out__0__bias=np.ones(3, np.float32), x=np.ones(1), time_embed__2__bias=None),
        r"1 missing: time_embed.2.bias; 1 surplus: x; 1 misshaped: out.0.bias",
    ),
    "integers": (_changed(out__0__bias=np.ones(32, int)), "1 no real: out.0.bias of int64"),
    "not a number": (
        _changed(out__0__bias=np.full(32, np.nan, np.float32)),
        "got 32 of 32 weights of norm.shift NaN",
    ),
    "no head": (_changed(out__2__weight=None), r"no out.2.weight of \[4\] axes"),
    "diffusers": (
        {"down_blocks.0.x": np.ones(1)},
        "weights of diffusers .give the folder that hol",
    ),
    "ours": ({"stem.kernel": np.ones(1)}, "weights of a model folder of brenier"),
    "a latent model": ({"model.diffusion_model.x": np.ones(1)}, "of a latent diffusion model"),
    "a classifier": ({"out.2.positional_embedding": np.ones(1)}, "of a classifier of guided"),
    "an upsampler": (
        _changed(input_blocks__0__0__weight=np.ones((32, 6, 3, 3), np.float32)),
        "6 channels in and 3 out, as an upsampler",
    ),
    "something else": ({"x": np.ones(1)}, "tensors as x"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_weights_are_refused_by_name_and_nothing_is_written(kind, tmp_path):
    weights, phrase = OTHERS[kind]
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=phrase) as refusal:
        import_guided_diffusion(tmp_path / "model.safetensors", tmp_path / "model", TOLD)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("told", "phrase"),
    [
        (
            GuidedDiffusion(),
            "wants image_size, num_heads or num_head_channels, noise_schedule, attention_order too",
        ),
        (
            GuidedDiffusion(image_size=16, num_heads=1),
            re.escape("everything; wants noise_schedule too"),
        ),
        (
            GuidedDiffusion(
                image_size=16, num_head_channels=48, noise_schedule="linear", attention_order="new"
            ),
            "head_channels: got 48; wants a divisor",
        ),
        (GuidedDiffusion(class_cond=True), "no classes .no label_emb.weight.; wants class_cond=Fa"),
    ],
)
def test_what_is_not_told_is_asked_for(told, phrase, file):
    with pytest.raises(ValueError, match=phrase):
        load_guided_diffusion(file, told)


def test_a_network_that_knows_no_image_without_a_label_says_so(tmp_path):
    made, told, _ = NETWORKS["residual blocks"]
    save_file(state_dict(**made), tmp_path / "model.safetensors")
    model = load_guided_diffusion(tmp_path / "model.safetensors", told)
    for call in (
        lambda: model.with_label(None),
        lambda: jax.eval_shape(model.network, jnp.asarray(0.5), jnp.zeros((16, 16, 3))),
    ):
        with pytest.raises(ValueError, match="label: got None; wants 0 to 4: the network knows no"):
            call()


def test_configurations_that_cannot_be_are_refused(file, tmp_path):
    import_guided_diffusion(file, tmp_path / "model", TOLD)
    place = tmp_path / "model" / "config.json"
    whole = json.loads(place.read_text())
    del whole["sha256"]
    for changes, phrase in (
        ({"timesteps": {"schedule": "x", "count": 10, "rescaled": False}}, "timesteps.schedule"),
        ({"timesteps": {"schedule": "linear", "count": 10, "rescaled": False}}, "10 linear steps"),
        ({"timesteps": {"schedule": "linear", "count": 10**12, "rescaled": False}}, "count: got 1"),
        ({"timesteps": 5}, "timesteps"),
        ({"multipliers": [1e300, 2]}, "impossible network"),
        ({"resampling": "x"}, "resampling: got 'x'"),
    ):
        place.write_text(json.dumps({**whole, "network": {**whole["network"], **changes}}))
        with pytest.raises(ValueError, match=phrase) as refusal:
            load_model(tmp_path / "model")
        assert str(tmp_path / "model") in str(refusal.value)


def test_a_network_of_ours_is_unchanged_by_its_new_settings():
    """Folders of before have none of them."""
    settings = UNetSettings((8, 8, 1), width=4)
    assert (settings.groups, settings.unlabelled, settings.sizes) == (None, True, [4, 8])
    assert ImageModel(lambda a, x, c: x, (1, 1, 1), "v", LinearSchedule()).unlabelled
