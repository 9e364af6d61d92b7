"""The growth of a pair of clouds, and what it makes of their weights."""

from typing import Any

import numpy as np

from brenier._checks import check_positive
from brenier._types import Float, RowWeights
from brenier.estimators.data import Pair
from brenier.estimators.growth._entropic import entropic_growth, too_small
from brenier.estimators.growth._penalty import PenaltyRow, penalty_rows
from brenier.estimators.growth._spacing import warn_of_spacing
from brenier.maps import EntropicGrowth


def check_unbalanced(value: Any) -> None:
    """A ``ValueError`` where ``unbalanced`` is neither a number above 0, "cv" nor None.

    >>> check_unbalanced("auto")
    Traceback (most recent call last):
        ...
    ValueError: unbalanced: got 'auto'; wants a finite number above 0, 'cv' or None.
    """
    if isinstance(value, str):
        if value != "cv":
            raise ValueError(
                f"unbalanced: got {value!r}; wants a finite number above 0, 'cv' or None."
            )
    elif isinstance(value, bool | np.bool_):
        raise ValueError(
            f"unbalanced: got {value!r}; wants a finite number above 0 (τ, in units of ½ squared "
            "distance), 'cv' to have one chosen, or None."
        )
    elif value is not None:
        check_positive("unbalanced", value)


def grown(
    pair: Pair, penalty: float | str | None, random_state: int
) -> tuple[Pair, EntropicGrowth | None, tuple[PenaltyRow, ...] | None]:
    """The pair with the weights of both clouds times their growth, the growth, and the choice.

    Args:
        pair: of points.
        penalty: τ; None for a balanced pair, which is left as it is; or "cv" to choose, by
            ``penalty_rows``.
        random_state: of the rows that are taken of large clouds, and of the halves.

    Raises:
        ValueError: a law in the place of points; a τ for which hardly a point is left; as
            ``penalty_rows``.

    Warns:
        UserWarning: a τ below what the points tell apart.
    """
    if penalty is None:
        return pair, None, None
    for name, law in zip(("X", "Y"), pair.laws, strict=True):
        if law is not None:
            raise ValueError(
                f"{name}: got the measure {type(law).__name__} with unbalanced={penalty}; wants "
                "points (measure.sample(key, n))."
            )
    clouds = pair.source, pair.target
    x, y = (cloud.points.astype(np.float64) + cloud.origin for cloud in clouds)
    weights = clouds[0].weights, clouds[1].weights
    rows: tuple[PenaltyRow, ...] | None = None
    strength: float | None
    if isinstance(penalty, str):
        rows = penalty_rows(x, y, weights, random_state)
        strength = next(row.penalty for row in rows if row.chosen)
        if strength is None:
            return pair, None, rows
    else:
        strength = float(penalty)
    growth = entropic_growth(x, y, strength, weights, random_state)
    factors = growth.source(x), growth.target(y)
    for cloud, factor in zip(clouds, factors, strict=True):
        masses = factor if cloud.weights is None else factor * cloud.weights
        largest = masses.max(initial=0.0)
        shares = masses / largest if largest > 0.0 else masses  # whose squares do not underflow
        if not shares.sum() ** 2 >= 2.0 * np.square(shares).sum() > 0.0:
            raise ValueError(too_small(growth.penalty))
    if rows is None:  # what "cv" took was seen to hold
        warn_of_spacing(growth)
    space = pair.space
    if space is not None:
        space = space.reweighted(growth.source(space.x), growth.target(space.y))
    return pair.reweighted(*factors, space), growth, rows


def growth_of(
    growth: EntropicGrowth | None, points: np.ndarray, side: str
) -> Float[np.ndarray, " n"]:
    """Of the points (n, d) of a side, "source" or "target"; 1 where there is no growth.

    >>> growth_of(None, np.zeros((2, 1)), "source").tolist()
    [1.0, 1.0]
    """
    if side not in ("source", "target"):
        raise ValueError(f"side: got {side!r}; wants 'source' or 'target'.")
    if growth is None:
        return np.ones(len(points))
    return growth.source(points) if side == "source" else growth.target(points)


def grown_weights(
    growth: EntropicGrowth | None, points: np.ndarray, weights: RowWeights, side: str
) -> RowWeights:
    """Weights of the points (n, d) of a side, times their growth where there is one."""
    if growth is None:
        return weights
    factor = growth_of(growth, points, side)
    return factor if weights is None else factor * weights
