"""DDIM sampling: images per second at 50 steps, batch 64, beside diffusers in one run.

    brenier reproduce peers-ddim-sampling --json      (needs the extra ``diffusers``)

28 x 28 grey images, 32 and 64 channels, one residual block a resolution, no attention outside of
the middle: the same sizes in both, float32, random weights, which cost what trained ones do.
Without diffusers only ours is timed, and ``diffusers`` is null. ``--seeds`` counts timed batches.
"""

import importlib
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brenier._progress import Progress
from brenier.experiments._command import command
from brenier.experiments._run import Run
from brenier.images import ImageModel, UNet, UNetSettings
from brenier.velocities import LinearSchedule

TIME = "minutes"

_STEPS, _BATCH, _SIDE = 50, 64, 28
_WIDTH, _MULTIPLIERS = 32, (1, 2)


def main(run: Run) -> dict[str, Any]:
    """Median images per second of each, over ``seeds`` batches (5 by default)."""
    count = run.seeds_or(5)
    run.progress(Progress(0, 2, "brenier"))
    ours, parameters = _ours(run.seed)
    rates: dict[str, Any] = {"brenier": _rate(ours, count)}
    run.progress(Progress(1, 2, "diffusers"))
    theirs = _theirs(run.seed)
    rates["diffusers"] = None if theirs is None else _rate(theirs[0], count)
    ratio = None if theirs is None else rates["brenier"] / rates["diffusers"]
    return {
        "images_per_second": rates,
        "ratio": ratio,
        "batches": count,
        "backend": jax.default_backend(),
        "parameters": {"brenier": parameters, "diffusers": None if theirs is None else theirs[1]},
    }


def _ours(seed: int) -> tuple[Callable[[], Any], int]:
    shape = (_SIDE, _SIDE, 1)
    settings = UNetSettings(shape, width=_WIDTH, multipliers=_MULTIPLIERS)
    network = UNet.random(jax.random.key(seed), settings)
    decoder = ImageModel(network, shape, "epsilon", LinearSchedule()).ddim_decoder(_STEPS)
    codes = jax.random.normal(jax.random.key(seed), (_BATCH, _SIDE * _SIDE), jnp.float32)
    size = sum(leaf.size for leaf in jax.tree.leaves(network))
    return lambda: jax.block_until_ready(decoder(codes)), size


def _theirs(seed: int) -> tuple[Callable[[], Any], int] | None:
    try:
        torch = importlib.import_module("torch")
        diffusers = importlib.import_module("diffusers")
    except ImportError:
        return None
    torch.manual_seed(seed)
    place = "cuda" if jax.default_backend() == "gpu" else "cpu"
    levels = len(_MULTIPLIERS)
    network = (
        diffusers.UNet2DModel(
            sample_size=_SIDE,
            in_channels=1,
            out_channels=1,
            layers_per_block=1,
            norm_num_groups=4,
            block_out_channels=tuple(_WIDTH * m for m in _MULTIPLIERS),
            attention_head_dim=None,
            down_block_types=("DownBlock2D",) * levels,
            up_block_types=("UpBlock2D",) * levels,
        )
        .to(place)
        .eval()
    )
    scheduler = diffusers.DDIMScheduler(clip_sample=False)

    def sample() -> Any:
        scheduler.set_timesteps(_STEPS)
        with torch.no_grad():
            x = torch.randn(_BATCH, 1, _SIDE, _SIDE, device=place)
            for step in scheduler.timesteps:
                x = scheduler.step(network(x, step).sample, step, x).prev_sample
        return np.asarray(x.cpu())

    return sample, sum(weight.numel() for weight in network.parameters())


def _rate(sample: Callable[[], Any], count: int) -> float:
    """Images per second, after a batch that compiles."""
    sample()
    seconds = []
    for _ in range(count):
        started = time.perf_counter()
        sample()
        seconds.append(time.perf_counter() - started)
    return _BATCH / statistics.median(seconds)


if __name__ == "__main__":
    command(__spec__.name)
