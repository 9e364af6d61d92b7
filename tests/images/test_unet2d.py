"""diffusers' networks in JAX: against diffusers where it is installed, and by hand where not."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier.images import ImageModel, NoiseLevels, UNet2D, UNet2DSettings
from brenier.velocities import LinearSchedule

BASE = {
    "block_out_channels": (16, 32),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    "norm_num_groups": 8,
    "layers_per_block": 1,
}
RESNETS = {
    "down_block_types": ("ResnetDownsampleBlock2D",) * 2,
    "up_block_types": ("ResnetUpsampleBlock2D",) * 2,
}
SKIPS = {
    "down_block_types": ("SkipDownBlock2D", "AttnSkipDownBlock2D"),
    "up_block_types": ("AttnSkipUpBlock2D", "SkipUpBlock2D"),
    "block_out_channels": (32, 64),
}
RESAMPLED = {
    "down_block_types": ("AttnDownBlock2D",) * 2,
    "up_block_types": ("AttnUpBlock2D",) * 2,
    "downsample_type": "resnet",
    "upsample_type": "resnet",
}
SWITCHES = [
    {},
    {"resnet_time_scale_shift": "scale_shift"},
    {"resnet_time_scale_shift": "scale_shift", "attn_norm_num_groups": 4},
    {"add_attention": False},
    {"attention_head_dim": None},
    {"attention_head_dim": 16},
    RESNETS,
    {**RESNETS, "resnet_time_scale_shift": "scale_shift"},
    RESAMPLED,
    SKIPS,
    {**SKIPS, "time_embedding_type": "fourier", "center_input_sample": True},
    {"downsample_padding": 0},
    {"flip_sin_to_cos": False, "freq_shift": 1, "norm_eps": 1e-6},
    {"mid_block_scale_factor": 1.414},
    {"time_embedding_type": "learned", "num_train_timesteps": 1000},
    {"num_class_embeds": 10},
    {"class_embed_type": "timestep", "num_class_embeds": 10},
    {"class_embed_type": "identity"},
    {"act_fn": "mish"},
    {"act_fn": "gelu"},
    {"mid_block_type": None},
    {"time_embedding_dim": 50},
    {"out_channels": 6},
    {"sample_size": (16, 8)},
]


@pytest.mark.slow
@pytest.mark.parametrize("switches", SWITCHES, ids=str)
@pytest.mark.filterwarnings("ignore:::diffusers", "ignore::DeprecationWarning")
def test_every_switch_is_what_diffusers_computes(switches):
    torch, diffusers = pytest.importorskip("torch"), pytest.importorskip("diffusers")
    torch.manual_seed(0)
    config = {"sample_size": 8, "in_channels": 3, "out_channels": 3, **BASE, **switches}
    network = diffusers.UNet2DModel(**config).eval()
    with torch.no_grad():  # biases and scales that are no ones and zeros
        for weight in network.parameters():
            if weight.ndim < 2:
                weight.add_(0.3 * torch.randn_like(weight))
    side = config.pop("sample_size")
    del config["in_channels"]
    sides = side if isinstance(side, tuple) else (side, side)
    settings = UNet2DSettings(shape=(*sides, 3), **config)
    tensors = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    ours = UNet2D.of_tensors("network", tensors, settings)
    images, label, own_label = torch.randn(2, 3, *sides), None, None
    if settings.class_embed_type == "identity":
        label = torch.randn(2, settings.condition)
        own_label = jnp.asarray(label.numpy())
    elif settings.classes:
        label, own_label = torch.tensor([3, 7]), jnp.asarray([3, 7])
    with torch.no_grad():
        wanted = network(images, torch.tensor([937, 937]), class_labels=label).sample.numpy()
    axes = (None, 0, None if own_label is None else 0)
    found = jax.vmap(ours.own, in_axes=axes)(
        jnp.float32(937.0), jnp.asarray(images.numpy().transpose(0, 2, 3, 1)), own_label
    )
    error = np.linalg.norm(found - wanted.transpose(0, 2, 3, 1)) / np.linalg.norm(wanted)
    assert error < 1e-5  # single precision on both sides


SMALL = UNet2DSettings((4, 4, 1), block_out_channels=(4,), norm_num_groups=2, add_attention=False)


def _tensors(settings):
    """Tensors of a network, in PyTorch's order of axes."""
    net = UNet2D.random(jax.random.key(0), settings)
    found = {}
    for name, weight in net.weights.items():
        array = np.asarray(weight)
        axes = {4: (3, 2, 0, 1), 2: (1, 0)}.get(array.ndim)
        found[name] = array.transpose(axes) if axes else array
    return net, found


