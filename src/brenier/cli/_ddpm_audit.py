"""``brenier ddpm audit``: the encoder of an image model against optimal transport."""

import dataclasses
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from brenier._checks import check_points
from brenier._extras import check_installed
from brenier._progress import Progress, ProgressCallback
from brenier._row_checks import FEWEST
from brenier.certify import assignment_test, audit_pairs, jacobian_asymmetry
from brenier.cli._ddpm_choices import AuditChoice, ImageChoice, MapChoice
from brenier.cli._ddpm_controls import aligned, alignment_rows, controlled, what_it_shows
from brenier.cli._ddpm_maps import decoded, encoded, round_trip
from brenier.cli._ddpm_train import image_rows
from brenier.images import ImageModel, bits_per_dimension
from brenier.io import PAGE_ENDINGS, ImageSet, atomic_write, check_folder, load_model, read_points
from brenier.measures import StandardNormal

# Up to this dimension the trace of a likelihood is exact; beyond, it is Hutchinson's estimate from
# so many random signs.
_TRACE_DIMENSION, _PROBES = 128, 8
_BITS_TOLERANCE = 1e-3
# Images that are decoded again for the round trip.
_BACK = 16


def run_encoder_audit(
    folder: Path,
    choice: ImageChoice,
    report: Path | None,
    label: int | None,
    settings: AuditChoice,
    progress: ProgressCallback,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Encode held-out images, under a label, and audit the pairs; result, and rows for people."""
    if report is not None:
        check_folder(report, PAGE_ENDINGS)
        check_installed("--report", "matplotlib")
    model = load_model(folder).with_label(label)
    return audit_model(model, choice.read(model, settings.limit), report, settings, progress)


def audit_model(
    model: ImageModel,
    images: ImageSet,
    report: Path | None,
    settings: AuditChoice,
    progress: ProgressCallback,
) -> tuple[dict[str, Any], dict[str, str]]:
    """``run_encoder_audit`` of a model and images in memory."""
    started = time.perf_counter()
    key = jax.random.key(settings.seed)
    x = image_points(model, images)
    _check_enough(images.file, x)
    codes = encoded(model, x, settings.maps, progress).astype(np.float64)
    few = slice(0, _BACK)
    back = decoded(model, codes[few], settings.maps, progress)
    wrong = None
    if settings.controls:
        wrong = controlled(encoded, model, x, settings.maps, progress, "encoding")
    progress(Progress(0, 0, "assigning and bounding"))
    test = assignment_test(x, codes)
    control = None if wrong is None else assignment_test(x, wrong)
    near = aligned(x, codes, wrong, settings.seed)
    certificate = audit_pairs(
        x,
        codes,
        StandardNormal(model.dimension),
        key=key,
        level=settings.level,
        samples=max(len(x), 40),
        budget=settings.budget,
    )
    result: dict[str, Any] = {
        "images": len(x),
        "dimension": model.dimension,
        "method": settings.maps.name(model),
        "precision": settings.maps.precision,
        "round_trip_error": round_trip(x[few], back),
        "assignment": dataclasses.asdict(test),
        "assignment_control": None if control is None else dataclasses.asdict(control),
        "alignment": near,
        "certificate": certificate.to_dict(),
        "class_names": images.class_names,
        "skipped": [list(item) for item in images.skipped],
    }
    d = certificate.defect
    result["shows"] = what_it_shows(test, control, model.dimension, d.relative_upper)
    rows = {
        "images": f"{len(x):,} from {images.file}, d = {model.dimension}",
        **image_rows(images),
        "method": result["method"],
        "round trip, relative error": f"{result['round_trip_error']:.3g}",
        "cost of the encoder": f"{test.cost:.8g}",
        "cost of the best assignment": f"{test.optimal:.8g}",
        "  relative difference": f"{test.relative_error:.3g}, {test.points_moved} of {test.n} "
        "points moved" + ("" if test.points_moved else ": the test has seen nothing"),
        "  what that shows": result["shows"],
        **alignment_rows("images and their codes", near),
        "defect D, W₂² below the cost by": f"{d.lower:.4g} to {d.upper:.4g} at {100 * d.level:g} %",
        "  relative to W₂²": f"{100 * d.relative_lower:.3g} % to "
        + (f"{100 * d.relative_upper:.3g} %" if np.isfinite(d.relative_upper) else "no bound"),
        "Is it optimal?": certificate.verdict.optimality,
        "Are the codes N(0, I)?": f"{certificate.verdict.target}",
    }
    if settings.jacobians:
        progress(Progress(0, 0, "probing Jacobians"))
        # Derivatives are those of the flow, at this tolerance or below, however codes were made.
        encoder = model.encoder(tolerance=min(settings.maps.tolerance, 1e-6))
        asymmetry = jacobian_asymmetry(encoder, x[: settings.jacobians])
        result["asymmetry"] = {"mean": asymmetry.mean, "max": asymmetry.max, "n": asymmetry.n}
        rows["asymmetry of DE, mean (largest)"] = (
            f"{asymmetry.mean:.3g} ({asymmetry.max:.3g}) at {asymmetry.n} images"
        )
    if settings.bits:
        result["bits"] = likelihood(model, images, settings, progress)
        exact = "exact trace" if result["bits"]["probes"] is None else "Hutchinson"
        rows["bits per dimension"] = (
            f"{result['bits']['mean']:.4f} ± {result['bits']['stderr']:.4f} ({exact}, "
            f"{result['bits']['images']} images)"
        )
    if report is not None:
        with atomic_write(report) as handle:
            handle.write(certificate.to_html().encode())
        rows["report"] = result["report"] = str(report)
    result["seconds"] = time.perf_counter() - started
    rows["seconds"] = f"{result['seconds']:.1f}"
    return result, rows


def image_points(model: ImageModel, images: ImageSet) -> np.ndarray:
    """Images as points, in float64 throughout: small differences of large costs are compared."""
    return model.points(images.pixels.astype(np.float64))


def encoder_pairs(
    model: ImageModel, source: str, limit: int, maps: MapChoice, progress: ProgressCallback
) -> tuple[np.ndarray, np.ndarray]:
    """Points and their codes (n, d), of images or of a table of points in [-1, 1]^d."""
    if _is_table(source):
        points = check_points(source, read_points(source).values, dimension=model.dimension)
        x = points[:limit].astype(np.float64)
    else:
        x = image_points(model, ImageChoice(Path(source)).read(model, limit))
    _check_enough(source, x)
    return x, encoded(model, x, maps, progress).astype(np.float64)


def _check_enough(source: str, x: np.ndarray) -> None:
    """Refuse what an audit would, before the encoder has worked on it for long."""
    if len(x) < FEWEST:
        raise ValueError(f"{source}: got {len(x)} images to audit; wants {FEWEST} at least.")


def _is_table(source: str) -> bool:
    """Whether a file holds points (n, d), and no images (n, h, w)."""
    path = Path(source.partition(".npz:")[0])
    if path.suffix != ".npy" or not path.is_file():
        return path.suffix in (".csv", ".parquet", ".npz") or ".npz:" in source
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False).ndim == 2
    except (ValueError, EOFError):
        return False


def likelihood(
    model: ImageModel, images: ImageSet, settings: AuditChoice, progress: ProgressCallback
) -> dict[str, Any]:
    """Bits per dimension of the first ``settings.bits`` images, their mean and standard error."""
    progress(Progress(0, 0, "likelihoods"))
    probes = None if model.dimension <= _TRACE_DIMENSION else _PROBES
    x = model.points(images.pixels[: settings.bits].astype(np.float32))
    values = np.asarray(
        bits_per_dimension(
            model,
            x,
            key=jax.random.fold_in(jax.random.key(settings.seed), 1),
            probes=probes,
            tolerance=_BITS_TOLERANCE,
        )
    )
    spread = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
    return {
        "mean": float(values.mean()),
        "stderr": spread,
        "images": len(values),
        "probes": probes,
        "tolerance": _BITS_TOLERANCE,
    }
