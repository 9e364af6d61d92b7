"""Masses and moments of the decoder's cells, by horizontal lines across them."""

from typing import NamedTuple

import numpy as np
from scipy.interpolate import make_interp_spline
from scipy.special import ndtr

from brenier.experiments.pey24._cells import Border
from brenier.potentials import MaxAffine
from brenier.velocities import AtomsDecoder

_LINES, _OUT = 8001, 6.5
# Points of a line that are decoded wherever the borders are, and halvings to find a border missed.
_LOOKS, _HALVINGS = 33, 36
# Points of a border's spline, so that chords of it are straight to 1e-8.
_FINE = 20_001
_DEGREE = 7


class Cut(NamedTuple):
    """What N(0, I) has in the decoder's cells.

    ``complete`` says that no line met a border that was not among those given.
    """

    masses: np.ndarray
    moments: np.ndarray
    mislabelled: float
    complete: bool


def cut(
    points: np.ndarray, decoder: AtomsDecoder, curves: list[Border], potential: MaxAffine
) -> Cut:
    """Masses of the cells, ∫ z γ over them, and the mass on which the Laguerre cells differ."""
    heights = np.linspace(-_OUT, _OUT, _LINES)
    slopes, offsets = np.asarray(potential.slopes), np.asarray(potential.offsets)
    every = np.arange(_LINES)
    known = [_crossings(curve, heights) for curve in curves]
    others = [(every, np.full(_LINES, place)) for place in np.linspace(-_OUT, _OUT, _LOOKS)]
    for i in range(len(points)):
        for j in range(i + 1, len(points)):
            across, rise = slopes[i] - slopes[j], offsets[j] - offsets[i]
            if across[0] != 0.0:
                others.append((every, (rise - across[1] * heights) / across[0]))
    lines = np.concatenate([line for line, _ in known + others])
    places = np.concatenate([place for _, place in known + others])
    border = np.arange(len(lines)) < sum(len(line) for line, _ in known)
    inside = np.abs(places) <= _OUT
    order = np.lexsort((places[inside], lines[inside]))
    lines, places, border = (a[inside][order] for a in (lines, places, border))
    same = lines[1:] == lines[:-1]
    line, left, right = lines[:-1][same], places[:-1][same], places[1:][same]
    middle = np.stack([0.5 * (left + right), heights[line]], axis=1)
    decoded = decoder.labels(middle)
    # A new label where no border was known: look for it between the two middles.
    next_to = line[1:] == line[:-1]
    missed = np.flatnonzero(next_to & (decoded[1:] != decoded[:-1]) & ~border[1:][same][:-1])
    if len(missed):
        found = _halved(decoder, middle, decoded, missed)
        right[missed], left[missed + 1] = found, found
    assigned = np.argmax(middle @ slopes.T + offsets, axis=1)
    density = np.exp(-0.5 * heights[line] ** 2) * (heights[1] - heights[0]) / np.sqrt(2.0 * np.pi)
    mass = (ndtr(right) - ndtr(left)) * density
    first = (np.exp(-0.5 * left**2) - np.exp(-0.5 * right**2)) / np.sqrt(2.0 * np.pi) * density
    count = len(points)
    parts = (first, heights[line] * mass)
    moments = [np.bincount(decoded, part, minlength=count) for part in parts]
    return Cut(
        np.bincount(decoded, mass, minlength=count),
        np.stack(moments, axis=1),
        float(mass[decoded != assigned].sum()),
        len(missed) == 0,
    )


def _halved(
    decoder: AtomsDecoder, middle: np.ndarray, labels: np.ndarray, which: np.ndarray
) -> np.ndarray:
    """Where, between two points of a line, the first one's label ends."""
    low, high, height = middle[which, 0], middle[which + 1, 0], middle[which, 1]
    for _ in range(_HALVINGS):
        half = 0.5 * (low + high)
        still = decoder.labels(np.stack([half, height], axis=1)) == labels[which]
        low, high = np.where(still, half, low), np.where(still, high, half)
    return 0.5 * (low + high)


def _crossings(curve: Border, heights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which lines the curve crosses, and where."""
    fine = np.linspace(curve.places[0], curve.places[-1], _FINE)
    x, y = make_interp_spline(curve.places, curve.points, k=_DEGREE)(fine).T
    rows = (y - heights[0]) / (heights[1] - heights[0])
    ends = np.minimum(rows[:-1], rows[1:]), np.maximum(rows[:-1], rows[1:])
    first, last = (np.clip(np.ceil(end), 0, len(heights)).astype(int) for end in ends)
    counts = last - first
    segment = np.repeat(np.arange(len(counts)), counts)
    line = first[segment] + np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    share = (line - rows[segment]) / (rows[segment + 1] - rows[segment])
    return line, x[segment] + share * (x[segment + 1] - x[segment])
