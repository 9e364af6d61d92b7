"""``brenier ddpm import``."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from brenier._progress import Progress, ProgressCallback
from brenier.io import (
    GuidedDiffusion,
    check_model_folder,
    import_guided_diffusion,
    load_diffusers,
    read_model_config,
    save_model,
)


def run_import(
    checkpoint: Path, out: Path, told: GuidedDiffusion, progress: ProgressCallback
) -> tuple[dict[str, Any], dict[str, str]]:
    """Write the model folder; the result, and its rows for people."""
    started = time.perf_counter()
    progress(Progress(0, 0, "reading weights"))
    about = import_guided_diffusion(checkpoint, out, told)
    config = read_model_config(out)
    network = config["network"]
    steps = network["timesteps"]
    channels = (int(network["width"] * multiplier) for multiplier in network["multipliers"])
    own_rows = {
        "attention at heights": ", ".join(map(str, network["attention"])) or "the least only",
        "schedule": f"{steps['schedule']}, {steps['count']:,} steps",
    }
    return _told(checkpoint, out, about, config, {"network": network}, channels, own_rows, started)


def run_import_diffusers(
    folder: Path, out: Path, clipping: bool, progress: ProgressCallback
) -> tuple[dict[str, Any], dict[str, str]]:
    """``run_import`` of a folder of diffusers."""
    started = time.perf_counter()
    check_model_folder(out)
    progress(Progress(0, 0, "reading weights"))
    model = load_diffusers(folder, clipping=clipping)
    about = {"checkpoint": str(folder), "family": "diffusers"}
    progress(Progress(0, 0, "writing weights"))
    save_model(out, model, about)
    config = read_model_config(out)
    noise, clip = config["network"]["noise"], config["sampling"]["clip"]
    own = {
        "prediction": noise["prediction"],
        "levels": noise["kind"],
        "steps": noise["count"],
        "clip": clip,
    }
    own_rows = {
        "prediction": f"{noise['prediction']}, told by {noise['kind']} ({noise['count']:,})",
        "clipping": "none" if clip is None else f"at {clip:g}: decodes only (--no-clipping)",
    }
    channels = config["network"]["block_out_channels"]
    return _told(folder, out, about, config, own, channels, own_rows, started)


def _told(
    checkpoint: Path,
    out: Path,
    about: dict[str, Any],
    config: dict[str, Any],
    own: dict[str, Any],
    channels: Iterable[int],
    own_rows: dict[str, str],
    started: float,
) -> tuple[dict[str, Any], dict[str, str]]:
    """What is told of any model folder, and what its family has of its ``own``."""
    seconds = time.perf_counter() - started
    result = {
        "folder": str(out),
        **about,
        "shape": config["shape"],
        "classes": config["classes"],
        **own,
        "seconds": seconds,
    }
    height, width, depth = config["shape"]
    rows = {
        "checkpoint": str(checkpoint),
        "images": f"{height} x {width} x {depth}",
        "classes": f"{config['classes']:,}",
        "channels": ", ".join(f"{count:,}" for count in channels),
        **own_rows,
        "seconds": f"{seconds:.1f}",
        "model": str(out),
    }
    return result, rows
