"""Time: where points are on the way of one map."""

from brenier.estimators.time._segments import applied, beginning, between, interpolated

__all__ = ["applied", "beginning", "between", "interpolated"]
