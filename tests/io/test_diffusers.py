"""Folders of the diffusers library, by hand; where it is installed, against its own steps."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from brenier.images import ScheduledDDIM, UNet2D, UNet2DSettings
from brenier.io import is_diffusers_folder, load_diffusers, load_model, save_model

NETWORK = {
    "_class_name": "UNet2DModel",
    "_diffusers_version": "0.31.0",
    "sample_size": 4,
    "in_channels": 1,
    "out_channels": 1,
    "layers_per_block": 1,
    "block_out_channels": [4],
    "down_block_types": ["DownBlock2D"],
    "up_block_types": ["UpBlock2D"],
    "norm_num_groups": 2,
    "add_attention": False,
}
SCHEDULER = {
    "_class_name": "DDIMScheduler",
    "beta_schedule": "linear",
    "num_train_timesteps": 1000,
    "clip_sample": False,
}
SETTINGS = UNet2DSettings(
    (4, 4, 1), block_out_channels=(4,), norm_num_groups=2, add_attention=False
)


def _tensors(settings=SETTINGS):
    found = {}
    for name, weight in UNet2D.random(jax.random.key(0), settings).weights.items():
        axes = {4: (3, 2, 0, 1), 2: (1, 0)}.get(weight.ndim)
        array = np.asarray(weight)
        found[name] = np.ascontiguousarray(array.transpose(axes) if axes else array)
    return found


def _folder(path, network=NETWORK, scheduler=SCHEDULER, tensors=None):
    for name, content in (("unet/config", network), ("scheduler/scheduler_config", scheduler)):
        (path / name).parent.mkdir(exist_ok=True, parents=True)
        (path / f"{name}.json").write_text(json.dumps(content))
    held = _tensors() if tensors is None else tensors
    save_file(held, path / "unet" / "diffusion_pytorch_model.safetensors")
    return path


@pytest.mark.parametrize(
    ("network", "scheduler", "phrase"),
    [
        ({"_class_name": "UNet2DConditionModel"}, {}, "got a UNet2DConditionModel; wants"),
        ({}, {"_class_name": "RePaintScheduler"}, "got the scheduler 'RePaintScheduler'; wants"),
        ({}, {"_class_name": None}, "got the scheduler None"),
        ({}, {"prediction_type": "noise"}, "the prediction 'noise'"),
        ({}, {"beta_schedule": "laplace"}, "the schedule 'laplace'"),
        ({}, {"trained_betas": [0.1, 0.2]}, r"trained_betas of shape \(2,\) for 1000 steps"),
        ({}, {"beta_end": 2.0}, "rates 0.0001 to 2.0"),
        ({}, {"num_train_timesteps": "many"}, "'many' steps"),
        ({}, {"thresholding": True}, r"got thresholding, .* clipping=False"),
        ({}, {"rescale_betas_zero_snr": True}, "rescale_betas_zero_snr beside .* epsilon"),
        ({}, {"timestep_spacing": "even"}, "spacing: got 'even'"),
        ({}, {"steps_offset": -1}, "offset: got -1"),
        ({}, {"_class_name": "EulerDiscreteScheduler", "use_beta_sigmas": True}, "use_beta_sigmas"),
        ({"down_block_types": ["AttentionBlock"]}, {}, "down_block_types: got 'AttentionBlock'"),
        ({"sample_size": None}, {}, "got sample_size None; wants"),
        ({"layers_per_block": 10**9}, {}, "at least .* weights beside files"),
        ({"block_out_channels": [8]}, {}, r"of shape \(4, 16\) .* wants \(8, 32\)"),
        ({"add_attention": True}, {}, "unet: attention_head_dim: got 8 for the 4 channels"),
        ({"add_attention": True, "attention_head_dim": 2}, {}, "no tensor mid_block.attentions.0"),
    ],
)
def test_what_brenier_does_not_know_is_named(network, scheduler, phrase, tmp_path):
    home = _folder(tmp_path, {**NETWORK, **network}, {**SCHEDULER, **scheduler})
    with pytest.raises(ValueError, match=phrase) as caught:
        load_diffusers(home)
    assert "\n" not in str(caught.value)


def test_weights_that_are_missing_or_truncated_are_what_is_named(tmp_path):
    # Of more weights than the other files beside them have bytes.
    home = _folder(tmp_path, {**NETWORK, "block_out_channels": [64]})
    weights = home / "unet/diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ValueError, match="got a truncated file"):
        load_diffusers(tmp_path)
    weights.unlink()
    with pytest.raises(ValueError, match="got 0 files of weights"):
        load_diffusers(tmp_path)


def test_no_folder_and_no_configuration(tmp_path):
    assert not is_diffusers_folder(tmp_path)
    with pytest.raises(ValueError, match="no such file; wants a model folder of diffusers"):
        load_diffusers(tmp_path)
    (_folder(tmp_path) / "scheduler/scheduler_config.json").write_text("[]")
    assert is_diffusers_folder(tmp_path)
    with pytest.raises(ValueError, match="got no configuration"):
        load_diffusers(tmp_path)


def test_a_folder_becomes_a_model_and_a_model_folder(tmp_path):
    model = load_diffusers(_folder(tmp_path / "theirs"))
    assert model.shape == (4, 4, 1)
    # The first and the last level of the schedule are those of its first and last steps.
    bars = np.cumprod(1.0 - np.linspace(1e-4, 0.02, 1000))
    ends = [float(model.start), float(model.stop)]
    np.testing.assert_allclose(ends, np.sqrt(bars[[0, -1]]), rtol=1e-5)
    save_model(tmp_path / "ours", model)
    again = load_model(tmp_path / "ours")
    assert again.sampling == model.sampling
    x, a = jnp.linspace(-1.0, 1.0, 16), jnp.asarray(0.5)
    np.testing.assert_array_equal(again.predicted(a, x), model.predicted(a, x))


def test_clipping_decodes_and_does_not_encode(tmp_path):
    home = _folder(tmp_path, scheduler={**SCHEDULER, "clip_sample": True, "clip_sample_range": 0.5})
    model = load_diffusers(home)
    codes = jax.random.normal(jax.random.key(0), (2, 16))
    # The last step of all goes to the predicted image itself.
    assert float(jnp.abs(model.ddim_decoder(4)(codes)).max()) <= 0.5
    for make in (model.encoder, model.ddim_encoder):
        with pytest.raises(ValueError, match=r"clip_sample: got .* --no-clipping"):
            make()
    for free in (model.without_clipping(), load_diffusers(home, clipping=False)):
        assert free.ddim_encoder(4).dimension == 16
        assert free.encoder().dimension == 16
    thresholded = {**SCHEDULER, "thresholding": True}
    assert load_diffusers(_folder(tmp_path, scheduler=thresholded), clipping=False)


def test_where_the_steps_lie(tmp_path):
    table = np.sqrt(np.cumprod(1.0 - np.linspace(1e-4, 0.02, 1000)))

    def levels(steps, **scheduler):
        model = load_diffusers(_folder(tmp_path, scheduler={**SCHEDULER, **scheduler}))
        decoder = model.ddim_decoder(steps)
        assert isinstance(decoder, ScheduledDDIM)
        return np.asarray(decoder.here), np.asarray(decoder.there)

    def close(found, wanted):
        np.testing.assert_allclose(found, wanted, rtol=1e-6)

    here, there = levels(4)
    close(here, table[[750, 500, 250, 0]])
    close(there, [*table[[500, 250, 0]], 1.0])
    here, there = levels(4, steps_offset=1, set_alpha_to_one=False)
    close(here, table[[751, 501, 251, 1]])
    close(there, table[[501, 251, 1, 0]])
    close(levels(4, timestep_spacing="trailing")[0], table[[999, 749, 499, 249]])
    close(levels(4, timestep_spacing="linspace")[0], table[[999, 666, 333, 0]])
    solver = {"_class_name": "DPMSolverMultistepScheduler", "final_sigmas_type": "sigma_min"}
    here, there = levels(3, **solver)
    close(here, table[[999, 666, 333]])
    close(there[-1], table[0])
    noise = levels(3, _class_name="EDMEulerScheduler", sigma_min=0.01, sigma_max=10.0)[0]
    close(np.sqrt(1 / noise**2 - 1)[[0, 2]], [10.0, 0.01])
    here = levels(2, _class_name="FlowMatchEulerDiscreteScheduler", shift=3.0)[0]
    # s = b/(a + b) begins at 1, and the shift is applied twice to 1/1000: as diffusers does.
    last = 3 * (3e-3 / 1.002) / (1 + 2 * 3e-3 / 1.002)
    close(here, [0.0, (1 - last) / np.hypot(last, 1 - last)])


def test_schedules_in_steps(tmp_path):
    def signals(**scheduler):
        model = load_diffusers(_folder(tmp_path, scheduler={**SCHEDULER, **scheduler}))
        return np.asarray(model.schedule.signals)

    betas = np.linspace(1e-4**0.5, 0.02**0.5, 1000) ** 2
    found = signals(beta_schedule="scaled_linear")
    np.testing.assert_allclose(found, np.sqrt(np.cumprod(1.0 - betas)), rtol=2e-6)
    betas = 1e-4 + (0.02 - 1e-4) / (1.0 + np.exp(-np.linspace(-6.0, 6.0, 1000)))
    found = signals(beta_schedule="sigmoid")
    np.testing.assert_allclose(found, np.sqrt(np.cumprod(1.0 - betas)), rtol=2e-6)
    given = {"trained_betas": [0.1, 0.2, 0.5], "num_train_timesteps": 3}
    np.testing.assert_allclose(signals(**given) ** 2, [0.9, 0.72, 0.36], rtol=1e-6)
    zero = {"rescale_betas_zero_snr": True, "prediction_type": "v_prediction"}
    found, plain = signals(**zero), signals()
    np.testing.assert_allclose(found[0], plain[0], rtol=1e-6)
    assert found[-1] < 1e-5
    # Nichol & Dhariwal's is cos² up to the cut at its end.
    shares = (np.arange(1, 501) / 1000 + 0.008) / 1.008
    wanted = np.cos(0.5 * np.pi * shares) / np.cos(0.5 * np.pi * 0.008 / 1.008)
    np.testing.assert_allclose(signals(beta_schedule="squaredcos_cap_v2")[:500], wanted, rtol=2e-6)


SCHEDULERS = [
    ("DDIMScheduler", {"clip_sample": False, "timestep_spacing": "linspace"}),
    ("DDIMScheduler", {"clip_sample": False, "prediction_type": "sample", "steps_offset": 1}),
    ("DDIMScheduler", {"clip_sample_range": 0.7, "prediction_type": "v_prediction"}),
    (
        "DDIMScheduler",
        {
            "clip_sample": False,
            "rescale_betas_zero_snr": True,
            "timestep_spacing": "trailing",
            "prediction_type": "v_prediction",
        },
    ),
    ("EulerDiscreteScheduler", {"timestep_spacing": "trailing", "prediction_type": "v_prediction"}),
    ("EDMEulerScheduler", {}),
    ("EDMEulerScheduler", {"sigma_data": 1.0, "prediction_type": "v_prediction"}),
    ("FlowMatchEulerDiscreteScheduler", {"shift": 3.0}),
    ("DPMSolverMultistepScheduler", {"solver_order": 1, "prediction_type": "v_prediction"}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "config"), SCHEDULERS, ids=str)
@pytest.mark.filterwarnings("ignore:::diffusers", "ignore::DeprecationWarning")
def test_steps_are_those_of_diffusers(name, config, tmp_path):
    torch, diffusers = pytest.importorskip("torch"), pytest.importorskip("diffusers")
    torch.manual_seed(0)
    network = diffusers.UNet2DModel(
        **{key: value for key, value in NETWORK.items() if key[0] != "_"}
    ).eval()
    scheduler = getattr(diffusers, name)(**config)
    network.save_pretrained(tmp_path / "unet", safe_serialization=name == "EDMEulerScheduler")
    scheduler.save_pretrained(tmp_path / "scheduler")
    decoder = load_diffusers(tmp_path).ddim_decoder(8)
    codes = np.random.default_rng(0).normal(size=(2, 16)).astype(np.float32)
    scheduler.set_timesteps(8)
    x = torch.from_numpy(codes.reshape(2, 1, 4, 4))
    scaled = name in ("EulerDiscreteScheduler", "EDMEulerScheduler")  # x_0 + σ ε, which is y/a
    x = x * float(np.hypot(1.0, scheduler.sigmas[0])) if scaled else x
    with torch.no_grad():
        for step in scheduler.timesteps:
            shown = scheduler.scale_model_input(x, step) if scaled else x
            x = scheduler.step(network(shown, step.repeat(2)).sample, step, x).prev_sample
    found = decoder(jnp.asarray(codes))
    error = np.linalg.norm(found - x.numpy().reshape(2, 16)) / np.linalg.norm(x)
    assert error < 1e-5  # single precision on both sides


def test_an_old_file_without_newer_names(tmp_path):
    old = {name: value for name, value in NETWORK.items() if name != "add_attention"}
    settings = dataclasses.replace(SETTINGS, add_attention=True, attention_head_dim=2)
    tensors = {
        name.replace("to_q", "query").replace("to_out.0", "proj_attn"): array
        for name, array in _tensors(settings).items()
    }
    home = _folder(tmp_path, {**old, "attention_head_dim": 2}, tensors=tensors)
    assert load_diffusers(home).dimension == 16
