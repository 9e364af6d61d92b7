"""The cells of a diffusion's decoder onto atoms in the plane, by their borders.

Near the end of the decoding the cells are those of the nearest atom, and the middle of two atoms
that are neighbours (no third one inside the circle about it) is a saddle, to which the flow takes
every point of the border of their cells. So the border is found by running the flow backward from a
short piece of their bisector. Backward, the flow pulls towards the border: errors of the start die
out.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from scipy.interpolate import make_interp_spline

from brenier.measures import Empirical
from brenier.velocities import AtomsDecoder, FlowMap, HyperbolicClock

# Points of a border, at distances to either side of its saddle that grow as sinh.
_PLACES = 1501
# Starts lie within this share of a Voronoi edge, and of the radius that is followed.
_REACH, _OUT = 0.98, 20.0
# The noise at which a border starts: shares of the distance of its two atoms and of that to any
# other atom, and the most of all.
_NOISE, _APART, _MOST_NOISE = 0.04, 0.15, 0.5
_MOST_STEPS = 100_000
# The degree of the spline through a border's points.
_DEGREE = 7


class Border(NamedTuple):
    """The curve between the cells of atoms ``first`` and ``second``, with its tangents dz/du."""

    first: int
    second: int
    places: np.ndarray
    points: np.ndarray
    tangents: np.ndarray

    def normal_moment(self) -> np.ndarray:
        """∫ γ n dl with γ the density of N(0, I) and n the normal from ``first`` to ``second``."""
        density = np.exp(-0.5 * np.sum(self.points**2, axis=1)) / (2.0 * np.pi)
        turned = np.stack([self.tangents[:, 1], -self.tangents[:, 0]], axis=1)
        return np.trapezoid(density[:, None] * turned, self.places, axis=0)


def borders(source: Empirical, decoder: AtomsDecoder) -> list[Border]:
    """All borders of the decoder's cells."""
    atoms = np.asarray(source.points)
    found = []
    for i in range(len(atoms)):
        for j in range(i + 1, len(atoms)):
            centre, half = 0.5 * (atoms[i] + atoms[j]), 0.5 * np.linalg.norm(atoms[i] - atoms[j])
            others = np.delete(atoms, [i, j], axis=0)
            if (np.linalg.norm(others - centre, axis=1) > half).all():
                found.append(_border(decoder, atoms[i], atoms[j], others, (i, j)))
    return found


def _border(
    decoder: AtomsDecoder,
    first: np.ndarray,
    second: np.ndarray,
    others: np.ndarray,
    which: tuple[int, int],
) -> Border:
    """The curve that ends in the saddle of two atoms, the first one on its left."""
    length = np.linalg.norm(second - first)
    along = np.array([first[1] - second[1], second[0] - first[0]]) / length
    centre = 0.5 * (first + second)
    # The edge of the Voronoi diagram is cut by the bisectors with the other atoms.
    cuts = np.sum((others - centre) ** 2, axis=1) - 0.25 * length**2
    slopes = 2.0 * (others - centre) @ along
    with np.errstate(divide="ignore"):
        reaches = np.where(slopes == 0.0, np.inf, cuts / slopes)
    # So little noise that the pair is resolved and no other atom matters in its middle; no less,
    # because the flow backward gets stiffer. Where an edge is short, the curve may end early.
    noise = min(_NOISE * length, _APART * np.sqrt(cuts.min(initial=np.inf)), _MOST_NOISE)
    end = np.arccosh(1.0 / noise)
    back = FlowMap(
        HyperbolicClock(decoder.velocity),
        end,
        0.0,
        tolerance=decoder.flow.tolerance,
        max_steps=_MOST_STEPS,
    )
    # Backward, distances grow by 1/noise: a start beyond this ends farther out than ``_OUT``.
    far = _OUT * noise
    limits = [_REACH * min([side * r for r in reaches if side * r > 0] + [far]) for side in (-1, 1)]
    least = 1e-2 * noise
    places = np.linspace(-np.arcsinh(limits[0] / least), np.arcsinh(limits[1] / least), _PLACES)
    starts = np.tanh(end) * (centre + least * np.sinh(places)[:, None] * along)
    points = np.asarray(back(jnp.asarray(starts)))
    tangents = make_interp_spline(places, points, k=_DEGREE).derivative()(places)
    return Border(*which, places, points, tangents)
