"""``brenier ddpm import``."""

import time
from pathlib import Path
from typing import Any

from brenier._progress import Progress, ProgressCallback
from brenier.io import GuidedDiffusion, import_guided_diffusion, read_model_config


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
