"""Where the steps of a scheduler of diffusers lie, and DDIM through them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier._checks import check_at_least
from brenier._types import Array, Float, Point, Scalar
from brenier.maps import AbstractMap

if TYPE_CHECKING:
    from brenier.images._model import ImageModel

# Karras et al.'s ρ where a scheduler does not say it.
_RHO = 7.0


@dataclass(frozen=True)
class Sampling:
    """Which signal levels N steps of a scheduler are at, and what it does to predicted images.

    Args:
        family: whose conventions: "ddim" (DDPM and PNDM too), "dpm", "euler", "edm" or "flow".
        spacing: diffusers' ``timestep_spacing``: "leading", "linspace" or "trailing".
        law: by which the noise falls: at the "steps" so spaced, or "karras", "exponential", "flow".
        offset: ``steps_offset``.
        clean: whether the last step goes to the clean image (``set_alpha_to_one``,
            ``final_sigmas_type`` zero), or to the first level.
        clip: predicted images are cut to [−clip, clip] (``clip_sample``); None for not.
        range: (least, largest) noise σ = b/a of "karras" and "exponential"; None for those of the
            steps.
        rho: of "karras".
        shift: of "flow".
        terminal: of "flow", the last noise that others are stretched to; None for not.
        last: step numbers below it are used (``lambda_min_clipped``); None for all.
        ends_in_noise: whether the last level is 0 exactly (``rescale_betas_zero_snr`` of DDIM).

    Raises:
        ValueError: values out of range.

    >>> import numpy as np
    >>> here, there = Sampling().levels(2, np.array([0.9, 0.8, 0.4, 0.2]))
    >>> here.tolist(), there.tolist()
    ([0.4, 0.9], [0.9, 1.0])
    """

    family: Literal["ddim", "dpm", "euler", "edm", "flow"] = "ddim"
    spacing: str = "leading"
    law: Literal["steps", "karras", "exponential", "flow"] = "steps"
    offset: int = 0
    clean: bool = True
    clip: float | None = None
    range: Sequence[float] | None = None
    rho: float = _RHO
    shift: float = 1.0
    terminal: float | None = None
    last: int | None = None
    ends_in_noise: bool = False

    def __post_init__(self):
        for name, known in (
            ("family", ("ddim", "dpm", "euler", "edm", "flow")),
            ("spacing", ("leading", "linspace", "trailing")),
            ("law", ("steps", "karras", "exponential", "flow")),
        ):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name}: got {getattr(self, name)!r:.100}; wants one of {list(known)}."
                )
        if self.range is not None:
            object.__setattr__(self, "range", tuple(self.range))
            if len(self.range) != 2 or not 0.0 < self.range[0] < self.range[1]:
                raise ValueError(
                    f"range: got {self.range!r:.100}; wants 0 < least < largest noise."
                )
        for name in ("clip", "rho", "shift"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value < np.inf:
                raise ValueError(f"{name}: got {value!r:.100}; wants a number above 0.")
        check_at_least("offset", self.offset, 0)

    def levels(self, steps: int, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where each of N decoding steps begins (N,), and where it ends.

        Args:
            steps: N.
            table: the signal levels of the schedule, falling.

        Raises:
            ValueError: a number of steps that the scheduler does not have.
        """
        check_at_least("steps", steps, 1)
        if self.family in ("ddim", "dpm", "euler") and steps > len(table):
            raise ValueError(f"steps: got {steps} for a schedule of {len(table)}; wants fewer.")
        if self.law != "steps":
            here = self._by_noise(steps, table)
            return here, np.append(here[1:], 1.0 if self.clean else self._end(here, table))
        if self.ends_in_noise:
            table = np.append(table[:-1], 0.0)
        places = self._steps(steps, len(table))
        if self.family == "ddim":
            # diffusers goes to the step T // N below, whichever step it takes next.
            ends = places.astype(int) - len(table) // steps
            clean = 1.0 if self.clean else table[0]
            return table[places.astype(int)], np.where(ends >= 0, table[ends], clean)
        # Between steps σ is linear in them.
        noise = np.sqrt(1.0 - table**2) / table
        here = 1.0 / np.hypot(1.0, np.interp(places, np.arange(len(table)), noise))
        return here, np.append(here[1:], 1.0 if self.clean else table[0])

    def _steps(self, steps: int, count: int) -> np.ndarray:
        """Step numbers, falling; whole but for Euler's."""
        whole, count = count, count if self.last is None else min(self.last, count)
        if self.spacing == "linspace":
            if self.family == "euler":
                return np.linspace(0, count - 1, steps)[::-1]
            more = 1 if self.family == "dpm" else 0
            return np.linspace(0, count - 1, steps + more).round()[::-1][:steps]
        if self.spacing == "leading":
            more = 1 if self.family == "dpm" else 0
            found = np.arange(more, steps + more)[::-1] * (count // (steps + more)) + self.offset
            if found[0] >= count:
                raise ValueError(
                    f"steps: got {steps} with the offset {self.offset}, which begin at step "
                    f"{found[0]} of {count}; wants other steps."
                )
            return found
        return np.arange(count, 0, -whole / steps).round() - 1

    def _by_noise(self, steps: int, table: np.ndarray) -> np.ndarray:
        """Levels by the law of their noise: of σ = b/a or, of flow matching, of s = b/(a + b)."""
        if self.family == "flow" or self.law == "flow":
            noise = self._flow(steps, len(table))
            if self.law != "flow":
                noise = self._falling(steps, noise[-1], noise[0])
            return (1.0 - noise) / np.hypot(noise, 1.0 - noise)
        least, most = self._ends(steps, table) if self.range is None else self.range
        return 1.0 / np.hypot(1.0, self._falling(steps, least, most))

    def _falling(self, steps: int, least: float, most: float) -> np.ndarray:
        shares = np.linspace(0.0, 1.0, steps)
        if self.law == "exponential":
            return most * (least / most) ** shares
        first, last = most ** (1.0 / self.rho), least ** (1.0 / self.rho)
        return (first + shares * (last - first)) ** self.rho

    def _ends(self, steps: int, table: np.ndarray) -> tuple[float, float]:
        """The least and the largest noise: of the table or, in Euler's, of the steps taken."""
        places = [0.0, len(table) - 1.0]
        if self.family == "euler":
            places = self._steps(steps, len(table))[[-1, 0]].tolist()
        noise = np.interp(places, np.arange(len(table)), np.sqrt(1.0 - table**2) / table)
        return float(noise[0]), float(noise[1])

    def _flow(self, steps: int, count: int) -> np.ndarray:
        """Of flow matching: the noise s = b/(a + b) falls from 1, with diffusers' shift."""

        def shifted(s: np.ndarray | float) -> np.ndarray:
            return np.asarray(self.shift * s / (1.0 + (self.shift - 1.0) * s))

        if self.family == "flow":  # the ends are shifted once more
            found = shifted(np.linspace(1.0, shifted(1.0 / count), steps))
        else:
            found = shifted(1.0 - np.linspace(1.0, 1.0 / count, steps + 1)[1:])[::-1]
        if self.terminal is not None:
            found = 1.0 - (1.0 - found) * (1.0 - self.terminal) / (1.0 - found[-1])
        return found

    def _end(self, here: np.ndarray, table: np.ndarray) -> float:
        return float(here[-1] if self.family == "edm" else table[0])


class ScheduledDDIM(AbstractMap):
    """DDIM through the levels of a scheduler: x' = a' x̂_0 + b' ε̂, b = √(1 − a²).

    Its first-order steps are those of diffusers' DDIM, and of its Euler schedulers: in σ = b/a, of
    EDM, and along the lines of flow matching they are the same step. From the level 0 too, where
    the network predicts v. x̂_0 is cut to [−clip, clip] where ``clip`` is given, and ε̂ is not
    made anew, as in diffusers.

    Not for exact codes: see ``BDIA``.

    Args:
        model: the image model.
        here: the level where each step begins (k,).
        there: the level where it ends (k,).
        clip: where predicted images are cut; None for not at all.

    Raises:
        ValueError: levels that are not in [0, 1], or 0 where the network predicts the noise.
    """

    # As DDIM's own.
    floats_per_dimension: ClassVar[int] = 40
    passes: ClassVar[int] = 50
    model: "ImageModel"
    here: Float[Array, " k"]
    there: Float[Array, " k"]
    clip: float | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        if isinstance(self.here, jax.core.Tracer):
            return
        here, there = np.asarray(self.here), np.asarray(self.there)
        both = np.concatenate([here, there])
        if here.shape != there.shape or not len(here) or both.min() < 0.0 or both.max() > 1.0:
            raise ValueError(
                f"here: got {len(here)} levels, and {len(there)} that they lead to; wants as many, "
                "in [0, 1]."
            )
        if self.model.prediction == "epsilon" and here.min() == 0.0:
            raise ValueError(
                "here: got a step from the signal level 0, where the noise says nothing of the "
                "image; wants a network that predicts v or the image."
            )

    @property
    def dimension(self) -> int:
        return self.model.dimension

    def apply(self, x: Point) -> Point:
        def step(x: Point, pair: tuple[Scalar, Scalar]) -> tuple[Point, None]:
            return scheduled_step(self.model, x, *pair, clip=self.clip), None

        return jax.lax.scan(step, x, (self.here, self.there))[0]

    def inverse(self) -> AbstractMap:
        raise ValueError(
            "map: got ScheduledDDIM, whose steps have no exact inverse; wants BDIA, or the flow in "
            "adaptive steps."
        )


def scheduled_step(
    model: "ImageModel", x: Point, here: Scalar, there: Scalar, clip: float | None = None
) -> Point:
    """One step of DDIM at one point (d,), from one signal level to another."""
    a, b, a_next, b_next = (
        part.astype(x.dtype)
        for level in (here, there)
        for part in (level, jnp.sqrt((1.0 - level) * (1.0 + level)))
    )
    found = model.predicted(here, x)
    if model.prediction == "epsilon":
        clean, noise = (x - b * found) / a, found
    else:
        clean, noise = a * x - b * found, a * found + b * x
    if clip is not None:
        clean = jnp.clip(clean, -clip, clip)
    return a_next * clean + b_next * noise
