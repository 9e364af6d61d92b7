"""Time and peak memory of ``MongeMap``, its defaults, against the number of points and dimensions.

    brenier bench scale --json                          (n up to 10^5, d up to 50)
    python benchmarks/scale.py --n 1000000 --d 50       (any size; a row each)

Points are written to ``.npy`` files block by block and fitted as memory maps
(``np.load(..., mmap_mode="r")``), each row in a process of its own, whose peak resident memory it
is (``floor_mib``: what the libraries need before any point is read). The source is a standard
Gaussian; the target is its image under x + 0.3 tanh(x) + 1 after a diagonal stretch.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from brenier.cli._apart import peak_mib, run_apart
from brenier.cli._console import ProgressReport

_ROWS = [(10**3, 2), (10**4, 2), (10**5, 2), (10**3, 50), (10**4, 50), (10**5, 50)]
_BLOCK = 2**15


def main(
    out: Path, seed: int, seeds: int | None, data: list[Path] | None, progress: ProgressReport
) -> dict[str, Any]:
    """What ``brenier bench scale`` runs."""
    rows = []
    for done, (n, d) in enumerate(_ROWS):
        progress(done, len(_ROWS), f"n = {n:,}, d = {d}")
        rows.append(row(n, d, seed))
    return {"rows": rows}


def row(n: int, d: int, seed: int) -> dict[str, Any]:
    """One row of the table, measured in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        for index, name in enumerate(("x", "y")):
            _write(Path(folder, f"{name}.npy"), n, d, seed + index, bent=name == "y")
        found = run_apart(__file__, ["--measure", folder, "--seed", str(seed)])
    return {"n": n, "d": d, **found}


def _write(path: Path, n: int, d: int, seed: int, *, bent: bool) -> None:
    random = np.random.default_rng(seed)
    file = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n, d))
    for start in range(0, n, _BLOCK):
        x = random.standard_normal((min(_BLOCK, n - start), d))
        if bent:
            x = (x + 0.3 * np.tanh(x)) * np.linspace(0.5, 2.0, d) + 1.0
        file[start : start + _BLOCK] = x
    file.flush()


def _measure(folder: str, seed: int) -> dict[str, Any]:
    from brenier import MongeMap

    floor = peak_mib()
    x, y = (np.load(Path(folder, f"{name}.npy"), mmap_mode="r") for name in ("x", "y"))
    started = time.perf_counter()
    estimator = MongeMap(random_state=seed).fit(x, y)
    stats = estimator.solution_.stats
    fitted = time.perf_counter() - started
    some = np.array(x[:1000])
    truth = (some + 0.3 * np.tanh(some)) * np.linspace(0.5, 2.0, x.shape[1]) + 1.0
    error = np.sum((estimator.transform(some) - truth) ** 2, axis=1).mean()
    return {
        "seconds": fitted, "peak_mib": peak_mib(), "floor_mib": floor,
        "file_mib": 2 * x.nbytes / 2**20, "steps": stats["steps"],
        "l2_uvp": float(100.0 * error / y[:1000].var(axis=0).sum()),
    }  # fmt: skip


def command() -> None:
    """One row from a shell, of any size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--n", type=int, nargs="+", default=[10**6])
    parser.add_argument("--d", type=int, nargs="+", default=[50])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--measure", help="fit x.npy to y.npy in this folder, and report")
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(_measure(given.measure, given.seed)))
        return
    for d in given.d:
        for n in given.n:
            print(json.dumps(row(n, d, given.seed)), flush=True)


if __name__ == "__main__":
    command()