def test_tensors_of_a_file_are_turned_to_our_axes():
    net, tensors = _tensors(SMALL)
    assert tensors["conv_in.weight"].shape == (4, 1, 3, 3)
    again = UNet2D.of_tensors("a.bin", tensors, SMALL)
    for name, weight in net.weights.items():
        np.testing.assert_array_equal(again.weights[name], weight)


def test_old_names_of_attention():
    settings = dataclasses.replace(SMALL, add_attention=True, attention_head_dim=2)
    net, tensors = _tensors(settings)
    olds = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    old = {}
    for name, array in tensors.items():
        for new, before in olds.items():
            name = name.replace(f".{new}.", f".{before}.")
        old[name] = array
    assert "mid_block.attentions.0.proj_attn.weight" in old
    again = UNet2D.of_tensors("a.bin", old, settings)
    for name, weight in net.weights.items():
        np.testing.assert_array_equal(again.weights[name], weight)


@pytest.mark.parametrize(
    ("change", "phrase"),
    [
        (lambda t: t.pop("conv_in.bias"), "a.bin: got no tensor conv_in.bias; wants"),
        (lambda t: t.update(more=np.zeros(1)), "got the surplus tensor more"),
        (lambda t: t.update({"conv_in.bias": np.zeros(5)}), r"conv_in.bias of shape \(5,\)"),
        (lambda t: t.update({"conv_in.bias": np.zeros(4, int)}), "dtype int64"),
        (lambda t: t.update({"conv_in.bias": np.full(4, np.nan)}), "got 4 of 4 weights"),
    ],
)
def test_tensors_that_do_not_fit_are_named(change, phrase):
    _, tensors = _tensors(SMALL)
    change(tensors)
    with pytest.raises(ValueError, match=phrase):
        UNet2D.of_tensors("a.bin", tensors, SMALL)


@pytest.mark.parametrize(
    ("field", "value", "phrase"),
    [
        ("down_block_types", ("CrossAttnDownBlock2D",), "down_block_types: got 'CrossAttnDown"),
        ("up_block_types", ("UpBlock2D",) * 2, "block_out_channels: got 1 for 1 blocks"),
        ("resnet_time_scale_shift", "spatial", "resnet_time_scale_shift: got 'spatial'"),
        ("act_fn", "tanh", "act_fn: got 'tanh'"),
        ("out_channels", 4, "out_channels: got 4 for images of 1"),
        ("time_embedding_type", "learned", "num_train_timesteps: got none"),
        ("norm_num_groups", -2, "norm_num_groups: got -2"),
        ("norm_eps", -1.0, "norm_eps: got -1.0"),
        ("downsample_padding", 3, "downsample_padding: got 3"),
    ],
)
def test_settings_that_diffusers_does_not_have(field, value, phrase):
    with pytest.raises(ValueError, match=phrase):
        dataclasses.replace(SMALL, **{field: value})


def test_groups_that_do_not_divide_are_named():
    with pytest.raises(ValueError, match="got 3 groups for the 4 channels"):
        UNet2D.shapes(dataclasses.replace(SMALL, norm_num_groups=3))


def test_a_network_with_classes_wants_a_label():
    settings = dataclasses.replace(SMALL, num_class_embeds=3)
    net = UNet2D.random(jax.random.key(0), settings)
    model = ImageModel(net, (4, 4, 1), "epsilon", LinearSchedule(), classes=3)
    with pytest.raises(ValueError, match="label: got None"):
        model.with_label(None)
    with pytest.raises(ValueError, match="label: got 3; wants 0 to 2"):
        model.with_label(3)
    with pytest.raises(ValueError, match="label: got none"):
        net(jnp.asarray(0.5), jnp.zeros((4, 4, 1)))


