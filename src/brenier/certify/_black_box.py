"""Anyone's map as a function of NumPy arrays: its values are checked, and differentiated."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from brenier._checks import largest_entry
from brenier._memory import is_out_of_memory
from brenier._progress import Progress, ProgressCallback
from brenier._warnings import warn_user
from brenier.certify._other_frameworks import evaluator, failure, one_point_hint, real_array
from brenier.maps import AbstractMap

# Central differences err by h² and by rounding / h: the cube root balances the two. Nowhere is a
# step longer than a tenth of the spread.
_STEP_POWER, _LONGEST = 1.0 / 3.0, 0.1
# A map from elsewhere is given so many points at a time, of so many numbers at most.
_BLOCK_ROWS, _BLOCK_FLOATS = 4096, 2**20
# Points at which it is asked several times.
_PILOT_ROWS, _PILOT_LEAST, _PILOT_FLOATS = 256, 32, 2**15
# Rounding makes images differ by this many machine epsilons of the largest number. Beyond that,
# values of two equal calls, and in another order, may differ by the one share of the images'
# spread; among other points, where an adaptive solver takes other steps, by the other.
_ROUNDING, _SAME, _HANGS = 64.0, 1e-6, 1e-2
# Steps of the differences that show a map's own noise, in parts of the spread. The second is taken
# where values do not change along the first: a map that rounds its argument.
_NOISE_STEPS, _STILL = (1e-6, 1e-3), 0.1
# Fourth differences of noise have √70 times its deviation, of which the median is 0.6745.
_FOURTH, _FOURTH_SCALE = (1.0, -4.0, 6.0, -4.0, 1.0), 0.6745 * np.sqrt(70.0)
# Points at which a given derivative is compared with differences, and by how much it may be off.
_COMPARED, _OTHER = 16, 0.01
# Minutes past which a map is called slow, and points and directions of its derivatives.
_SLOW, _DERIVATIVE_POINTS, _DERIVATIVE_DIRECTIONS = 5.0, 2000, 20


@dataclass(frozen=True)
class Differences:
    """How a derivative was computed: the step of central differences (0: exact), and its errors.

    ``errors`` (n,) are estimates in the norm of Frobenius, one a point: a map that is steep, or
    jumps, at some points is known at the others.
    """

    step: float
    errors: np.ndarray


class BlackBox:
    """A map ``(n, d) -> (n, d)`` of any framework, seen only through its values.

    The shape and the entries of every value are checked. ``precision`` is the error of values, as
    a share of the largest: the largest machine epsilon among the dtypes that the map has returned
    or, where more, the noise that ``checked`` has seen. It sets the step of the differences.

    Args:
        map: a brenier map, a ``torch.nn.Module``, or any callable that takes a NumPy array.
        jacobian: ``(n, d) -> (n, d, d)``, entry (i, j) = ∂T_i/∂x_j, where it is known.
        name: of the argument, for messages.
        callback: told how many points are done, block by block.
    """

    def __init__(
        self,
        map: Any,
        jacobian: Callable[[np.ndarray], Any] | None = None,
        *,
        name: str = "map",
        callback: ProgressCallback | None = None,
    ):
        self._name, self._map = name, map
        self._evaluate = evaluator(name, map)
        # Maps of ours treat each point by itself, and see to their own memory.
        self._ours = isinstance(map, AbstractMap)
        self._jacobian = map.jacobian if self._ours and jacobian is None else jacobian
        self._callback = callback
        self.precision = float(np.finfo(np.float64).eps)
        # How far the points, or their images, lie from 0, in parts of their spread; at least 1.
        self._offset = 1.0

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """T(x) as float64, or a ``ValueError`` that names what is wrong with the values."""
        rows = max(1, min(_BLOCK_ROWS, _BLOCK_FLOATS // x.shape[1]))
        # Blocks of about one size: a compiled function is compiled for two shapes at most.
        blocks = [x] if self._ours else np.array_split(x, -(-len(x) // rows))
        tx, done = np.empty(x.shape), 0
        for block in blocks:
            if self._callback is not None:
                self._callback(Progress(done, len(x), f"evaluating the {self._name}"))
            tx[done : done + len(block)] = self._values(block)
            done += len(block)
        self._check_values(x, tx)
        return tx

    def checked(self, x: np.ndarray) -> np.ndarray:
        """T(x), of a map that is seen to be one: of each point by itself, the same at every call.

        What noise is left in its values goes into ``precision``.

        Raises:
            ValueError: as a call does; a map that is not deterministic, or hangs on the batch.
        """
        pilot = x[: min(_PILOT_ROWS, max(_PILOT_LEAST, _PILOT_FLOATS // x.shape[1]))]
        self._values(pilot)  # compiles
        clock = [time.perf_counter()]
        first, again = (self._timed(pilot, clock) for _ in range(2))
        # Of two times the less: what else the machine does is not the map's.
        self._warn_where_slow(min(np.diff(clock)) / len(pilot), x)
        tx = self(x)
        self._check_values(pilot, first)
        self._check_values(pilot, again)
        largest = np.abs(tx).max() + np.abs(x).max()
        spread = np.median(np.abs(tx - np.median(tx, axis=0)), axis=0)
        self._check_repeats(pilot, first, again, _SAME * spread, largest)
        self._offset = max(_offset(x), _offset(tx))
        self._check_jacobian(pilot)
        if not self._ours:
            self._check_company(pilot, first, tx, largest)
            self._measure_noise(pilot)
        return tx

    def jacobian(self, x: np.ndarray) -> tuple[np.ndarray, Differences]:
        """DT (n, d, d), exact where it is known, else by central differences."""
        if self._jacobian is not None:
            value = np.asarray(self._jacobian(x), dtype=np.float64)
            if value.shape != (*x.shape, x.shape[1]):
                raise ValueError(
                    f"jacobian: got shape {value.shape}; wants {(*x.shape, x.shape[1])}."
                )
            if not np.isfinite(value).all():
                raise ValueError("jacobian: got NaN or infinite entries; wants finite numbers.")
            return value, Differences(0.0, np.zeros(len(x)))
        columns, differences = self.along(x, np.eye(x.shape[1]))
        return columns.swapaxes(1, 2), differences

    def _check_jacobian(self, x: np.ndarray) -> None:
        """Raise a ``ValueError`` where a derivative from elsewhere is not that of the map."""
        if self._jacobian is None or self._ours:
            return
        few, known = x[:_COMPARED], self.jacobian(x[:_COMPARED])[0]
        direction = np.random.default_rng(0).normal(size=(1, x.shape[1]))
        direction /= np.linalg.norm(direction)
        found, differences = self.along(few, direction)
        off = np.abs(known @ direction[0] - found[:, 0]).max(axis=1)
        size = np.abs(found).max() + np.abs(known).max()
        # Half of the points may lie at a kink, where differences are no derivative.
        if np.median(off - 10.0 * differences.errors) > _OTHER * size:
            raise ValueError(
                f"jacobian: got values that differ from differences of the map by "
                f"{float(np.median(off)):.3g}; wants DT, entry (i, j) = ∂T_i/∂x_j."
            )

    def along(self, x: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, Differences]:
        """DT(x_i) v for directions (k, d) or (n, k, d), by central differences: (n, k, d)."""
        step = self._step(x)
        fine = self._derivatives(x, directions, step)
        if self._step(x) > step:  # only its first values show that a map is of single precision
            step = self._step(x)
            fine = self._derivatives(x, directions, step)
        coarse = self._derivatives(x, directions, 2.0 * step)
        # Three times the h² error, as much as the rounding, and half of a jump's whole difference.
        return fine, Differences(step, np.linalg.norm(fine - coarse, axis=(1, 2)))

    def _derivatives(self, x: np.ndarray, directions: np.ndarray, step: float) -> np.ndarray:
        """(T(x + hv) − T(x − hv))/2h for directions (k, d) or (n, k, d): (n, k, d)."""
        shift = step * np.broadcast_to(directions, (len(x), *directions.shape[-2:]))
        ahead, behind = (
            self((x[:, None, :] + sign * shift).reshape(-1, x.shape[1])).reshape(shift.shape)
            for sign in (1.0, -1.0)
        )
        return (ahead - behind) / (2.0 * step)

    def _step(self, x: np.ndarray) -> float:
        spread = float(np.sqrt(x.var(axis=0).mean())) or 1.0
        share = min((self.precision * self._offset) ** _STEP_POWER, _LONGEST)
        return float(share * max(spread, self.precision * np.abs(x).max()))

    def _values(self, x: np.ndarray) -> np.ndarray:
        """T(x) in one call, of the right shape and kind."""
        try:
            # A copy: a map that writes into its argument must not change the sample.
            returned = self._evaluate(x.copy())
        except (Exception, SystemExit) as error:  # a script's function may end the process
            if self._ours or is_out_of_memory(error):
                raise
            raise failure(self._name, self._map, x, error) from error
        value, precision = real_array(self._name, returned)
        if value.shape != x.shape:
            raise ValueError(
                f"{self._name}: got values of shape {value.shape} for points of shape {x.shape}; "
                "wants the same shape (one image in the same dimension for each point)."
                f"{one_point_hint(self._name, self._map, x)}"
            )
        self.precision = max(self.precision, precision)
        return value.astype(np.float64)

    def _check_values(self, x: np.ndarray, tx: np.ndarray) -> None:
        bad = ~np.isfinite(tx).all(axis=1)
        if bad.any():
            raise ValueError(
                f"{self._name}: got NaN or infinite values at {int(bad.sum()):,} of {len(x):,} "
                "points, the first at x = "
                f"{np.array2string(x[bad][0], precision=6, threshold=8)}; wants finite values at "
                "every point of the source."
            )
        limit, largest = largest_entry(x.shape[1]), float(np.abs(tx).max(initial=0.0))
        if largest > limit:
            raise ValueError(
                f"{self._name}: got values up to {largest:.3g}, whose squared distances overflow "
                f"float64; wants values below {limit:.3g} (divide them)."
            )

    def _timed(self, x: np.ndarray, clock: list[float]) -> np.ndarray:
        value = self._values(x)
        clock.append(time.perf_counter())
        return value

    def _check_repeats(
        self,
        pilot: np.ndarray,
        first: np.ndarray,
        again: np.ndarray,
        share: np.ndarray,
        largest: float,
    ) -> None:
        """The same values in two calls on the same points, and on them in another order."""
        bound = share + _ROUNDING * self.precision * largest
        difference = np.abs(again - first)
        if (difference > bound).any():
            raise ValueError(
                f"{self._name}: got values that differ by {difference.max():.3g} between two calls "
                "on the same points; wants a deterministic map (fix its random seed, switch "
                "dropout off)."
            )
        difference = np.abs(self(pilot[::-1])[::-1] - first)
        if (difference > bound).any():
            raise self._hangs_on_the_batch(pilot, difference, "in another order")

    def _check_company(
        self, pilot: np.ndarray, first: np.ndarray, tx: np.ndarray, largest: float
    ) -> None:
        """The same values, but for an adaptive solver's tolerance, among other points."""
        spread = float(np.sqrt(tx.var(axis=0).mean()))
        bound = _HANGS * spread + _ROUNDING * self.precision * largest
        difference = np.abs(tx[: len(pilot)] - first)
        if difference.max() <= bound:
            # Points on one side alone have another mean and another variance in every coordinate.
            deviation = pilot.std(axis=0)
            side = np.argsort((pilot / np.where(deviation > 0, deviation, 1.0)).sum(axis=1))
            outer = side[-max(4, len(pilot) // 8) :]
            difference = np.abs(self(pilot[outer]) - first[outer])
        if difference.max() > bound:
            raise self._hangs_on_the_batch(pilot, difference, "among other points")

    def _hangs_on_the_batch(self, x: np.ndarray, difference: np.ndarray, where: str) -> ValueError:
        return ValueError(
            f"{self._name}: got values that differ by {difference.max():.3g} where the same points "
            f"stand {where}: it is batch-dependent; wants a map of each point by itself (batch "
            "normalisation in evaluation mode, no statistics of the batch, no random numbers row "
            f"by row).{one_point_hint(self._name, self._map, x)}"
        )

    def _measure_noise(self, x: np.ndarray) -> None:
        """Raise ``precision`` to the noise of the values, where that is well above rounding.

        Fourth differences along a short line leave noise alone (Moré and Wild 2011): of arithmetic
        in single precision inside of a map that returns float64, or of a solver's steps.
        """
        spread = float(np.sqrt(x.var(axis=0).mean())) or 1.0
        random = np.random.default_rng(0)
        # Of several lengths: one may be a period of the noise.
        way = random.choice([-1.0, 1.0], x.shape[1]) * random.uniform(0.5, 1.5, (len(x), 1))
        for step in _NOISE_STEPS:
            values = [self(x + k * step * spread * way) for k in range(len(_FOURTH))]
            if np.mean(values[0] == values[1]) < _STILL:
                break
        fourth = np.abs(np.tensordot(_FOURTH, values, axes=1))
        noise = float((np.median(fourth, axis=0) / _FOURTH_SCALE).max())
        # Four deviations hold almost all of it, as an epsilon does of rounding.
        share = 4.0 * noise / max(float(np.abs(values[0]).max()), np.finfo(np.float64).tiny)
        if share > _ROUNDING * self.precision:
            self.precision = share

    def _warn_where_slow(self, seconds: float, x: np.ndarray) -> None:
        """Tell, before the long part, about how long it will take."""
        count, d = len(x), x.shape[1]
        if self._jacobian is None:
            count += 4 * min(count, _DERIVATIVE_POINTS) * min(d, _DERIVATIVE_DIRECTIONS)
        minutes = seconds * count / 60.0
        if minutes > _SLOW:
            warn_user(
                f"{self._name}: takes {1e3 * seconds:.3g} ms a point, so that {count:,} of them "
                f"take about {minutes:.0f} minutes (fewer samples, or a jacobian, take less)."
            )


def _offset(x: np.ndarray) -> float:
    """How far a cloud lies from 0, in parts of its spread; 1 where it spans no more than 0."""
    spread = float(np.sqrt(x.var(axis=0).mean()))
    return max(1.0, float(np.abs(x.mean(axis=0)).max()) / spread) if spread > 0 else 1.0
