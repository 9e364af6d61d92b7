"""How much more or less than its own mass each point sends or receives, by an entropic plan."""

import equinox as eqx
import numpy as np
from jax.typing import ArrayLike

from brenier._checks import check_points, to_device
from brenier._types import Array, Float
from brenier.numerics import barycentric_projection, entropic_potential


class EntropicGrowth(eqx.Module):
    """By what the marginals of π_ij exp((p_i + q_j)/2σ) are more than the clouds' weights.

    π_ij = a_i b_j exp((f_i + g_j − c_ij)/ε) is the plan for the penalty σ = τ − ε, and p and q are
    the potentials of the plans of source and target with themselves. Those take off what ε does to
    the growth (Séjourné et al. 2019): where both clouds are dense and τ is small it is then
    √(dν/dμ) for any ε, as it has to be. Both sides are marginals of one plan, so that what is left
    of the clouds lies where the plan takes it: a growth of each side by itself, e^{−(f − p)/σ},
    moves them past each other where τ is not far above ε. And with σ + ε = τ the means of
    Gaussians' marginals are those of ε = 0.
    At any point f(x) = −εσ/τ log Σ_j b_j exp((g_j − ½|x − y_j|²)/ε).

    Beside a ``SubspaceMap`` it is of the map's coordinates: ``growth.source(map.coordinates(x))``.
    Not for the mass of a potential that was learned: that is ``flows.Growth``.

    Args:
        penalty: τ; None of a balanced plan, whose growth is 1.
        epsilon: ε, at most half of τ.
        origin: (d,), what is taken off all points.
        x, y: the clouds, (n, d), (m, d), less the origin.
        a, b: their weights, (n,), (m,), of sum 1.
        f, g: the potentials of the plan between them.
        p, q: those of the plans of each with itself.

    Raises:
        ValueError: shapes that do not match, or an ε that is no number between 0 and τ.

    >>> x, none = np.array([[-1.0], [1.0]]), np.zeros(2)
    >>> growth = EntropicGrowth(None, 0.1, np.zeros(1), x, x, none + 0.5, none + 0.5, *[none] * 4)
    >>> growth.source(x).tolist()
    [1.0, 1.0]
    """

    penalty: float | None
    epsilon: float
    origin: Float[np.ndarray, " d"]
    x: Float[np.ndarray, "n d"]
    y: Float[np.ndarray, "m d"]
    a: Float[np.ndarray, " n"]
    b: Float[np.ndarray, " m"]
    f: Float[np.ndarray, " n"]
    g: Float[np.ndarray, " m"]
    p: Float[np.ndarray, " n"]
    q: Float[np.ndarray, " m"]

    def __check_init__(self) -> None:
        n, m, d = len(self.x), len(self.y), self.dimension
        shapes = (("x", (n, d)), ("y", (m, d)), *((name, (n,)) for name in "afp"))
        for name, shape in (*shapes, *((name, (m,)) for name in "bgq")):
            found = getattr(self, name).shape
            if found != shape:
                raise ValueError(f"{name}: got shape {found}; wants {shape}.")
        most = np.inf if self.penalty is None else self.penalty
        if not 0.0 < self.epsilon < most:
            raise ValueError(f"epsilon: got {self.epsilon}; wants a number from 0 to {most}.")

    @property
    def dimension(self) -> int:
        return len(self.origin)

    def source(self, x: ArrayLike) -> Float[np.ndarray, " n"]:
        """Of source points x (n, d)."""
        return self._of(self._near("x", x), *self._from_source(), self.q)

    def target(self, y: ArrayLike) -> Float[np.ndarray, " m"]:
        """Of target points y (m, d)."""
        return self._of(self._near("y", y), *self._from_target(), self.p)

    def source_steps(self, x: ArrayLike) -> Float[np.ndarray, "n d"]:
        """From source points x (n, d) to the middle of where the plan sends them."""
        return self._steps(self._near("x", x), *self._from_source())

    def target_steps(self, y: ArrayLike) -> Float[np.ndarray, "m d"]:
        """From target points y (m, d) back to the middle of where they come from."""
        return self._steps(self._near("y", y), *self._from_target())

    def _from_source(self) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
        """What sends source points to the target, and to their own cloud."""
        return (self.y, self.g, self.b), (self.x, self.p, self.a)

    def _from_target(self) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
        return (self.x, self.f, self.a), (self.y, self.q, self.b)

    def _near(self, name: str, points: ArrayLike) -> np.ndarray:
        found = check_points(name, points, dimension=self.dimension)
        return found.astype(np.float64) - self.origin

    def _of(
        self,
        z: np.ndarray,
        there: tuple[np.ndarray, ...],
        here: tuple[np.ndarray, ...],
        other_self: np.ndarray,
    ) -> np.ndarray:
        """At points z of one side; ``other_self`` is the potential of the other's own plan."""
        if self.penalty is None:
            return np.ones(len(z))
        epsilon, held = self.epsilon, self.penalty - self.epsilon
        other, potential, weights = there
        raised = other, potential + epsilon / (2.0 * held) * other_self, weights
        f, p, grown = (
            np.asarray(entropic_potential(*_on_device(z, *plan), epsilon=epsilon))
            for plan in (there, here, raised)
        )
        return np.exp((held / epsilon * f + 0.5 * p) / self.penalty - grown / epsilon)

    def _steps(
        self, z: np.ndarray, there: tuple[np.ndarray, ...], here: tuple[np.ndarray, ...]
    ) -> np.ndarray:
        other, own = (
            np.asarray(barycentric_projection(*_on_device(z, *plan), epsilon=self.epsilon))
            for plan in (there, here)
        )
        return other - own  # ε blurs both


def _on_device(*parts: np.ndarray) -> list[Array]:
    return [to_device(part) for part in parts]
