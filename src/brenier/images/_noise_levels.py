"""How a network of diffusers is told the noise level, and what its output says of the noise."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp
import numpy as np

from brenier._checks import check_at_least, check_positive
from brenier._types import Array, Scalar

_STEPS = 1000
# Single precision keeps a signal near 1 to this: a step's own signal stands for the step.
_ROUNDING = 4.0 * 2.0**-24
# At most this share of the way to the next step stands for the step.
_MOST_ROUNDING = 0.25


@dataclass(frozen=True)
class NoiseLevels:
    """What y = a x_0 + b ε, b² = 1 − a², is to a network, at which step, and what it answers.

    - "steps": the network sees y and a step t of T, a_t the ``signals``; between two steps t is
      linear in log(b/a), as in diffusers. It predicts ε, v = a ε − b x_0 or x_0.
    - "logarithm": the same, with ¼ log σ in place of t, σ = b/a.
    - "edm": x = y/a at σ: D = c_skip x + c_out f(c_in x, ¼ log σ), c_skip = s²/(σ² + s²),
      c_out = σ s/√(σ² + s²), c_in = 1/√(σ² + s²), s = ``data`` (Karras et al. 2022, table 1).
    - "flow": the network sees (1 − s) x_0 + s ε = y/(a + b) at the step s T, s = b/(a + b), and
      predicts ε − x_0 (flow matching along lines).

    All of them are one velocity, in the clock a: that of ``ImageVelocity``.

    Args:
        kind: of the four.
        prediction: "epsilon", "v" or "sample"; for "edm", "v" has the sign of c_out changed.
        signals: a_0 > … > a_{T−1} of the steps; empty for Ho et al.'s of the linear schedule.
        count: T.
        data: s, the standard deviation of the data that "edm" scales by.

    Raises:
        ValueError: values out of range.

    >>> NoiseLevels().told(jnp.asarray(NoiseLevels().table[400]), float).round(6).tolist()
    400.0
    """

    kind: Literal["steps", "logarithm", "edm", "flow"] = "steps"
    prediction: Literal["epsilon", "v", "sample"] = "epsilon"
    signals: Sequence[float] = ()
    count: int = _STEPS
    data: float = 0.5

    def __post_init__(self):
        object.__setattr__(self, "signals", tuple(self.signals))
        for name, value, known in (
            ("kind", self.kind, ("steps", "logarithm", "edm", "flow")),
            ("prediction", self.prediction, ("epsilon", "v", "sample")),
        ):
            if value not in known:
                raise ValueError(f"{name}: got {value!r:.100}; wants one of {list(known)}.")
        check_at_least("count", self.count, 2)
        check_positive("data", self.data)
        levels = np.asarray(self.signals, float)
        falling = not levels.size or (
            len(levels) == self.count
            and (np.diff(levels) < 0).all()
            and 0.0 < levels[-1] < levels[0] < 1.0
        )
        if not falling:
            raise ValueError(
                f"signals: got {len(levels)} levels; wants {self.count}, falling from below 1 to "
                "above 0."
            )

    @property
    def table(self) -> np.ndarray:
        """The signal levels of the steps."""
        if self.signals:
            return np.asarray(self.signals)
        return np.sqrt(np.cumprod(1.0 - np.linspace(1e-4, 0.02, self.count)))

    @property
    def gives(self) -> Literal["epsilon", "v"]:
        """What ``prediction`` makes of the network's output, for ``ImageModel.prediction``."""
        plain = self.kind in ("steps", "logarithm") and self.prediction == "epsilon"
        return "epsilon" if plain else "v"

    def told(self, signal: Scalar, dtype: np.dtype | type) -> Scalar:
        """The number that stands for the noise level, as the network was trained on it."""
        a, b = _both(signal)
        if self.kind == "flow":
            return (self.count * b / (a + b)).astype(dtype)
        depth = jnp.log(b) - jnp.log(a)
        if self.kind == "steps":
            return self._step(depth).astype(dtype)
        # At a = 1 it would be told −∞: the first level stands for it.
        return (0.25 * jnp.where(b > 0.0, depth, _depths(self.table)[0])).astype(dtype)

    def input_scale(self, signal: Scalar) -> Scalar:
        """What y is multiplied by before the network sees it."""
        a, b = _both(signal)
        if self.kind == "flow":
            return 1.0 / (a + b)
        if self.kind == "edm":
            return 1.0 / jnp.sqrt(b**2 + (a * self.data) ** 2)
        return jnp.ones_like(a)

    def answer(self, signal: Scalar, y: Array, found: Array) -> Array:
        """ε or v at y, whichever ``gives`` names, of what the network found."""
        # Networks that learned variances say them behind.
        found = found[..., : y.shape[-1]]
        scale, share = self._linear(signal)
        return jnp.asarray(scale, y.dtype) * found + jnp.asarray(share, y.dtype) * y

    def _linear(self, signal: Scalar) -> tuple[Scalar, Scalar]:
        """(p, q) of the answer p f + q y."""
        a, b = _both(signal)
        if self.kind == "flow":
            return 1.0 / (a + b), (a - b) / (a + b)
        if self.kind == "edm":
            spread = b**2 + (a * self.data) ** 2
            sign = 1.0 if self.prediction == "v" else -1.0
            return sign * self.data / jnp.sqrt(spread), a * b * (1.0 - self.data**2) / spread
        if self.prediction == "sample":
            # Where nothing is left of the noise, its first level stands for it.
            b = jnp.maximum(b, np.sqrt(1.0 - self.table[0] ** 2))
            return -1.0 / b, a / b
        return jnp.ones_like(a), jnp.zeros_like(a)

    def _step(self, depth: Scalar) -> Scalar:
        """The step at log σ, linear between steps; each stands for what rounds to it."""
        depths = _depths(self.table)
        gaps = np.diff(depths)
        # d log σ = da / (a b²), and a is rounded.
        flat = np.minimum(_ROUNDING / (1.0 - self.table[:-1] ** 2) / gaps, _MOST_ROUNDING)
        inside = jnp.clip(depth, depths[0], depths[-1])
        piece = jnp.clip(jnp.searchsorted(depths, inside, side="right") - 1, 0, len(gaps) - 1)
        share = (inside - jnp.asarray(depths)[piece]) / jnp.asarray(gaps)[piece]
        edge = jnp.asarray(flat)[piece]
        return piece + jnp.clip((share - edge) / (1.0 - 2.0 * edge), 0.0, 1.0)


def _depths(table: np.ndarray) -> np.ndarray:
    """log σ of the levels."""
    return 0.5 * np.log((1.0 - table) * (1.0 + table)) - np.log(table)


def _both(signal: Scalar) -> tuple[Scalar, Scalar]:
    """(a, b), with all the digits there are, whatever those of the images."""
    a = jnp.asarray(signal, float)
    return a, jnp.sqrt((1.0 - a) * (1.0 + a))
