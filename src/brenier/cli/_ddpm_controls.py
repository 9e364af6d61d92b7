"""Are images of one code nearer than others, and are controls, which have no reason to be?"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from brenier._progress import ProgressCallback
from brenier._solution import SolveError
from brenier.certify import AssignmentTest, alignment
from brenier.cli._ddpm_choices import MapChoice
from brenier.images import ImageModel, mistimed

# Pairs that a permutation test needs.
LEAST = 3
# Of permutation tests, to call a control near.
_SMALL = 0.05
WRONG = "wrong schedule"
# What rows of the table are called, by the names in the result.
_TITLES = {"paired": "", "shuffled": ", codes shuffled", WRONG: f", {WRONG}"}


def alignments(
    named: Sequence[tuple[str, np.ndarray]], wrong: Sequence[np.ndarray | None], seed: int
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Every two sets of points of the same codes, with controls; the result, and its rows.

    ``wrong`` holds the points of the same codes by the same generators with a wrong schedule; None
    where there are none. Fewer than three codes can tell nothing.
    """
    found: list[dict[str, Any]] = []
    rows: dict[str, str] = {}
    for i, (first, x) in enumerate(named):
        for (second, y), control in list(zip(named, wrong, strict=True))[i + 1 :]:
            own = aligned(x, y, control, seed)
            found.append({"first": first, "second": second, **own})
            rows |= alignment_rows(f"{first} and {second}", own)
    if shows := what_alignment_shows(found):
        rows["what that shows"] = shows
    return found, rows


def aligned(
    x: np.ndarray, y: np.ndarray, control: np.ndarray | None, seed: int
) -> dict[str, dict[str, float]]:
    """``certify.alignment``, with the wrong schedule as its control; nothing of fewer than 3."""
    if len(x) < LEAST:
        return {}
    controls = {} if control is None else {WRONG: control}
    return alignment(x, y, controls, key=jax.random.key(seed))


def alignment_rows(name: str, found: dict[str, dict[str, float]]) -> dict[str, str]:
    """What is said of pairs and their controls, a row each."""
    if not found:
        return {name: f"fewer than {LEAST} codes: nothing to compare"}
    return {name + _TITLES[kind]: _said(one) for kind, one in found.items()}


def _said(one: dict[str, float]) -> str:
    return (
        f"{one['paired']:.4g} apart, random pairs {one['random']:.4g}; correlation "
        f"{one['correlation']:.3f}, p = {one['p_value']:.2g}"
    )


def controlled(
    map: Callable[..., np.ndarray],
    model: ImageModel,
    points: np.ndarray,
    maps: MapChoice,
    progress: ProgressCallback,
    stage: str,
) -> np.ndarray | None:
    """``encoded`` or ``decoded`` points by the model with a wrong schedule.

    None where that leads to no finite points: it is no failure of the model's.
    """
    try:
        return map(mistimed(model), points, maps, progress, f"{stage}, {WRONG}")
    except (SolveError, FloatingPointError):
        return None


def what_alignment_shows(found: Sequence[dict[str, Any]]) -> str:
    """What pairs that are near say, judged by their control; nothing where there is none."""
    wrong = [one[WRONG]["p_value"] for one in found if WRONG in one]
    near = sum(p <= _SMALL for p in wrong)
    if not wrong:
        return ""
    if near:
        return (
            f"a wrong schedule is as near by its codes in {near} of {len(wrong)}: being near is no "
            "evidence of optimal transport"
        )
    return "a wrong schedule is not near: the networks and their schedule are what makes pairs so"


def what_it_shows(
    test: AssignmentTest, control: AssignmentTest | None, dimension: int, unseen: float
) -> str:
    """What so few images in so many dimensions can show; ``unseen`` is the defect's upper bound.

    ``control`` is the same test of an encoder with a wrong schedule.
    """
    missed = f"{100 * unseen:.3g} %" if unseen < float("inf") else "any share"
    few = f"{test.n:,} images in {dimension:,} dimensions"
    if test.points_moved:
        return f"{few}: a cheaper assignment, so the map is not optimal on them"
    said = f"{few}: no proof of optimality, a defect of {missed} of W₂² may be unseen"
    if control is None:
        return said
    if control.points_moved:
        return f"{said}; with a wrong schedule {control.points_moved} points are moved"
    return f"{said}; a wrong schedule passes the same test"
