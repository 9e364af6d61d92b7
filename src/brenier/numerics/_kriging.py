"""Regression on categories and numbers: kriging, its settings by leaving one place out."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from brenier._types import Array, Float, Scalar

# Lengths over which values stay alike, in units of the places; a tendency is told beside them.
_LENGTHS = (0.5, 1.0, 2.0, 4.0, 8.0)
# Variances of the signal over the mean variance of the noise.
_RATIOS = (0.0, *np.logspace(-1.0, 9.0, 21))
# Of the signal's variance: what keeps a kernel of very alike places regular.
_JITTER = 1e-11


class Kriging(eqx.Module):
    """f(c) = h(c)ᵀβ + Σ_k κ(c, c_k) α_k: values at places c_k, smoothed and carried to others.

    A place is a row of covariates: a category is coded by as many numbers as there are categories,
    of which one is 1 (none for a category that was not seen), a real number by itself. κ is 1 for
    equal categories and 0 for others, exp(−(c − c')²/2ℓ²) for numbers; of several covariates the
    mean of all κ and of their product. h(c) is 1, and the numbers where a slope is worth it. So a
    category not seen gets the mean, in which places count by what they tell.

    Not for places where values jump.

    Args:
        knots: c_k, (k, e).
        trend: β, (r, p).
        weights: α, (k, p).
        length: ℓ.
        layout: for each covariate how many categories it has; 0 for a number.

    Rasmussen & Williams (2006), sections 2.7 and 5.4.2.

    >>> import numpy as np
    >>> days = np.linspace(-1.0, 1.0, 5)[:, None]
    >>> f = Kriging.fit(days, (0,), days**2, noise=np.full(5, 1e-6))
    >>> float(f(np.array([0.25]))[0].round(2))
    0.06
    """

    knots: Float[Array, "k e"]
    trend: Float[Array, "r p"]
    weights: Float[Array, "k p"]
    length: Scalar
    layout: tuple[int, ...] = eqx.field(static=True)

    def __check_init__(self):
        if code_length(self.layout) != self.knots.shape[1]:
            raise ValueError(
                f"layout: got {self.layout}; wants one for places of {self.knots.shape[1]} numbers."
            )

    @classmethod
    def fit(
        cls,
        knots: np.ndarray,
        layout: tuple[int, ...],
        values: np.ndarray,
        *,
        noise: np.ndarray,
        scales: np.ndarray | None = None,
        groups: np.ndarray | None = None,
    ) -> "Kriging":
        """The regression of least surprise at each place when told of all others.

        Args:
            knots: places (k, e), distinct.
            layout: of a place.
            values: (k, p), at each place.
            noise: (k,), the variance of a value there, over the square of its scale.
            scales: (p,), of the columns of values; 1 where None.
            groups: (p,), integers from 0; the columns of one group share the variance of their
                signal. One group where None.
        """
        scales = np.ones(values.shape[1]) if scales is None else scales
        groups = np.zeros(values.shape[1], int) if groups is None else groups
        y = values / scales
        options = [
            _Option.of(knots, layout, y, noise, groups, linear=linear, length=length)
            for linear in ((False, True) if 0 in layout else (False,))
            for length in (_LENGTHS if 0 in layout else (1.0,))
            if not linear or len(knots) > 2 + layout.count(0)
        ]
        best = min(options, key=lambda option: option.surprise)
        basis = _trend(layout, knots, best.linear, np)
        kernel = _kernel(layout, best.length, knots, knots, np)
        trend = np.zeros((basis.shape[1], y.shape[1]))
        weights = np.zeros((len(knots), y.shape[1]))
        for group, signal in enumerate(best.signals):
            own = groups == group
            inverse = np.linalg.inv(signal * _regular(kernel) + np.diag(noise))
            slope = np.linalg.solve(basis.T @ inverse @ basis, basis.T @ inverse @ y[:, own])
            trend[:, own] = slope
            weights[:, own] = signal * inverse @ (y[:, own] - basis @ slope)
        return cls(
            jnp.asarray(knots),
            jnp.asarray(trend * scales),
            jnp.asarray(weights * scales),
            jnp.asarray(best.length),
            layout,
        )

    def __call__(self, place: Any) -> Float[Array, " p"]:
        """The values at a place (e,)."""
        here: Any = jnp.asarray(place, self.knots.dtype)
        near = _kernel(self.layout, self.length, here, self.knots, jnp)
        basis = _trend(self.layout, here, self.trend.shape[0] > 1, jnp)
        return basis @ self.trend + near @ self.weights


class _Option(NamedTuple):
    """One setting, and −2 the log-density of every place's values given those of the others."""

    linear: bool
    length: float
    signals: list[float]
    surprise: float

    @classmethod
    def of(
        cls,
        knots: np.ndarray,
        layout: tuple[int, ...],
        y: np.ndarray,
        noise: np.ndarray,
        groups: np.ndarray,
        *,
        linear: bool,
        length: float,
    ) -> "_Option":
        basis = _trend(layout, knots, linear, np)
        kernel = _regular(_kernel(layout, length, knots, knots, np))
        signals = [ratio * float(noise.mean()) for ratio in _RATIOS]
        if len(knots) <= basis.shape[1]:  # a single place: nothing is left to compare with
            return cls(linear, length, [0.0] * (groups.max() + 1), 0.0)
        table = np.zeros((len(signals), groups.max() + 1))
        for row, signal in zip(table, signals, strict=True):
            np.add.at(row, groups, _surprise(signal * kernel + np.diag(noise), basis, y))
        best = table.argmin(axis=0)
        return cls(linear, length, [signals[i] for i in best], float(table.min(axis=0).sum()))


def _surprise(covariance: np.ndarray, basis: np.ndarray, y: np.ndarray) -> np.ndarray:
    """−2 Σ_k log p(y_k | the others), (p,), in closed form (Dubrule, 1983)."""
    inverse = np.linalg.inv(covariance)
    lifted = inverse @ basis
    left = inverse - lifted @ np.linalg.solve(basis.T @ lifted, lifted.T)
    precision = np.maximum(np.diag(left), np.finfo(float).tiny)
    return np.sum((left @ y) ** 2 / precision[:, None] - np.log(precision)[:, None], axis=0)


def _regular(kernel: np.ndarray) -> np.ndarray:
    return kernel + _JITTER * np.eye(len(kernel))


def code_length(layout: Sequence[int]) -> int:
    """How many numbers code a place: as many as there are categories, and one for each number.

    >>> code_length((3, 0))
    4
    """
    return sum(max(width, 1) for width in layout)


def code_columns(layout: Sequence[int]) -> list[slice]:
    """Where each covariate stands in the code of a place.

    >>> code_columns((3, 0))
    [slice(0, 3, None), slice(3, 4, None)]
    """
    ends = np.cumsum([max(width, 1) for width in layout]).tolist()
    return [slice(end - max(width, 1), end) for end, width in zip(ends, layout, strict=True)]


def _kernel(layout: Sequence[int], length: Any, here: Any, knots: Any, xp: Any) -> Any:
    """κ between places (..., e) and knots (k, e), (..., k); ``xp`` is NumPy or JAX's."""
    parts = []
    for width, columns in zip(layout, code_columns(layout), strict=True):
        own, other = here[..., None, columns], knots[:, columns]
        far = xp.sum(xp.square((own - other) / length), axis=-1)
        parts.append(xp.sum(own * other, axis=-1) if width else xp.exp(-0.5 * far))
    if len(parts) == 1:
        return parts[0]
    together = xp.prod(xp.stack(parts), axis=0)
    return (sum(parts) + together) / (len(parts) + 1)


def _trend(layout: Sequence[int], here: Any, linear: bool, xp: Any) -> Any:
    """1, and the numbers of a place where there is a slope: (..., r)."""
    ones = xp.ones((*here.shape[:-1], 1))
    if not linear:
        return ones
    numbers = [
        here[..., columns]
        for width, columns in zip(layout, code_columns(layout), strict=True)
        if width == 0
    ]
    return xp.concatenate([ones, *numbers], axis=-1)
