"""``brenier ddpm import``."""

import time
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
    seconds = time.perf_counter() - started
    result = {
        "folder": str(out),
        **about,
        "shape": config["shape"],
        "classes": config["classes"],
        "network": network,
        "seconds": seconds,
    }
    height, width, channels = config["shape"]
    steps = network["timesteps"]
    rows = {
        "checkpoint": str(checkpoint),
        "images": f"{height} x {width} x {channels}",
        "classes": f"{config['classes']:,}",
        "channels": ", ".join(f"{int(network['width'] * m):,}" for m in network["multipliers"]),
        "attention at heights": ", ".join(map(str, network["attention"])) or "the least only",
        "schedule": f"{steps['schedule']}, {steps['count']:,} steps",
        "seconds": f"{seconds:.1f}",
        "model": str(out),
    }
    return result, rows


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
    network, seconds = config["network"], time.perf_counter() - started
    noise = network["noise"]
    result = {
        "folder": str(out),
        **about,
        "shape": config["shape"],
        "classes": config["classes"],
        "prediction": noise["prediction"],
        "levels": noise["kind"],
        "steps": noise["count"],
        "clip": config["sampling"]["clip"],
        "seconds": seconds,
    }
    height, width, channels = config["shape"]
    clip = result["clip"]
    rows = {
        "checkpoint": str(folder),
        "images": f"{height} x {width} x {channels}",
        "classes": f"{config['classes']:,}",
        "channels": ", ".join(f"{count:,}" for count in network["block_out_channels"]),
        "prediction": f"{noise['prediction']}, told by {noise['kind']} ({noise['count']:,})",
        "clipping": "none" if clip is None else f"at {clip:g}: decodes only (--no-clipping)",
        "seconds": f"{seconds:.1f}",
        "model": str(out),
    }
    return result, rows
