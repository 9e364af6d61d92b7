"""Maps that people use, audited in one run: bounds, verdicts, seconds, one table and one picture.

    brenier reproduce audit-gallery

Noise to modes (``convex-2`` of the problem bank: N(0, I₂), declared, to the image of a known Monge
map): that map, flow matching with independent and minibatch OT pairs, an ICNN, the entropic map,
Sinkhorn's barycentric projection, the Knothe-Rosenblatt rearrangement, the optimal assignment with
each new point sent as its nearest neighbour, the nearest target point. Modes to modes
(``convex-mixture-2``, from three Gaussians): rectified flow in three rounds, and flow matching with
minibatch OT pairs. Gaussians in ten dimensions (``gaussian-10``): an affine map that is optimal for
another cost, and the triangular one. Images of 64 pixels: encoders of two DDPMs, as pairs.

Networks learn from 4096 points a side, plans are between 2000; every audit draws fresh points. No
map gets credit for how it was made: gradients of convex functions are audited as plain functions,
as all others, and their defect, which is 0, stands beside the bounds. A defect is known, further,
where the map reaches the target exactly: from its cost and the Monge map's. Digits have 900 fresh
images and no more; tiles of the photographs are drawn at independent uniform places, from their own
law. Their audits are of pairs alone, which in 64 dimensions show no defect but where rows are near
each other: no symmetry of these laws is declared.

No data are read but scikit-learn's own. Seconds are of the processor, one thread: what else the
machine does is not in them. About ten minutes of two cores; what is done of a map is kept in
``blocks/``: a run that was stopped goes on with the same command. ``gallery.md`` holds the table,
``gallery.png`` the picture.
"""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from brenier import audit, audit_pairs
from brenier._progress import Progress
from brenier.certify import Certificate, assignment_test
from brenier.experiments._command import command
from brenier.experiments._run import Run
from brenier.experiments._seeds import map_blocks
from brenier.experiments.audit._gallery_images import DIGITS, TILES, encoder_exhibit
from brenier.experiments.audit._gallery_maps import MAKERS, Exhibit, problem_of
from brenier.experiments.audit._gallery_table import gallery_figure, markdown
from brenier.io import atomic_write
from brenier.measures import StandardNormal

TIME = "about ten minutes"

# Rows of an audit, seconds that its potentials may take, and pairs of the assignment test.
_ROWS, _BUDGET, _ASSIGNED = 8000, 5.0, 2000
_TOLERANCE = 0.01
# The longest first, so that no core waits at the end.
_FIRST = (TILES, DIGITS, "rectified", "matching", "matching OT", "matching OT, modes", "icnn")


def main(run: Run) -> dict[str, Any]:
    """Make and audit every map; the rows, the table and the picture."""
    order = [*_FIRST, *(name for name in MAKERS if name not in _FIRST)]
    done = 0

    def tick(now: int) -> None:
        nonlocal done
        done = now
        run.progress(Progress(done, len(order), "maps"))

    found = map_blocks(
        _block,
        [(name, run.seed) for name in order],
        tick,
        run.out / "blocks",
        lambda message: run.progress(Progress(done, len(order), message)),
    )
    blocks = dict(zip(order, found, strict=True))
    rows = [row for name in (*MAKERS, DIGITS, TILES) for row in blocks[name]]
    for name, content in (
        ("gallery.md", markdown(rows).encode()),
        ("gallery.png", gallery_figure(rows, _TOLERANCE)),
        ("gallery.json", json.dumps(rows, indent=2).encode()),
    ):
        with atomic_write(run.out / name) as handle:
            handle.write(content)
    return {"maps": {f"{row['map']}; {row['problem']}": row for row in rows}}


def _block(name: str, seed: int, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """The maps of one maker, made and audited."""
    tell(f"{name}: making")
    rows = []
    for exhibit in _exhibits(name, seed, tell):
        tell(f"{exhibit.name}: auditing")
        rows.append(_row(exhibit, seed))
    return rows


def _exhibits(name: str, seed: int, tell: Callable[[str], None]) -> Iterator[Exhibit]:
    return MAKERS[name](seed) if name in MAKERS else encoder_exhibit(name, seed, tell)


def _row(exhibit: Exhibit, seed: int) -> dict[str, Any]:
    began = time.process_time()
    key = jax.random.fold_in(jax.random.key(seed), 10)
    certificate, x, images = _certified(exhibit, key)
    seconds = time.process_time() - began
    few = slice(0, _ASSIGNED)
    test = assignment_test(x[few], images[few])
    moved = float(np.sum((images[few] - x[few]).var(axis=0)))
    defect, core = certificate.defect, certificate.defect.core
    outside, wasted = 1.0, (0.0, 1.0)
    if core is not None:
        outside = core.outside
        wasted = (core.wasted_beyond_shift.lower, core.wasted_beyond_shift.upper)
    known, share = (None, None) if exhibit.known is None else exhibit.known
    return {
        "map": exhibit.name,
        "problem": exhibit.problem,
        "dimension": x.shape[1],
        "n": defect.n,
        "cost": certificate.cost.value,
        "lower": defect.lower,
        "upper": defect.upper if np.isfinite(defect.upper) else None,
        "outside": outside,
        "wasted_lower": wasted[0],
        "wasted_upper": wasted[1],
        "verdict": certificate.verdict.optimality,
        "target": certificate.verdict.target,
        "seconds": seconds,
        "seconds_of_making": exhibit.seconds,
        "known": known,
        "known_share": share,
        # 1 per cent: a defect known by means over points is known to that part.
        "lower_holds": None if known is None else defect.lower <= 1.01 * known + 1e-9,
        "l2_uvp": None if certificate.truth is None else certificate.truth.l2_uvp,
        "straightness": exhibit.straightness,
        "saved_by_assignment": (test.cost - test.optimal) / moved,
    }


def _certified(exhibit: Exhibit, key: Any) -> tuple[Certificate, np.ndarray, np.ndarray]:
    """The certificate, and pairs for the assignment test."""
    settings: dict[str, Any] = {"key": key, "tolerance": _TOLERANCE, "budget": _BUDGET}
    if exhibit.map is None:
        assert exhibit.pairs is not None
        x, images = exhibit.pairs
        return audit_pairs(x, images, StandardNormal(x.shape[1]), **settings), x, images
    own, points_key = problem_of(exhibit.problem), jax.random.fold_in(key, 1)
    target = np.asarray(own.target.sample(points_key, _ROWS))
    found = audit(exhibit.map, own.source, target, samples=_ROWS, truth=own.map, **settings)
    x = np.asarray(own.source.sample(jax.random.fold_in(key, 2), _ASSIGNED))
    return found, x, np.asarray(exhibit.map(x))


if __name__ == "__main__":
    command(__spec__.name)
