"""Maps through several snapshots of one population."""

import os
from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, clone
from sklearn.utils._set_output import _SetOutputMixin
from sklearn.utils.validation import check_is_fitted

from brenier._checks import check_number, refuse_dates
from brenier.estimators._fitted import framed
from brenier.estimators._monge_map import MongeMap
from brenier.estimators.data import (
    column_labels,
    dense,
    keep_columns,
    kept_columns,
    known_points,
    opened_alike,
)
from brenier.estimators.time import applied, beginning, between, by_time
from brenier.io import is_cells, load, read_manifest, save
from brenier.maps import AbstractMap, Composition


class TimeSeries(OneToOneFeatureMixin, _SetOutputMixin, BaseEstimator):
    """Snapshots of a population at several times, and the maps from each to the next.

    Between neighbouring times every point goes straight, at constant speed, to its image: McCann's
    interpolation, the geodesic of W₂ from law to law. Through all times its path is broken at the
    snapshots, each of its pieces optimal, the whole not in general.

    Not where mass grows or dies between snapshots at rates that differ: a map keeps all of it.

    Args:
        estimator: what learns each map; ``MongeMap()`` where None.

    Attributes:
        times_: (k,), of the snapshots, rising.
        estimators_: k − 1 fitted copies of ``estimator``; none of a series that was loaded.
        maps_: k − 1 maps, each from a snapshot to the next.
        n_features_in_: d; and ``feature_names_in_``, the columns, where the first snapshot has any.

    >>> rng = np.random.default_rng(0)
    >>> snapshots = [rng.normal(size=(100, 2)) + [day, 0.0] for day in (0.0, 1.0, 3.0)]
    >>> series = TimeSeries(MongeMap(effort=0, random_state=0)).fit(snapshots, [0, 1, 3])
    >>> series.trajectories(snapshots[1][:5], from_time=1).shape
    (5, 3, 2)
    >>> bool(abs(series.interpolate(2).mean(axis=0)[0] - 2.0) < 0.3)
    True

    McCann (1997).
    """

    times_: np.ndarray
    estimators_: list[MongeMap]
    maps_: tuple[AbstractMap, ...]

    def __init__(self, estimator: MongeMap | None = None):
        self.estimator = estimator

    def fit(self, snapshots: Any, times: Any) -> "TimeSeries":
        """Learn a map between each two neighbours.

        Args:
            snapshots: arrays, data frames or AnnData, (n_i, d) each, k ≥ 2 of them; or one data
                frame or AnnData.
            times: k numbers that rise; or the column that holds them: of one AnnData in ``obs``, of
                one data frame among its own, where it is then no coordinate.

        Raises:
            ValueError: fewer than two snapshots, times that do not match or do not rise, dates, or
                as ``MongeMap.fit``, of ``snapshots[i]``.
        """
        own = MongeMap() if self.estimator is None else self.estimator
        if is_cells(snapshots) or column_labels("snapshots", snapshots):
            snapshots, times = by_time(snapshots, times)
        self.times_ = _rising(times, len(snapshots))
        clouds, names = opened_alike("snapshots", snapshots, own.layer, own.obsm)
        self.estimators_ = []
        for i, (x, y) in enumerate(pairwise(clouds)):
            try:
                self.estimators_.append(clone(own).set_params(layer=None, obsm=None).fit(x, y))
            except ValueError as error:
                between_them = f"snapshots {i} (X) and {i + 1} (Y)"
                raise ValueError(f"{between_them}: {error}") from error
        self.maps_ = tuple(one.map_ for one in self.estimators_)
        self._snapshots = clouds
        keep_columns(self, self.maps_[0].dimension, names)
        return self

    @framed
    def transform(self, X: Any, from_time: Any, to_time: Any) -> np.ndarray:
        """Where points X (n, d) of one time are at another, (n, d), forwards or backwards.

        Raises:
            ValueError: a time before the first snapshot or after the last.
        """
        points = self._points(X)
        return self._walked(
            points, self._time("from_time", from_time), self._time("to_time", to_time)
        )

    def trajectories(self, X: Any, from_time: Any) -> np.ndarray:
        """Where points X (n, d) of one time are at the times of all snapshots, (n, k, d)."""
        points, now = self._points(X), self._time("from_time", from_time)
        path = {}
        for times in (self.times_[self.times_ >= now], self.times_[self.times_ < now][::-1]):
            there, last = points, now
            for time in times:
                there, last = self._walked(there, last, time), time
                path[float(time)] = there
        return np.stack([path[float(time)] for time in self.times_], axis=1)

    @framed
    def interpolate(self, t: Any) -> np.ndarray:
        """A snapshot of time t, (n, d): the points of the nearer one where the maps bring them.

        Raises:
            ValueError: a time outside of the snapshots', or a series that was loaded or copied,
                which has none: there ``transform(X, from_time, t)`` moves points of yours.
        """
        time = self._time("t", t)
        clouds = vars(self).get("_snapshots")
        if clouds is None:
            raise ValueError(
                "t: got a time for a series that was loaded or copied without its snapshots; "
                "wants transform(X, from_time, t) of points X."
            )
        nearer = int(np.argmin(np.abs(self.times_ - time)))
        return self._walked(self._points(clouds[nearer]), float(self.times_[nearer]), time)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write maps and times to one file, which ``brenier.load`` reads as the map through all."""
        check_is_fitted(self)
        names = kept_columns(self)
        words = None if names is None else [str(name) for name in names]
        save(path, Composition(self.maps_), names=words, about={"times": self.times_.tolist()})

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "TimeSeries":
        """The series that ``save`` wrote, without its snapshots.

        Raises:
            ValueError: as ``brenier.load``, or a file of another map.
        """
        map, manifest = load(path, "map"), read_manifest(path)
        times = (manifest.get("about") or {}).get("times")
        if not isinstance(map, Composition) or times is None:
            raise ValueError(f"{path}: got a {type(map).__name__}; wants a series with its times.")
        found = cls()
        found.times_, found.maps_, found.estimators_ = (
            _rising(times, len(map.maps) + 1),
            map.maps,
            [],
        )
        keep_columns(found, map.dimension, manifest.get("names"))
        return found

    def __getstate__(self) -> dict[str, Any]:
        """What is copied and pickled: all but the snapshots."""
        state: dict[str, Any] = dict(BaseEstimator.__getstate__(self))
        state.pop("_snapshots", None)
        return state

    def _points(self, value: Any) -> np.ndarray:
        check_is_fitted(self)
        own = MongeMap() if self.estimator is None else self.estimator
        (cloud,), _ = opened_alike("X", [value], own.layer, own.obsm, names=kept_columns(self))
        return known_points(self, "X", dense(cloud))

    def _time(self, name: str, value: Any) -> float:
        check_is_fitted(self)
        time, (first, last) = check_number(name, value), self.times_[[0, -1]]
        if not first <= time <= last:
            raise ValueError(f"{name}: got {time:g}; wants a time from {first:g} to {last:g}.")
        return time

    def _walked(self, points: np.ndarray, now: float, goal: float) -> np.ndarray:
        """Points of one time at another: back to where their piece began, along whole ones, on."""
        piece, share = self._place(now)
        last, rest = self._place(goal)
        if (piece, share) == (last, rest):
            return points
        if share > 0.0:
            points = beginning(self.maps_[piece], points, share)
        for map in self.maps_[piece:last]:
            points = applied(map, points)
        for map in reversed(self.maps_[last:piece]):
            points = applied(map.inverse(), points)
        return between(self.maps_[last], points, rest) if rest > 0.0 else points

    def _place(self, time: float) -> tuple[int, float]:
        """The snapshot at or before a time, and the share of the way to the next."""
        before = int(np.searchsorted(self.times_, time, side="right")) - 1
        if before == len(self.maps_):
            return before, 0.0
        start, end = self.times_[before : before + 2]
        return before, float((time - start) / (end - start))


def _rising(times: Any, count: int) -> np.ndarray:
    """Times of so many snapshots, rising."""
    refuse_dates("times", times)
    found = np.array([check_number("times", time) for time in np.ravel(np.asarray(times))])
    if len(found) != count:
        raise ValueError(f"times: got {len(found)} times of {count} snapshots; wants one each.")
    if count < 2:
        raise ValueError(f"snapshots: got {count}; wants at least 2.")
    falls = np.flatnonzero(np.diff(found) <= 0.0)
    if len(falls):
        at = int(falls[0])
        raise ValueError(
            f"times: got {found[at + 1]:g} after {found[at]:g}; wants times that rise, with the "
            "snapshots in their order."
        )
    return found
