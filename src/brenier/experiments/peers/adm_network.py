"""One evaluation of guided-diffusion's network at 256 px, beside PyTorch's layers in one run.

    brenier reproduce peers-adm-network --json      (64 channels in place of 256; minutes)
    python -m brenier.experiments.peers.adm_network --width 256       (all 553 million weights)

Random weights of the published architecture (two blocks at six resolutions, residual resampling,
attention at 32, 16 and 8 px), float32, one image, each side in a process of its own: seconds, CPU
seconds and peak memory, and how far the two answers are apart. Without PyTorch only ours is timed.
``--seeds`` counts the evaluations.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from brenier._arithmetic import keep_own_arithmetic
from brenier._extras import is_installed
from brenier._progress import Progress, ProgressCallback
from brenier.experiments._process import peak_mib, run_module, run_python
from brenier.experiments._run import Run
from brenier.images import ImageModel, Timesteps, UNet, UNetSettings
from brenier.io import load_model, save_model

TIME = "minutes"

_SIDE, _STEP = 256, 500


def settings(width: int, side: int = _SIDE) -> UNetSettings:
    """The published architecture, of so many channels at the finest resolution."""
    return UNetSettings(
        (side, side, 3),
        width=width,
        multipliers=(1, 1, 2, 2, 4, 4),
        blocks=2,
        attention=tuple(side // divisor for divisor in (8, 16, 32)),
        head_channels=min(64, width),
        resampling="residual",
        variance=True,
        timesteps=Timesteps(),
    )


def measure(
    progress: ProgressCallback, *, width: int, side: int, repeats: int, seed: int
) -> dict[str, Any]:
    """Both sides, one after the other."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        progress(Progress(0, 3, "weights"))
        weights = _write(folder, settings(width, side), seed)
        arguments = [home, str(repeats)]
        progress(Progress(1, 3, "brenier"))
        assert __spec__ is not None
        ours = run_module(__spec__.name, ["--evaluate", *arguments])
        progress(Progress(2, 3, "torch"))
        theirs, apart = None, None
        if is_installed("torch"):
            script = Path(__file__).with_name("_adm_in_torch.py")
            places = [str(folder / name) for name in ("image.npy", "theirs.npy")]
            theirs = run_python([str(script), home, places[0], str(_STEP), str(repeats), places[1]])
            if "failed" not in ours and "failed" not in theirs:
                here, there = np.load(folder / "ours.npy"), np.load(folder / "theirs.npy")
                apart = float(np.linalg.norm(here - there) / np.linalg.norm(there))
    progress(Progress(3, 3, "done"))
    return {
        "width": width,
        "side": side,
        "weights": weights,
        "brenier": ours,
        "torch": theirs,
        "relative_difference": apart,
    }


def _write(folder: Path, architecture: UNetSettings, seed: int) -> int:
    """A model of random weights and an image; the number of weights."""
    network = UNet.random(jax.random.key(seed), architecture)
    random = np.random.default_rng(seed)
    # New networks are 0: the layers that start there get something to say.
    network = jax.tree.map(
        lambda a: a + 0.02 * random.standard_normal(a.shape, np.float32), network
    )
    assert architecture.timesteps is not None
    schedule = architecture.timesteps.table
    save_model(folder, ImageModel(network, architecture.shape, "epsilon", schedule))
    np.save(folder / "image.npy", random.standard_normal(architecture.shape, np.float32))
    return sum(leaf.size for leaf in jax.tree.leaves(network))


def evaluate(folder: Path, repeats: int) -> dict[str, Any]:
    """Our side, in this process."""
    model = load_model(folder)
    image = jnp.asarray(np.load(folder / "image.npy"))
    signal = model.schedule.signal(jnp.asarray(_STEP + 1.0))
    network = jax.jit(lambda net, a, x: net(a, x))
    started = time.perf_counter()
    compiled = network.lower(model.network, signal, image).compile()
    compilation = time.perf_counter() - started
    seconds, work = [], []
    for _ in range(repeats):
        started, busy = time.perf_counter(), time.process_time()
        found = np.asarray(compiled(model.network, signal, image))
        seconds.append(time.perf_counter() - started)
        work.append(time.process_time() - busy)
    np.save(folder / "ours.npy", found)
    return {
        "seconds": seconds,
        "cpu_seconds": work,
        "peak_memory_mib": peak_mib(),
        "compilation_seconds": compilation,
    }


def main(run: Run) -> dict[str, Any]:
    """At 64 channels, three times by default."""
    return measure(run.progress, width=64, side=_SIDE, repeats=run.seeds_or(3), seed=run.seed)


def command() -> None:
    """The same from a shell, of any size."""
    keep_own_arithmetic()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--width", type=int, default=64, help="channels at the finest resolution")
    parser.add_argument("--side", type=int, default=_SIDE, help="pixels of the image")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--evaluate", nargs=2, help=argparse.SUPPRESS)
    given = vars(parser.parse_args())
    own = given.pop("evaluate")
    if own is None:
        print(json.dumps(measure(lambda _: None, **given), indent=2))
    else:
        print(json.dumps(evaluate(Path(own[0]), int(own[1]))))


if __name__ == "__main__":
    command()
