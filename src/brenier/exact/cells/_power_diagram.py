"""Laguerre cells in the plane: the edges between the pieces of a maximum of affine functions."""

import itertools
from typing import NamedTuple

import numpy as np
from scipy.spatial import ConvexHull

# A facet of the lifted hull this close to vertical has its vertex at 1e10 times the diagram's size.
_VERTICAL = 1e-10
# Points whose second principal width is below this share of the first lie on a line.
_COLLINEAR = 1e-13
# Which edges and cells meet a wall is decided at this share of the box inside of it: for an edge
# that lies in the wall itself, rounding would decide.
_INSET = 1e-12


class Edges(NamedTuple):
    """The edges of the cells {x: ⟨x, y_j⟩ + b_j is the maximum}, in no order.

    Edge e is {h n + t u: start ≤ t ≤ stop}, with u the unit normal n turned left; n points from the
    cell ``near`` to the cell ``far``, and ``gap`` is ‖y_far − y_near‖. Rays end at ±inf.
    """

    near: np.ndarray
    far: np.ndarray
    normal: np.ndarray
    height: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    gap: np.ndarray

    @property
    def direction(self) -> np.ndarray:
        """u, (e, 2)."""
        return turned_left(self.normal)

    def at(self, t: np.ndarray) -> np.ndarray:
        """The points of the edges at finite parameters t, (e, 2)."""
        return self.height[:, None] * self.normal + t[:, None] * self.direction


def turned_left(vectors: np.ndarray) -> np.ndarray:
    """Plane vectors (e, 2), turned by a quarter."""
    return np.stack([-vectors[:, 1], vectors[:, 0]], axis=1)


def laguerre_edges(points: np.ndarray, offsets: np.ndarray) -> Edges:
    """The edges of the Laguerre diagram of max_j ⟨x, y_j⟩ + b_j, y distinct (n, 2), b (n,).

    The triangles below the convex hull of (y_j, −b_j) are the vertices of the diagram, and their
    sides its edges (Aurenhammer 1987). A cell without an edge is empty, unless n is 1.
    """
    centred = points - points.mean(axis=0)
    _, widths, axes = np.linalg.svd(centred, full_matrices=False)
    if len(points) < 3 or widths[1] <= _COLLINEAR * widths[0]:
        return _strips(points, offsets, centred @ axes[0])
    triangles = _lower_triangles(centred @ axes.T / widths, -offsets, points)
    a, b, c = (points[triangles[:, k]] for k in range(3))
    first, second = b - a, c - a
    area = first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]
    rise = offsets[triangles[:, :1]] - offsets[triangles[:, 1:]]
    vertices = (
        np.stack(
            [
                rise[:, 0] * second[:, 1] - rise[:, 1] * first[:, 1],
                rise[:, 1] * first[:, 0] - rise[:, 0] * second[:, 0],
            ],
            axis=1,
        )
        / area[:, None]
    )
    return _sides(points, offsets, triangles, vertices)


