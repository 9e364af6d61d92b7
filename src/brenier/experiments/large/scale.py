"""Time and peak memory of ``MongeMap``, its defaults, against the number of points and dimensions.

    brenier reproduce large-scale --json                              (n up to 10^5, d up to 50)
    python -m brenier.experiments.large.scale --n 1000000 --d 50      (any size; a row each)
    python -m brenier.experiments.large.scale --n 100000 --d 2000 --h5ad

Points are written to ``.npy`` files block by block and fitted as memory maps
(``np.load(..., mmap_mode="r")``), each row in a process of its own, whose peak resident memory it
is (``floor_mib``: what the libraries need before any point is read). The source is a standard
Gaussian; the target is its image under x + 0.3 tanh(x) + 1 after a diagonal stretch.

With ``--h5ad``, AnnData in backed mode: d genes, which are ten such dimensions turned into R^d and
noise of 1 % across, learned in the default's principal components.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from brenier._arithmetic import keep_own_arithmetic
from brenier._progress import Progress
from brenier.experiments._process import peak_mib, run_module
from brenier.experiments._run import Run

TIME = "tens of minutes"

_ROWS = [(10**3, 2), (10**4, 2), (10**5, 2), (10**3, 50), (10**4, 50), (10**5, 50)]
_BLOCK = 2**15
# The number of dimensions of which the genes of ``--h5ad`` are linear combinations.
_LATENT = 10


def main(run: Run) -> dict[str, Any]:
    """A row of the table for each n up to 10^5 and d up to 50."""
    rows = []
    for done, (n, d) in enumerate(_ROWS):
        run.progress(Progress(done, len(_ROWS), f"n = {n:,}, d = {d}"))
        rows.append(row(n, d, run.seed))
    return {"rows": rows}


def row(n: int, d: int, seed: int, h5ad: bool = False) -> dict[str, Any]:
    """One row of the table, measured in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        for index, name in enumerate(("x", "y")):
            path = Path(folder, f"{name}.npy")
            _write(path, n, d, seed + index, bent=name == "y", genes=h5ad)
            if h5ad:
                _as_anndata(path)
        found = run_module(__spec__.name, ["--measure", folder, "--seed", str(seed)])
    return {"n": n, "d": d, **found}


def _write(path: Path, n: int, d: int, seed: int, *, bent: bool, genes: bool) -> None:
    random = np.random.default_rng(seed)
    file = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=(n, d))
    frame = _frame(d)
    for start in range(0, n, _BLOCK):
        count = min(_BLOCK, n - start)
        x = random.standard_normal((count, _LATENT if genes else d))
        x = _bend(x) if bent else x
        if genes:
            x = x @ frame + 0.01 * random.standard_normal((count, d))
        file[start : start + _BLOCK] = x
    file.flush()


def _as_anndata(path: Path) -> None:
    from anndata import AnnData

    AnnData(np.asarray(np.load(path, mmap_mode="r"))).write_h5ad(path.with_suffix(".h5ad"))
    path.unlink()


def _bend(x: np.ndarray) -> np.ndarray:
    return (x + 0.3 * np.tanh(x)) * np.linspace(0.5, 2.0, x.shape[1]) + 1.0


def _frame(d: int) -> np.ndarray:
    """Orthonormal rows (10, d), always the same; d of them where there are no more."""
    return np.linalg.qr(np.random.default_rng(0).standard_normal((d, _LATENT)))[0].T


def _measure(folder: Path, seed: int) -> dict[str, Any]:
    from brenier import MongeMap

    floor = peak_mib()
    h5ad = (folder / "x.h5ad").exists()
    x, y = (_opened(folder / name, h5ad) for name in ("x", "y"))
    started = time.perf_counter()
    estimator = MongeMap(random_state=seed).fit(x, y)
    stats = estimator.solution_.stats
    fitted = time.perf_counter() - started
    some, others = (np.array(z.X[:1000] if h5ad else z[:1000]) for z in (x, y))
    truth = _bend(some)
    if h5ad:
        frame = _frame(x.shape[1])
        inside = some @ frame.T
        truth = some + (_bend(inside) - inside) @ frame
    error = np.sum((estimator.transform(some) - truth) ** 2, axis=1).mean()
    return {
        "seconds": fitted,
        "peak_mib": peak_mib(),
        "floor_mib": floor,
        "file_mib": sum(path.stat().st_size for path in folder.iterdir()) / 2**20,
        "steps": stats["steps"],
        "l2_uvp": float(100.0 * error / others.var(axis=0).sum()),
    }


def _opened(path: Path, h5ad: bool) -> Any:
    if not h5ad:
        return np.load(path.with_suffix(".npy"), mmap_mode="r")
    from anndata import read_h5ad

    return read_h5ad(path.with_suffix(".h5ad"), backed="r")


def command() -> None:
    """One row from a shell, of any size."""
    keep_own_arithmetic()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--n", type=int, nargs="+", default=[10**6])
    parser.add_argument("--d", type=int, nargs="+", default=[50])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--h5ad", action="store_true", help="AnnData in backed mode")
    parser.add_argument("--measure", type=Path, help="fit x to y, files in this folder, and report")
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(_measure(given.measure, given.seed)))
        return
    for d in given.d:
        for n in given.n:
            print(json.dumps(row(n, d, given.seed, given.h5ad)), flush=True)


if __name__ == "__main__":
    command()
