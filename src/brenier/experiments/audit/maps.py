"""``MongeMap`` with its defaults, audited: the map of DLV26's Figure 2, and a colour transfer.

Each is fitted on one sample and audited on another. The maps are gradients of convex functions, so
that they are optimal onto their images by construction; whether these are the targets is the
question. Figure 2 is audited once more as bare pairs, where nothing is known by construction.
"""

import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from sklearn.datasets import load_sample_images

import brenier
from brenier._progress import Progress
from brenier.certify import Certificate
from brenier.experiments._command import command
from brenier.experiments._run import Run
from brenier.problems import figure2

TIME = "minutes"

_FITTED, _AUDITED = 16_384, 20_000


def main(run: Run) -> dict[str, Any]:
    """Fit, audit, and write the reports; the certificates as dictionaries."""
    report = {}
    for index, (name, clouds) in enumerate((("figure2", _figure2), ("colours", _colours))):
        run.progress(Progress(2 * index, 4, f"{name}: fitting"))
        x, y, fresh_x, fresh_y, target = clouds(run.seed)
        started = time.perf_counter()
        estimator = brenier.MongeMap(random_state=run.seed).fit(x, y)
        seconds = time.perf_counter() - started
        run.progress(Progress(2 * index + 1, 4, f"{name}: auditing"))
        certificate = estimator.audit(fresh_x, fresh_y if target is None else target)
        report[name] = _written(certificate, run.out / f"{name}.html", seconds)
        if name == "figure2":
            pairs = brenier.audit_pairs(fresh_x, estimator.transform(fresh_x), fresh_y)
            report["figure2_pairs"] = _written(pairs, run.out / "figure2_pairs.html", seconds)
    return {"maps": report}


def _figure2(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Any]:
    problem = figure2()
    keys = jax.random.split(jax.random.key(seed), 4)
    sizes = (_FITTED, _FITTED, _AUDITED, _AUDITED)
    measures = (problem.source, problem.target, problem.source, problem.target)
    x, y, fresh_x, fresh_y = (
        np.asarray(m.sample(k, n)) for m, k, n in zip(measures, keys, sizes, strict=True)
    )
    return x, y, fresh_x, fresh_y, problem.target


def _colours(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, Any]:
    random = np.random.default_rng(seed)
    clouds = []
    for image in load_sample_images().images:
        pixels = random.permutation(image.reshape(-1, 3) / 255.0)
        clouds.append((pixels[:_FITTED], pixels[_FITTED : _FITTED + _AUDITED]))
    (x, fresh_x), (y, fresh_y) = clouds
    return x, y, fresh_x, fresh_y, None


def _written(certificate: Certificate, path: Path, seconds: float) -> dict[str, Any]:
    certificate.to_html(path)
    return {**certificate.to_dict(), "fit_seconds": seconds, "report": str(path)}


if __name__ == "__main__":
    command(__spec__.name)
