"""``brenier ddpm encode``: images are read, encoded and written a block at a time."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from brenier._progress import Progress, ProgressCallback
from brenier.cli._ddpm_choices import ImageChoice, MapChoice
from brenier.cli._ddpm_maps import block_rows, check_array_file, decoded, encoded, round_trip
from brenier.cli._ddpm_train import image_rows
from brenier.cli._transport import mean_cost
from brenier.io import ImageSet, atomic_write, load_model


def run_encode(
    folder: Path,
    choice: ImageChoice,
    out: Path,
    maps: MapChoice,
    label: int | None,
    limit: int | None,
    progress: ProgressCallback,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Write the codes of images; the result, and its rows for people.

    A folder of any number of pictures takes the memory of one block of them.
    """
    started = time.perf_counter()
    check_array_file(out)
    model = load_model(folder).with_label(label)
    rows = block_rows(model)
    most, blocks = choice.blocks(model, rows, limit)
    sums = _Sums()
    with atomic_write(out) as handle:
        for found in blocks:
            progress(Progress(sums.images, most, "encoding"))
            x = model.points(found.pixels)
            # One shape for all blocks: the last of several is filled up. Few images have their own.
            filled = np.resize(x, (rows, x.shape[1])) if sums.images else x
            codes = encoded(model, filled, maps, _untold)
            back = decoded(model, codes, maps, _untold)[: len(x)]
            codes = codes[: len(x)]
            if not sums.images:
                _write_header(handle, codes, most)
            handle.write(codes.tobytes())
            sums.add(x, codes[:, : model.dimension], back)
        if sums.images < most:  # damaged pictures were skipped
            handle.seek(0)
            _write_header(handle, codes, sums.images)
    return _told(sums, found, choice, out, maps.name(model), maps, time.perf_counter() - started)


@dataclass
class _Sums:
    """What is told of codes, block by block."""

    images: int = 0
    dimension: int = 0
    error: float = 0.0
    cost: float = 0.0
    total: float = 0.0
    squares: float = 0.0

    def add(self, x: np.ndarray, codes: np.ndarray, back: np.ndarray) -> None:
        """Count a block; of pairs of codes the first."""
        self.dimension = x.shape[1]
        self.images += len(x)
        self.error = max(self.error, round_trip(x, back))
        self.cost += len(x) * mean_cost(x.astype(np.float64), codes)
        self.total += float(codes.sum(dtype=np.float64))
        self.squares += float(np.square(codes, dtype=np.float64).sum())

    def mean_and_deviation(self) -> tuple[float, float]:
        """Of all numbers in all codes."""
        count = self.images * self.dimension
        mean = self.total / count
        return mean, float(np.sqrt(max(self.squares / count - mean**2, 0.0)))


def _write_header(handle: Any, codes: np.ndarray, images: int) -> None:
    """The header of an .npy file; NumPy leaves room in it for any number of rows."""
    described = {
        "descr": np.lib.format.dtype_to_descr(codes.dtype),
        "fortran_order": False,
        "shape": (images, codes.shape[1]),
    }
    np.lib.format.write_array_header_1_0(handle, described)


def _untold(now: Progress) -> None:
    """Of the steps within a block nothing is told."""


def _told(
    sums: _Sums,
    found: ImageSet,
    choice: ImageChoice,
    out: Path,
    method: str,
    maps: MapChoice,
    seconds: float,
) -> tuple[dict[str, Any], dict[str, str]]:
    """The result, and its rows; ``found`` is the last block, which knows all that was changed."""
    cost = sums.cost / sums.images
    mean, deviation = sums.mean_and_deviation()
    result = {
        "file": str(out),
        "images": sums.images,
        "dimension": sums.dimension,
        "method": method,
        "precision": maps.precision,
        "round_trip_error": sums.error,
        "cost": cost,
        "code_mean": mean,
        "code_deviation": deviation,
        "notes": list(found.notes),
        "class_names": found.class_names,
        "skipped": [list(item) for item in found.skipped],
        "seconds": seconds,
    }
    rows = {
        "images": f"{sums.images:,} from {choice.images}",
        **image_rows(found),
        "method": method,
        "round trip, relative error": f"{sums.error:.3g}",
        "codes, mean and deviation": f"{mean:.3g}, {deviation:.4g}",
        "mean ‖E(x) − x‖²": f"{cost:.6g}",
        "seconds": f"{seconds:.1f}",
        "file": str(out),
    }
    return result, rows