# A network of the exact answer: data are N(0, s²), so all that it predicts is linear in x.
SPREAD = 0.7


def _exact(noise, a):
    """What a perfect network of each kind would say at y = 1, with the scale of its input."""
    b = np.sqrt(1 - a**2)
    variance = a**2 * SPREAD**2 + b**2
    clean, epsilon = a * SPREAD**2 / variance, b / variance
    v = a * epsilon - b * clean
    if noise.kind == "flow":
        return epsilon - clean
    if noise.kind == "edm":
        sigma, s = b / a, noise.data
        x = 1 / a
        skip = s**2 / (sigma**2 + s**2)
        out = (1 if noise.prediction == "epsilon" else -1) * sigma * s / np.hypot(sigma, s)
        return (clean - skip * x) / out
    return {"epsilon": epsilon, "v": v, "sample": clean}[noise.prediction]


KINDS = [
    *(NoiseLevels("steps", prediction) for prediction in ("epsilon", "v", "sample")),
    NoiseLevels("logarithm", "v"),
    *(NoiseLevels("edm", prediction, data=0.5) for prediction in ("epsilon", "v")),
    NoiseLevels("edm", "epsilon", data=1.3),
    NoiseLevels("flow", "v"),
]


@pytest.mark.parametrize("noise", KINDS, ids=lambda noise: f"{noise.kind}-{noise.prediction}")
@pytest.mark.parametrize("a", [0.999, 0.8, 0.1])
def test_all_kinds_of_network_are_one_velocity(noise, a):
    b = np.sqrt(1 - a**2)
    variance = a**2 * SPREAD**2 + b**2
    wanted = {"epsilon": b / variance, "v": a * b * (1 - SPREAD**2) / variance}[noise.gives]
    y, said = jnp.ones((1, 1, 1), float), jnp.full((1, 1, 1), _exact(noise, a))
    found = noise.answer(jnp.asarray(a, float), y, said)
    np.testing.assert_allclose(found.ravel(), [wanted], rtol=1e-6)


def test_a_step_is_told_by_its_own_signal_however_rounded():
    noise = NoiseLevels()
    for step in (0, 1, 400, 999):
        signal = noise.table[step]
        for dtype in (np.float32, np.float64):
            assert float(noise.told(jnp.asarray(dtype(signal)), float)) == step
    between = float(noise.told(jnp.asarray(0.5 * (noise.table[3] + noise.table[4])), float))
    assert 3.0 < between < 4.0
    assert float(noise.told(jnp.asarray(1.0), float)) == 0.0


def test_what_the_noise_is_told_elsewhere():
    a = jnp.asarray(0.6, float)  # b = 0.8, σ = 4/3, s = 4/7
    assert np.isclose(NoiseLevels("edm").told(a, float), 0.25 * np.log(4 / 3))
    assert np.isclose(NoiseLevels("flow", "v", count=1000).told(a, float), 4000 / 7)
    assert np.isclose(NoiseLevels("flow", "v").input_scale(a), 1 / 1.4)
    scale = NoiseLevels("edm", data=0.5).input_scale(a)  # of y = a x
    assert np.isclose(scale * a, 1.0 / np.hypot(4 / 3, 0.5))


@pytest.mark.slow
def test_the_network_has_derivatives():
    net = UNet2D.random(jax.random.key(0), SMALL)
    model = ImageModel(net, (4, 4, 1), "epsilon", LinearSchedule())
    x, u = jnp.linspace(-1.0, 1.0, 16), jnp.ones(16)
    a, h = jnp.asarray(0.5), 1e-4
    _, pushed = jax.jvp(lambda y: model.predicted(a, y), (x,), (u,))
    differences = (model.predicted(a, x + h * u) - model.predicted(a, x - h * u)) / (2 * h)
    np.testing.assert_allclose(pushed, differences, rtol=1e-4, atol=1e-5)
