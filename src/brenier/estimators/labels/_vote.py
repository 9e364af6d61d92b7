"""What a point is, by a vote of labelled points around it; how wide, their own labels decide."""

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from sklearn.neighbors import NearestNeighbors

from brenier._types import RowWeights
from brenier.estimators.data import shrunk_covariance
from brenier.numerics import row_mean, row_variance

# Neighbours that vote, and votes that the shares of all labels have: chosen among these.
_NEIGHBOURS = (4, 8, 16, 32, 64)
_PRIOR = (0.1, 0.3, 1.0, 3.0)
# Points whose own labels are guessed, at most, to choose.
_GUESSED = 4096
# Of the spread of a column, what varies within labels at least, to be a unit of distances.
_LEAST_WITHIN = 1e-6
# Points of less than a row are looked for so many times further than their mean needs.
_SLACK = 2.0
# Points asked about at a time.
_BLOCK = 2**14


@dataclass(frozen=True, eq=False)
class Vote:
    """P(c | x) = (Σ_j w_j [c_j = c] + α π_c) / (Σ_j w_j + α), over the k nearest of the points.

    w_j = exp(−‖x − y_j‖²/(2 r²)), r the distance of the k-th; π_c the share of the label c. A point
    that stands for several rows counts as if each were there.

    Args:
        points: (m, d), in coordinates where distances are taken.
        codes: (m,), the label of each as a place in the shares.
        shares: (c,), π.
        matrix: (d, d) into those coordinates.
        neighbours: k.
        prior: α.
        log_likelihood: mean log P of the points' own labels, each guessed by the others.
        masses: (m,), how many rows each point stands for.
    """

    points: np.ndarray
    codes: np.ndarray
    shares: np.ndarray
    matrix: np.ndarray
    neighbours: int
    prior: float
    log_likelihood: float
    masses: np.ndarray

    @classmethod
    def chosen(
        cls,
        points: np.ndarray,
        codes: np.ndarray,
        weights: RowWeights = None,
        *,
        random_state: int = 0,
    ) -> "Vote":
        """The vote that guesses the points' own labels best, by likelihood, each left out.

        Distances are taken in units of each column, or of what varies within a label.
        """
        random = np.random.default_rng(random_state)
        asked = np.sort(random.permutation(len(points))[:_GUESSED])
        masses = np.ones(len(codes)) if weights is None else weights
        shares = np.bincount(codes, masses) / masses.sum()
        votes = []
        for matrix in _units(points, codes, weights):
            near = points @ matrix
            most = min(_reach(max(_NEIGHBOURS), masses), len(points) - 1)
            distances, places = _nearest(near, near[asked], most + 1)
            others = _without_self(asked, places)
            distances = distances[others].reshape(len(asked), most)
            around = places[others].reshape(len(asked), most)
            for k, prior in product({min(k, most) for k in _NEIGHBOURS}, _PRIOR):
                vote = cls(near, codes, shares, matrix, k, prior, 0.0, masses)
                found = vote.by(distances, around)
                likelihoods = np.log(found[np.arange(len(asked)), codes[asked]])
                own = None if weights is None else weights[asked]
                votes.append(replace(vote, log_likelihood=float(row_mean(likelihoods, own))))
        return max(votes, key=lambda vote: vote.log_likelihood)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """P(c | x) at points (n, d), (n, c); rows sum to 1."""
        found = np.empty((len(x), len(self.shares)))
        reach = min(_reach(self.neighbours, self.masses), len(self.points))
        tree = NearestNeighbors(n_neighbors=reach).fit(self.points)
        for start in range(0, len(x), _BLOCK):
            rows = slice(start, start + _BLOCK)
            distances, places = tree.kneighbors(x[rows] @ self.matrix)
            found[rows] = self.by(distances, places)
        return found

    def by(self, distances: np.ndarray, places: np.ndarray) -> np.ndarray:
        """P(c | x) by points at these distances and places, (n, j), the nearest first."""
        reach = _reach(self.neighbours, self.masses)
        distances, places = distances[:, :reach], places[:, :reach]
        masses = self.masses[places]
        sums = np.cumsum(masses, axis=1)
        counted = np.clip(self.neighbours - (sums - masses), 0.0, masses)
        last = np.minimum((sums < self.neighbours).sum(axis=1), places.shape[1] - 1)
        radius = np.take_along_axis(distances, last[:, None], axis=1)
        scaled = distances / np.where(radius > 0.0, radius, 1.0)
        weights, codes = counted * np.exp(-0.5 * scaled**2), self.codes[places]
        votes = np.zeros((len(codes), len(self.shares)))
        for j in range(codes.shape[1]):
            votes[np.arange(len(codes)), codes[:, j]] += weights[:, j]
        votes += self.prior * self.shares
        return votes / votes.sum(axis=1, keepdims=True)


def _reach(neighbours: int, masses: np.ndarray) -> int:
    """The points that hold so many rows among the nearest; where some hold less than one, about."""
    if masses.min() >= 1.0:
        return neighbours
    return int(np.ceil(_SLACK * neighbours / masses.mean()))


def _units(points: np.ndarray, codes: np.ndarray, weights: RowWeights) -> list[np.ndarray]:
    """Matrices (d, d) into coordinates without units: of columns, and of what varies in a label."""
    spread = np.sqrt(row_variance(points, weights))
    by_column = np.diag(1.0 / np.where(spread > 0.0, spread, 1.0))
    means = np.stack(
        [
            row_mean(points[own], None if weights is None else weights[own])
            for own in (codes == code for code in range(codes.max() + 1))
        ]
    )
    within = (points - means[codes]) @ by_column
    least = np.sqrt(row_variance(within, weights)).min()
    if least < _LEAST_WITHIN:  # labels that tell all, or one for each point
        return [by_column]
    values, vectors = np.linalg.eigh(shrunk_covariance(within, weights))
    return [by_column, by_column @ (vectors / np.sqrt(values))]


def _nearest(points: np.ndarray, x: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    return NearestNeighbors(n_neighbors=count).fit(points).kneighbors(x)


def _without_self(rows: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Which of the neighbours (n, k + 1) are others: the row itself goes, or the farthest."""
    others = places != rows[:, None]
    others[others.all(axis=1), -1] = False  # among many equal points it may be missing
    return others
