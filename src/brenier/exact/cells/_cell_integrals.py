"""Masses and first moments of Laguerre cells in the plane, from integrals over their edges."""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import ndtr, owens_t

from brenier.exact.cells._power_diagram import Edges, clip_to_box, cut_walls, turned_left


class CellIntegrals(NamedTuple):
    """The integrals of a density over each cell, and along each edge between two cells.

    ``masses`` (n,); ``moments`` (n, 2), ∫ x ρ dx over each cell; and per edge the two cells and
    −∂(mass of one)/∂(offset of the other), the integral of ρ along the edge over its gap.
    """

    masses: np.ndarray
    moments: np.ndarray
    near: np.ndarray
    far: np.ndarray
    conductance: np.ndarray


def gaussian_integrals(
    edges: Edges, n: int, weights: np.ndarray, means: np.ndarray, factors: np.ndarray
) -> CellIntegrals:
    """Integrals of the mixture Σ_k w_k N(m_k, L_k L_kᵀ) over n ≥ 2 cells, exact to rounding.

    In the coordinates z = L⁻¹(x − m) of a component the density is ϕ(z) = e^{−|z|²/2}/2π, and

        ϕ = div[z (1 − e^{−|z|²/2}) / (2π|z|²)],     z ϕ = −∇ϕ,

    so masses and moments are sums over edges. Along the edge at distance h from 0, from t₀ to t₁,
    the flux of the first is G(h, t₁) − G(h, t₀), G(h, t) = atan(t/h)/2π − T(h, t/h) with Owen's T
    function; an arc of angle θ at infinity adds θ/2π.
    """
    masses, moments = np.zeros(n), np.zeros((n, 2))
    conductance = np.zeros(len(edges.gap))
    for weight, mean, factor in zip(weights, means, factors, strict=True):
        whitened = edges.normal @ factor
        scale = np.linalg.norm(whitened, axis=1)
        normal = whitened / scale[:, None]
        height = (edges.height - edges.normal @ mean) / scale
        direction = turned_left(normal)
        inverse = np.linalg.inv(factor)
        speed = np.sum(direction * (edges.direction @ inverse.T), axis=1)
        foot = (edges.height[:, None] * edges.normal - mean) @ inverse.T
        base = np.sum(direction * foot, axis=1)
        start, stop = base + speed * edges.start, base + speed * edges.stop
        flux = _radial_flux(height, stop) - _radial_flux(height, start)
        mass = _exchange(edges, n, flux) + _arcs(edges, direction, n)
        line = np.exp(-0.5 * height**2) / math.sqrt(2.0 * math.pi) * _interval_mass(start, stop)
        centre = np.stack(
            [-_exchange(edges, n, normal[:, axis] * line) for axis in range(2)], axis=1
        )
        masses += weight * mass
        moments += weight * (mass[:, None] * mean + centre @ factor.T)
        conductance += weight * line / (np.abs(np.linalg.det(factor)) * speed * edges.gap)
    return CellIntegrals(masses, moments, edges.near, edges.far, conductance)


def box_integrals(
    edges: Edges, points: np.ndarray, offsets: np.ndarray, lower: np.ndarray, upper: np.ndarray
) -> CellIntegrals:
    """Integrals of the uniform density on a box: polynomials along the edges, exact to rounding."""
    n = len(points)
    centre, area = 0.5 * (lower + upper), float(np.prod(upper - lower))
    inside = clip_to_box(edges, lower, upper)
    length = inside.stop - inside.start
    height = inside.height - inside.normal @ centre
    # 1 = div(x/2) and x = ∇(|x|²/2), about the centre of the box.
    masses = _exchange(inside, n, 0.5 * height * length)
    squares = _mean_square(inside.at(inside.start) - centre, inside.at(inside.stop) - centre)
    moments = np.stack(
        [
            _exchange(inside, n, 0.5 * squares * length * inside.normal[:, axis])
            for axis in range(2)
        ],
        axis=1,
    )
    for wall in cut_walls(inside, points, offsets, lower, upper):
        out = wall.side - centre[wall.axis]
        length_wall = wall.stop - wall.start
        places = np.stack([wall.start, wall.stop], axis=1) - centre[1 - wall.axis]
        # The mean of s² over an interval.
        mean_square = out**2 + (places**2).sum(axis=1) / 3.0 + places.prod(axis=1) / 3.0
        np.add.at(masses, wall.owner, 0.5 * abs(out) * length_wall)
        np.add.at(
            moments[:, wall.axis],
            wall.owner,
            0.5 * math.copysign(1.0, out) * mean_square * length_wall,
        )
    masses, moments = masses / area, moments / area
    return CellIntegrals(
        masses,
        moments + masses[:, None] * centre,
        inside.near,
        inside.far,
        length / (area * inside.gap),
    )


def _exchange(edges: Edges, n: int, flux: np.ndarray) -> np.ndarray:
    """The sum of the fluxes of its edges for each cell: + for the near cell, − for the far one."""
    total = np.zeros(n)
    np.add.at(total, edges.near, flux)
    np.subtract.at(total, edges.far, flux)
    return total


def _radial_flux(height: np.ndarray, t: np.ndarray) -> np.ndarray:
    """G(h, t), the flux through {(h, s): 0 ≤ s ≤ t}: odd in h and in t, and smooth."""
    away = height != 0
    slope = np.divide(t, height, out=np.zeros_like(t), where=away)
    # Beyond this slope Owen's function is its limit to all digits.
    slope = np.clip(slope, -1e300, 1e300)
    flux = np.arctan(slope) / (2.0 * math.pi) - owens_t(height, slope)
    return np.where(away, flux, 0.0)


def _interval_mass(start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """Φ(stop) − Φ(start), from the tail where both are small."""
    turn = start > 0
    return ndtr(np.where(turn, -start, stop)) - ndtr(np.where(turn, -stop, start))


def _arcs(edges: Edges, direction: np.ndarray, n: int) -> np.ndarray:
    """The angle over 2π under which each cell is seen at infinity; they sum to 1."""
    total = np.zeros(n)
    for rays, sign in ((np.isneginf(edges.start), -1.0), (np.isposinf(edges.stop), 1.0)):
        heading = sign * direction[rays]
        turn = np.arctan2(heading[:, 1], heading[:, 0]) / (2.0 * math.pi)
        # To the left of a ray along +u lies the near cell, along −u the far one.
        np.add.at(total, edges.near[rays], -sign * turn)
        np.add.at(total, edges.far[rays], sign * turn)
    # An arc across the branch cut of atan2 comes out 1 short; rounding errors are below 1e-9.
    return np.where(total < -1e-9, total + 1.0, total)


def _mean_square(start: np.ndarray, stop: np.ndarray) -> np.ndarray:
    """The mean of |x|² along segments (Simpson's rule, exact)."""
    middle = 0.5 * (start + stop)
    return (
        np.sum(start**2, axis=1) + 4.0 * np.sum(middle**2, axis=1) + np.sum(stop**2, axis=1)
    ) / 6.0
