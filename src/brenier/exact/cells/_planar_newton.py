"""Semi-discrete transport in the plane, and where Newton's method starts in any dimension."""

from functools import partial

import jax.numpy as jnp
import numpy as np

from brenier.exact.cells._cell_integrals import CellIntegrals, box_integrals, gaussian_integrals
from brenier.exact.cells._damped_newton import NewtonState, damped_newton
from brenier.exact.cells._power_diagram import laguerre_edges
from brenier.measures import GaussianMixture, Uniform
from brenier.numerics import gaussian_map_matrix

# The farthest point starts at this radius, in standard deviations or half widths of a box.
_GAUSSIAN_RADIUS, _BOX_RADIUS = 2.5, 0.9
# A start whose least mass is below this share of the least weight is not worth starting from.
_POOR = 1e-4
_HOMOTOPY = 0.25


def starting_offsets(law: GaussianMixture | Uniform, y: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Offsets whose cells hold the images of y under the map between Gaussians of equal moments.

    The images are scaled towards the centre, so that all lie in the bulk of the source.
    """
    spread = (y * w[:, None]).T @ y
    covariance = np.asarray(law.covariance)
    matrix = np.asarray(gaussian_map_matrix(jnp.asarray(spread), jnp.asarray(covariance)))
    places = y @ matrix
    if isinstance(law, Uniform):
        radius = np.max(np.abs(places) / np.asarray(law.upper)) / _BOX_RADIUS
    else:
        whitened = np.linalg.solve(np.linalg.cholesky(covariance), places.T)
        radius = np.max(np.linalg.norm(whitened, axis=0)) / _GAUSSIAN_RADIUS
    return -0.5 * np.sum(places * y, axis=1) / max(1.0, float(radius))


def solve_plane(
    law: GaussianMixture | Uniform,
    y: np.ndarray,
    w: np.ndarray,
    *,
    tolerance: float,
    max_iterations: int,
) -> NewtonState:
    """Offsets for points y (n, 2) of weights w, by Newton's method on exact masses.

    Where cells would start in a gap of a mixture, with next to no mass, a share s of the source is
    first replaced by the Gaussian of the same moments, and s falls from 1 to 0 in stages. A cell
    keeps part of its mass from one stage to the next; also in the last, because s is then below
    half of every weight.
    """
    offsets, iterations, share = starting_offsets(law, y, w), 0, 0.0
    mixed = isinstance(law, GaussianMixture) and len(law.means) > 1
    if mixed and _cells(law, y, 0.0, offsets).masses.min() < _POOR * w.min():
        share = 1.0
    while True:
        last = share == 0.0
        state = damped_newton(
            partial(_cells, law, y, share),
            w,
            offsets,
            tolerance=tolerance if last else 0.1 * float(w.min()),
            max_iterations=max_iterations - iterations,
        )
        offsets, iterations = state.offsets, iterations + state.iterations
        if last:
            return state._replace(iterations=iterations)
        share = _HOMOTOPY * share if share > 0.5 * w.min() else 0.0


def _cells(
    law: GaussianMixture | Uniform, y: np.ndarray, share: float, offsets: np.ndarray
) -> CellIntegrals:
    """The cells under the source, of which ``share`` is replaced by a Gaussian of its moments."""
    edges = laguerre_edges(y, offsets)
    if isinstance(law, Uniform):
        return box_integrals(edges, y, offsets, np.asarray(law.lower), np.asarray(law.upper))
    weights, means, factors = (np.asarray(part) for part in (law.weights, law.means, law.factors))
    if share > 0:
        broad = np.linalg.cholesky(np.asarray(law.covariance))
        weights = np.append((1.0 - share) * weights, share)
        means = np.concatenate([means, np.zeros((1, 2))])
        factors = np.concatenate([factors, broad[None]])
    return gaussian_integrals(edges, len(y), weights, means, factors)