def _lower_triangles(plane: np.ndarray, heights: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The triangles (t, 3) below the hull of (plane, heights), counter-clockwise in ``points``."""
    n = len(plane)
    # An affine function added to the heights changes no facet: without it they keep their digits.
    design = np.column_stack([plane, np.ones(n)])
    heights = heights - design @ np.linalg.lstsq(design, heights)[0]
    heights = heights / max(np.abs(heights).max(), np.finfo(float).tiny)
    plane = plane / np.abs(plane).max()
    # A point far above makes the hull full-dimensional also where all heights are affine.
    lifted = np.vstack([np.column_stack([plane, heights]), [0.0, 0.0, 10.0]])
    hull = ConvexHull(lifted, qhull_options="Qt")
    lower = (hull.equations[:, 2] < -_VERTICAL) & (hull.simplices < n).all(axis=1)
    triangles = hull.simplices[lower]
    a, b, c = (points[triangles[:, k]] for k in range(3))
    clockwise = (b - a)[:, 0] * (c - a)[:, 1] < (b - a)[:, 1] * (c - a)[:, 0]
    triangles[clockwise] = triangles[clockwise][:, ::-1]
    return triangles


def _sides(
    points: np.ndarray, offsets: np.ndarray, triangles: np.ndarray, vertices: np.ndarray
) -> Edges:
    n = len(points)
    tail = triangles.ravel(order="F")
    head = triangles[:, [1, 2, 0]].ravel(order="F")
    vertex = np.tile(vertices, (3, 1))
    forward = tail < head
    keys, side = np.unique(np.where(forward, tail * n + head, head * n + tail), return_inverse=True)
    edges = _between(points, offsets, keys // n, keys % n)
    along = np.sum(vertex * edges.direction[side], axis=1)
    # The triangle to the left of the side from near to far is the end of the edge along u.
    edges.stop[side[forward]] = along[forward]
    edges.start[side[~forward]] = along[~forward]
    return edges


def _strips(points: np.ndarray, offsets: np.ndarray, places: np.ndarray) -> Edges:
    """Parallel lines: the diagram of points on a line, at the given places along it."""
    chain: list[int] = []
    for j in np.argsort(places).tolist():
        # The lower hull of (place, −b), point by point.
        while len(chain) > 1 and _above(places, offsets, chain[-2], chain[-1], j):
            chain.pop()
        chain.append(j)
    index = np.asarray(chain)
    return _between(points, offsets, index[:-1], index[1:])


def _above(places: np.ndarray, offsets: np.ndarray, a: int, b: int, c: int) -> bool:
    rise = (offsets[a] - offsets[b]) * (places[c] - places[a])
    return bool(rise >= (offsets[a] - offsets[c]) * (places[b] - places[a]))


def _between(points: np.ndarray, offsets: np.ndarray, near: np.ndarray, far: np.ndarray) -> Edges:
    """Whole lines between pairs of cells, still to be cut."""
    step = points[far] - points[near]
    gap = np.linalg.norm(step, axis=1)
    height = (offsets[near] - offsets[far]) / gap
    whole = np.full(len(gap), np.inf)
    return Edges(near, far, step / gap[:, None], height, -whole, whole, gap)


def clip_to_box(edges: Edges, lower: np.ndarray, upper: np.ndarray) -> Edges:
    """The parts of the edges inside a box; those without one are dropped."""
    step = _INSET * (upper - lower)
    start, stop = _inside(edges, lower + step, upper - step)
    edges = Edges(*(field[start < stop] for field in edges))
    start, stop = _inside(edges, lower, upper)
    return edges._replace(start=start, stop=stop)


def _inside(edges: Edges, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    start, stop = edges.start, edges.stop
    for axis in range(2):
        slope = edges.direction[:, axis]
        base = edges.height * edges.normal[:, axis]
        steep = slope != 0
        safe = np.where(steep, slope, 1.0)
        low, high = (lower[axis] - base) / safe, (upper[axis] - base) / safe
        inside = (base >= lower[axis]) & (base <= upper[axis])
        out = np.where(inside, -np.inf, np.inf)
        start = np.maximum(start, np.where(steep, np.minimum(low, high), out))
        stop = np.minimum(stop, np.where(steep, np.maximum(low, high), -out))
    return start, stop


class Wall(NamedTuple):
    """The pieces of one wall {x_axis = side} of a box: from ``start`` to ``stop``, with owners."""

    axis: int
    side: float
    owner: np.ndarray
    start: np.ndarray
    stop: np.ndarray


def cut_walls(
    edges: Edges, points: np.ndarray, offsets: np.ndarray, lower: np.ndarray, upper: np.ndarray
) -> list[Wall]:
    """The four walls of a box, cut where cells meet; ``edges`` as clipped to the box."""
    walls = []
    ends = np.concatenate([edges.at(edges.start), edges.at(edges.stop)])
    size = upper - lower
    near_wall = 1e-9 * size
    for axis in range(2):
        other = 1 - axis
        for side in (lower[axis], upper[axis]):
            # A superfluous cut, near a wall but not on it, does no harm: owners are looked up.
            cuts = ends[np.abs(ends[:, axis] - side) <= near_wall[axis], other]
            cuts = np.clip(np.sort(cuts), lower[other], upper[other])
            cuts = np.concatenate([[lower[other]], cuts, [upper[other]]])
            start, stop = cuts[:-1], cuts[1:]
            middle = np.empty((len(start), 2))
            inwards = np.sign(lower[axis] + upper[axis] - 2.0 * side) * size[axis]
            middle[:, axis] = side + _INSET * inwards
            middle[:, other] = 0.5 * (start + stop)
            owner = np.argmax(middle @ points.T + offsets, axis=1)
            walls.append(Wall(axis, float(side), owner, start, stop))
    return walls


def cell_polygons(
    points: np.ndarray, offsets: np.ndarray, lower: np.ndarray, upper: np.ndarray
) -> list[np.ndarray]:
    """The cells cut to a box: per cell its corners (k, 2), counter-clockwise; (0, 2) if empty."""
    edges = clip_to_box(laguerre_edges(points, offsets), lower, upper)
    ends = np.concatenate([edges.at(edges.start), edges.at(edges.stop)])
    corners = [np.repeat(ends, 2, axis=0)]
    owners = [np.tile(np.stack([edges.near, edges.far], axis=1), (2, 1)).ravel()]
    for wall in cut_walls(edges, points, offsets, lower, upper):
        for place in (wall.start, wall.stop):
            corner = np.empty((len(place), 2))
            corner[:, wall.axis], corner[:, 1 - wall.axis] = wall.side, place
            corners.append(corner)
            owners.append(wall.owner)
    corner, owner = np.concatenate(corners), np.concatenate(owners)
    order = np.argsort(owner, kind="stable")
    bounds = np.searchsorted(owner[order], np.arange(len(points) + 1))
    return [
        _polygon(corner[order[first:last]], upper - lower)
        for first, last in itertools.pairwise(bounds)
    ]


def _polygon(corners: np.ndarray, size: np.ndarray) -> np.ndarray:
    """The corners of a convex polygon, each once, in order about their centre."""
    if len(corners) < 3:
        return np.empty((0, 2))
    away = corners - corners.mean(axis=0)
    corners = corners[np.argsort(np.arctan2(away[:, 1], away[:, 0]))]
    step = np.abs(corners - np.roll(corners, 1, axis=0)) / size
    corners = corners[step.max(axis=1) > 1e-12]
    return corners if len(corners) >= 3 else np.empty((0, 2))
