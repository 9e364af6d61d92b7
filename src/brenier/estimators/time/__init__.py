"""Time: where points are on the way of one map, and the snapshots that a column tells apart."""

from brenier.estimators.time._segments import applied, beginning, between, interpolated
from brenier.estimators.time._snapshots import by_time

__all__ = ["applied", "beginning", "between", "by_time", "interpolated"]
