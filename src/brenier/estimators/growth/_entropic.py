"""Growth: what each point sends or receives, by the plans between two clouds."""

import jax.numpy as jnp
import numpy as np
from sklearn.exceptions import ConvergenceWarning

from brenier._checks import to_device
from brenier._types import Float
from brenier._warnings import warn_user
from brenier.maps import EntropicGrowth
from brenier.numerics import default_epsilon, sinkhorn

# Points a side between which the plan is found: all others have the growth of its potentials.
_POINTS = 2048
_TOLERANCE, _ITERATIONS = 1e-4, 2000
# ε of τ, at most: below one, for τ − ε is what holds the marginals.
_MOST_BLUR = 0.5


def entropic_growth(
    x: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, "m d"],
    penalty: float,
    weights: tuple[np.ndarray | None, np.ndarray | None] = (None, None),
    random_state: int = 0,
) -> EntropicGrowth:
    """The growth between two clouds whose marginals are held by KL with strength τ.

    Args:
        x, y: the clouds.
        penalty: τ, in units of ½ squared distance: clouds in other units s have the same growth for
            s²τ.
        weights: of the rows of both, above 0; of sum 1 each, whatever they are.
        random_state: of the rows that are taken of large clouds.

    Raises:
        ValueError: a τ for which no mass is left.

    Warns:
        ConvergenceWarning: where Sinkhorn's iteration did not end.

    >>> x = np.random.default_rng(0).normal(size=(200, 1))
    >>> growth = entropic_growth(x, np.concatenate([x, x + 20.0]), 1.0)
    >>> growth.target(np.array([[0.0], [20.0]])).round(2).tolist()  # half of them is out of reach
    [1.41, 0.0]
    """
    clouds, origin = few_points((x, y), weights, random_state)
    epsilon = common_epsilon(*clouds)
    found, error = growth_between(*clouds, penalty, epsilon, _TOLERANCE, _ITERATIONS, origin=origin)
    if not error <= _TOLERANCE:
        warn_user(
            f"The growth is known to {error:.2g} of the mass only: Sinkhorn's iteration did not "
            "end. Take a larger penalty.",
            ConvergenceWarning,
        )
    return found


# Points (n, d) and their weights (n,) of sum 1.
Weighted = tuple[np.ndarray, np.ndarray]


def few_points(
    points: tuple[np.ndarray, np.ndarray],
    weights: tuple[np.ndarray | None, np.ndarray | None],
    random_state: int,
) -> tuple[tuple[Weighted, Weighted], np.ndarray]:
    """At most ``_POINTS`` of either side, by weight, less the mean of the target; and that mean."""
    random = np.random.default_rng(random_state)
    origin = points[1].astype(np.float64).mean(axis=0)
    x, y = (
        _few(own.astype(np.float64) - origin, masses, random)
        for own, masses in zip(points, weights, strict=True)
    )
    return (x, y), origin


def common_epsilon(x: Weighted, y: Weighted) -> float:
    """ε of plans between the clouds: the default of the narrower."""
    return min(float(default_epsilon(to_device(points))) for points, _ in (x, y))


def growth_between(
    x: Weighted,
    y: Weighted,
    penalty: float | None,
    epsilon: float,
    tolerance: float,
    max_iterations: int,
    *,
    origin: np.ndarray | None = None,
) -> tuple[EntropicGrowth, float]:
    """The growth between weighted clouds, and the largest error of the plans that it is from.

    ε is brought down to half of the penalty: a plan that blurs more than it moves tells nothing.
    ``origin`` is what was taken off the points, 0 where None.

    Raises:
        ValueError: a τ for which no mass is left.
    """
    epsilon = epsilon if penalty is None else min(epsilon, _MOST_BLUR * penalty)
    held = None if penalty is None else penalty - epsilon
    plans = [
        sinkhorn(
            *(to_device(part) for part in (u, v, a, b)),
            epsilon=epsilon,
            source_penalty=held,
            target_penalty=held,
            tolerance=tolerance,
            max_iterations=max_iterations,
        )
        for (u, a), (v, b) in ((x, y), (x, x), (y, y))
    ]
    if not float(plans[0].source_growth @ jnp.asarray(x[1])) > 0.0:
        raise ValueError(too_small(penalty))
    f, g, p, q = (np.asarray(of) for of in (plans[0].f, plans[0].g, plans[1].f, plans[2].f))
    (u, a), (v, b) = x, y
    origin = np.zeros(u.shape[1]) if origin is None else origin
    error = max(float(plan.error) for plan in plans)
    return EntropicGrowth(penalty, epsilon, origin, u, v, a, b, f, g, p, q), error


def too_small(penalty: float | None) -> str:
    """What is said of a τ that leaves nothing."""
    return (
        f"unbalanced: got {penalty}, for which fewer than two points a side keep their mass; wants "
        "a larger one: half of the squared distance by which mass may be moved."
    )


def _few(
    points: np.ndarray, weights: np.ndarray | None, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """At most ``_POINTS`` of the points, by weight, and their weights of sum 1."""
    if len(points) > _POINTS:
        shares = None if weights is None else weights / weights.sum()
        rows, times = np.unique(
            random.choice(len(points), _POINTS, replace=weights is not None, p=shares),
            return_counts=True,
        )
        points, weights = points[rows], times.astype(np.float64)
    elif weights is None:
        weights = np.ones(len(points))
    return points, weights / weights.sum()
