"""Folders of the diffusers library; with it installed, against its own DDIM."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier.io import load_diffusers
from brenier.velocities import DDIM

NETWORK = {"_class_name": "UNet2DModel", "sample_size": 8, "in_channels": 1}
SCHEDULER = {"beta_schedule": "linear", "num_train_timesteps": 1000}


def _folder(path, network=NETWORK, scheduler=SCHEDULER):
    (path / "config.json").write_text(json.dumps(network))
    (path / "scheduler_config.json").write_text(json.dumps(scheduler))
    return path


@pytest.mark.parametrize(
    ("network", "scheduler", "phrase"),
    [
        ({"_class_name": "Transformer2DModel"}, SCHEDULER, "got a Transformer2DModel; wants"),
        (NETWORK, {**SCHEDULER, "prediction_type": "sample"}, "got the prediction 'sample'"),
        (NETWORK, {**SCHEDULER, "beta_schedule": "sigmoid"}, "got the schedule 'sigmoid'"),
        (NETWORK, [], "got no configuration"),
    ],
)
def test_what_brenier_does_not_know(network, scheduler, phrase, tmp_path):
    with pytest.raises(ValueError, match=phrase):
        load_diffusers(_folder(tmp_path, network, scheduler))


def test_no_folder_and_no_extra(tmp_path):
    with pytest.raises(ValueError, match="no such file; wants a model folder of diffusers"):
        load_diffusers(tmp_path)
    try:
        import diffusers  # noqa: F401
    except ImportError:
        with pytest.raises(ValueError, match=r'pip install "brenier\[diffusers\]"'):
            load_diffusers(_folder(tmp_path))


@pytest.mark.slow
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_a_small_model_of_diffusers_predicts_and_samples_alike(prediction, tmp_path):
    diffusers = pytest.importorskip("diffusers")
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    network = diffusers.UNet2DModel(
        sample_size=8,
        in_channels=1,
        out_channels=1,
        layers_per_block=1,
        norm_num_groups=4,
        block_out_channels=(8, 8),
        down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2,
    ).eval()
    scheduler = diffusers.DDIMScheduler(
        beta_schedule="linear", clip_sample=False, prediction_type=prediction
    )
    network.save_pretrained(tmp_path / "unet", safe_serialization=True)
    scheduler.save_pretrained(tmp_path / "scheduler")
    model = load_diffusers(tmp_path)
    codes = np.random.default_rng(0).normal(size=(3, 1, 8, 8)).astype(np.float32)
    table = np.sqrt(scheduler.alphas_cumprod.numpy())
    scheduler.set_timesteps(20)
    wanted = torch.from_numpy(codes)
    with torch.no_grad():
        predicted = network(wanted, 400).sample.numpy()
        for step in scheduler.timesteps:
            wanted = scheduler.step(network(wanted, step).sample, step, wanted).prev_sample
    flat = jnp.asarray(codes.reshape(3, 64))
    found = jax.vmap(model.predicted, in_axes=(None, 0))(jnp.asarray(table[400]), flat)
    # float32 on both sides, the time step interpolated.
    np.testing.assert_allclose(found, predicted.reshape(3, 64), atol=1e-4)
    # diffusers' last step goes to the clean image.
    levels = [*table[scheduler.timesteps.numpy()], 1.0]
    sampled = DDIM(model, jnp.asarray(levels), 64)(flat)
    assert np.abs(wanted.numpy()).max() > 0.1
    np.testing.assert_allclose(sampled, wanted.numpy().reshape(3, 64), rtol=1e-3, atol=1e-3)
