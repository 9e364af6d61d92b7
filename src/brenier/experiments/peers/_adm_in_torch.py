"""A model folder of a guided-diffusion network, evaluated in PyTorch's layers, without JAX.

python _adm_in_torch.py FOLDER IMAGE.npy STEP REPEATS OUT.npy: a JSON object of seconds and memory.
"""

import contextlib
import json
import math
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

# Run where there is PyTorch; read, as every module is, where there is none.
with contextlib.suppress(ImportError):
    import torch
    from safetensors.torch import load_file
    from torch.nn import functional


class Network:
    """The network in a folder, by the names of its weights there."""

    def __init__(self, folder: Path):
        self.settings: dict[str, Any] = json.loads((folder / "config.json").read_text())["network"]
        weights = load_file(folder / "weights.safetensors")
        self.weights: dict[str, Any] = {}
        for name in list(weights):
            own = weights.pop(name)
            # Of torch's layout: outputs before inputs.
            order = {4: (3, 2, 0, 1), 2: (1, 0)}.get(own.ndim, (0,))
            self.weights[name] = own.permute(order).contiguous()

    def __call__(self, step: float, image: Any) -> Any:
        half = self.settings["width"] // 2
        frequencies = torch.exp(-math.log(1e4) * torch.arange(half, dtype=torch.float32) / half)
        angles = step * frequencies[None]
        told = self.dense("embedding.0", torch.cat([angles.sin(), angles.cos()], dim=1))
        told = self.dense("embedding.1", functional.silu(told))
        hidden = self.conv("stem", image)
        passed, levels = [hidden], len(self.settings["multipliers"])
        for level in range(levels):
            for i in range(self.settings["blocks"]):
                hidden = self.step(f"down.{level}.{i}", hidden, told)
                passed.append(hidden)
            if level + 1 < levels:
                half_size = self.halved if self.residual else self.strided
                hidden = half_size(f"halving.{level}", hidden, told)
                passed.append(hidden)
        for i in range(2):
            hidden = self.step(f"middle.{i}", hidden, told)
        for level in range(levels):
            for i in range(self.settings["blocks"] + 1):
                hidden = torch.cat([hidden, passed.pop()], dim=1)
                hidden = self.step(f"up.{level}.{i}", hidden, told)
            if level + 1 < levels:
                name = f"doubling.{level}"
                if self.residual:
                    hidden = self.block(name, hidden, told, _doubled)
                else:
                    hidden = self.conv(name, _doubled(hidden))
        return self.conv("head", functional.silu(self.norm("norm", hidden)))[:, :3]

    @property
    def residual(self) -> bool:
        """Whether blocks resample."""
        return self.settings["resampling"] == "residual"

    def halved(self, name: str, x: Any, told: Any) -> Any:
        return self.block(name, x, told, lambda y: functional.avg_pool2d(y, 2))

    def strided(self, name: str, x: Any, told: Any) -> Any:
        return self.conv(name, x, stride=2)

    def step(self, name: str, x: Any, told: Any) -> Any:
        x = self.block(f"{name}.block", x, told)
        if f"{name}.attention.norm.scale" not in self.weights:
            return x
        return self.attend(f"{name}.attention", x)

    def block(
        self, name: str, x: Any, told: Any, resampled: Callable[[Any], Any] = lambda y: y
    ) -> Any:
        hidden = resampled(functional.silu(self.norm(f"{name}.first_norm", x)))
        hidden = self.conv(f"{name}.first", hidden)
        more = self.dense(f"{name}.modulation", functional.silu(told))[..., None, None]
        if self.settings["modulation"] == "shift":
            hidden = self.norm(f"{name}.second_norm", hidden + more)
        else:
            scale, shift = more.chunk(2, dim=1)
            hidden = self.norm(f"{name}.second_norm", hidden) * (1 + scale) + shift
        straight = resampled(x)
        if f"{name}.shortcut.weight" in self.weights:
            kernel = self.weights[f"{name}.shortcut.weight"][..., None, None]
            straight = functional.conv2d(straight, kernel, self.weights[f"{name}.shortcut.bias"])
        return straight + self.conv(f"{name}.second", functional.silu(hidden))

    def attend(self, name: str, x: Any) -> Any:
        _, channels, height, width = x.shape
        heads = channels // self.settings["head_channels"]
        rows = self.norm(f"{name}.norm", x).reshape(channels, -1).T
        q, k, v = (
            self.dense(f"{name}.queries", rows).reshape(-1, 3, heads, channels // heads).unbind(1)
        )
        shares = torch.einsum("ihc,jhc->hij", q, k) * (channels // heads) ** -0.5
        mixed = torch.einsum("hij,jhc->ihc", shares.softmax(-1), v).reshape(-1, channels)
        return x + self.dense(f"{name}.output", mixed).T.reshape(1, channels, height, width)

    def dense(self, name: str, x: Any) -> Any:
        return functional.linear(x, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def norm(self, name: str, x: Any) -> Any:
        scale, shift = self.weights[f"{name}.scale"], self.weights[f"{name}.shift"]
        return functional.group_norm(x, 32, scale, shift)

    def conv(self, name: str, x: Any, stride: int = 1) -> Any:
        kernel, bias = self.weights[f"{name}.kernel"], self.weights[f"{name}.bias"]
        return functional.conv2d(x, kernel, bias, stride=stride, padding=1)


def _doubled(x: Any) -> Any:
    return functional.interpolate(x, scale_factor=2, mode="nearest")


def main() -> None:
    """From the command line."""
    folder, image, step, repeats, out = sys.argv[1:]
    network = Network(Path(folder))
    x = torch.from_numpy(np.load(image).transpose(2, 0, 1)[None].copy())
    seconds, work = [], []
    with torch.inference_mode():
        for _ in range(int(repeats)):
            started, busy = time.perf_counter(), time.process_time()
            found = network(float(step), x)
            seconds.append(time.perf_counter() - started)
            work.append(time.process_time() - busy)
    np.save(out, found[0].numpy().transpose(1, 2, 0))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            peak = int(line.split()[1]) / 1024.0
    print(json.dumps({"seconds": seconds, "cpu_seconds": work, "peak_memory_mib": peak}))


if __name__ == "__main__":
    main()
