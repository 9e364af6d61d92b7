"""Growth: how much more or less than its own mass each point sends or receives."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from sklearn.exceptions import ConvergenceWarning

from brenier._types import Float, RowWeights
from brenier._warnings import warn_user
from brenier.estimators.data import Pair
from brenier.numerics import default_epsilon, entropic_potential, sinkhorn

# Points a side between which the plan is found: all others have the growth of its potentials.
_POINTS = 2048
_TOLERANCE, _ITERATIONS = 1e-4, 2000


class Side(NamedTuple):
    """Points (n, d) with log weights plus potentials over ε: the other side's, and its own."""

    other: Float[np.ndarray, "m d"]
    other_potential: Float[np.ndarray, " m"]
    other_weights: Float[np.ndarray, " m"]
    own: Float[np.ndarray, "n d"]
    own_potential: Float[np.ndarray, " n"]
    own_weights: Float[np.ndarray, " n"]


class EntropicGrowth(NamedTuple):
    """e^{−(f − p)/τ} of a source point, f the potential of the unbalanced plan between the clouds.

    p is that of the plan between the source and itself, whose growth is 1 but for ε: what ε does to
    f is mostly in p too (Séjourné et al. 2019). Both are known at any point, by the half-step
    f(x) = −ετ/(τ + ε) log Σ_j b_j exp((g_j − ½|x − y_j|²)/ε).

    Args:
        penalty: τ.
        epsilon: ε.
        origin: what is taken off all points.
        sides: of the source and of the target.
    """

    penalty: float
    epsilon: float
    origin: np.ndarray
    sides: tuple[Side, Side]

    def source(self, x: np.ndarray) -> Float[np.ndarray, " n"]:
        """Of source points x (n, d)."""
        return self._of(x, self.sides[0])

    def target(self, y: np.ndarray) -> Float[np.ndarray, " m"]:
        """Of target points y (m, d)."""
        return self._of(y, self.sides[1])

    def _of(self, points: np.ndarray, side: Side) -> np.ndarray:
        z = jnp.asarray(points.astype(np.float64) - self.origin)
        f, p = (
            entropic_potential(
                z, jnp.asarray(x), jnp.asarray(g), jnp.asarray(w), epsilon=self.epsilon
            )
            for x, g, w in (side[:3], side[3:])
        )
        return np.exp(-np.asarray(f - p) / (self.penalty + self.epsilon))


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

    Warns:
        ConvergenceWarning: where Sinkhorn's iteration did not end.

    >>> x = np.random.default_rng(0).normal(size=(200, 1))
    >>> growth = entropic_growth(x, np.concatenate([x, x + 20.0]), 1.0)
    >>> growth.target(np.array([[0.0], [20.0]])).round(2).tolist()  # half of them is out of reach
    [1.42, 0.0]
    """
    random = np.random.default_rng(random_state)
    origin = y.astype(np.float64).mean(axis=0)
    (u, a), (v, b) = (
        _few(points.astype(np.float64) - origin, own, random)
        for points, own in zip((x, y), weights, strict=True)
    )
    epsilon = min(float(default_epsilon(jnp.asarray(z))) for z in (u, v))
    between = _plan(u, v, a, b, epsilon, penalty)
    own = [_plan(z, z, w, w, epsilon, penalty)[0] for z, w in ((u, a), (v, b))]
    sides = (Side(v, between[1], b, u, own[0], a), Side(u, between[0], a, v, own[1], b))
    return EntropicGrowth(penalty, epsilon, origin, sides)


def grown(pair: Pair, penalty: float, random_state: int) -> tuple[Pair, EntropicGrowth]:
    """The pair with the weights of both clouds times their growth, and the growth.

    Raises:
        ValueError: a law in the place of points; a τ for which hardly a point is left.
    """
    for name, law in zip(("X", "Y"), pair.laws, strict=True):
        if law is not None:
            raise ValueError(
                f"{name}: got the measure {type(law).__name__} with unbalanced={penalty}; wants "
                "points (measure.sample(key, n))."
            )
    clouds = pair.source, pair.target
    x, y = (cloud.points.astype(np.float64) + cloud.origin for cloud in clouds)
    weights = clouds[0].weights, clouds[1].weights
    growth = entropic_growth(x, y, penalty, weights, random_state)
    factors = growth.source(x), growth.target(y)
    for cloud, factor in zip(clouds, factors, strict=True):
        masses = factor if cloud.weights is None else factor * cloud.weights
        if not masses.sum() ** 2 >= 2.0 * np.square(masses).sum():
            raise ValueError(_too_small(penalty))
    space = pair.space
    if space is not None:
        space = space.reweighted(growth.source(space.x), growth.target(space.y))
    return pair.reweighted(*factors, space), growth


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


def _too_small(penalty: float) -> str:
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


def _plan(
    x: np.ndarray, y: np.ndarray, a: np.ndarray, b: np.ndarray, epsilon: float, penalty: float
) -> tuple[np.ndarray, np.ndarray]:
    """The two potentials of the unbalanced plan."""
    plan = sinkhorn(
        jnp.asarray(x),
        jnp.asarray(y),
        jnp.asarray(a),
        jnp.asarray(b),
        epsilon=epsilon,
        source_penalty=penalty,
        target_penalty=penalty,
        tolerance=_TOLERANCE,
        max_iterations=_ITERATIONS,
    )
    if not float(plan.source_growth @ jnp.asarray(a)) > 0.0:
        raise ValueError(_too_small(penalty))
    if not bool(plan.converged):
        warn_user(
            f"The growth is known to {float(plan.error):.2g} of the mass only: Sinkhorn's "
            "iteration did not end. Take a larger penalty.",
            ConvergenceWarning,
        )
    return np.asarray(plan.f), np.asarray(plan.g)
