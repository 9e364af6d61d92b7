"""Anyone's map as a function of NumPy arrays: its values are checked, and differentiated."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from brenier.maps import AbstractMap

# Central differences err by h² and by rounding / h: the cube root balances the two.
_STEP_POWER = 1.0 / 3.0
# Two evaluations of a deterministic map may differ by this share; with dropout they differ by 1e-2.
_SAME = 1e-7


@dataclass(frozen=True)
class Differences:
    """How a derivative was computed: the step of central differences (0: exact), and its error."""

    step: float
    error: float


class BlackBox:
    """A map ``(n, d) -> (n, d)`` of any framework, seen only through its values.

    The shape and the entries of every value are checked. ``precision`` is the largest machine
    epsilon among the dtypes that the map has returned: it sets the step of the differences.

    Args:
        map: a brenier map, a ``torch.nn.Module``, or any callable that takes a NumPy array.
        jacobian: ``(n, d) -> (n, d, d)``, entry (i, j) = ∂T_i/∂x_j, where it is known.
    """

    def __init__(self, map: Any, jacobian: Callable[[np.ndarray], Any] | None = None):
        if not callable(map):
            raise ValueError(f"map: got {type(map).__name__}; wants a callable (n, d) -> (n, d).")
        self._evaluate = _torch_module(map) if _is_torch_module(map) else map
        known = jacobian is None and isinstance(map, AbstractMap)
        self._jacobian = map.jacobian if known else jacobian
        self.precision = float(np.finfo(np.float64).eps)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """T(x) as float64, or a ``ValueError`` that names what is wrong with the values."""
        # A copy: a map that writes into its argument must not change the sample.
        returned = self._evaluate(x.copy())
        value = np.asarray(returned.detach().cpu() if _is_tensor(returned) else returned)
        if value.shape != x.shape:
            raise ValueError(
                f"map: got values of shape {value.shape} for points of shape {x.shape}; wants the "
                "same shape (one image in the same dimension for each point)."
            )
        if value.dtype.kind not in "fiu":
            raise ValueError(f"map: got values of dtype {value.dtype}; wants real numbers.")
        if value.dtype.kind == "f":
            self.precision = max(self.precision, float(np.finfo(value.dtype).eps))
        bad = ~np.isfinite(value).all(axis=1)
        if bad.any():
            raise ValueError(
                f"map: got NaN or infinite values at {int(bad.sum()):,} of {len(x):,} points, the "
                f"first at x = {np.array2string(x[bad][0], precision=6, threshold=8)}; wants "
                "finite values at every point of the source."
            )
        return value.astype(np.float64)

    def check_deterministic(self, x: np.ndarray, tx: np.ndarray) -> None:
        """Raise a ``ValueError`` where the map gives these points other images than ``tx``."""
        again = self(x[::-1])[::-1]
        # Sums of another batch shape round otherwise, and an adaptive solver's steps follow.
        scale = np.abs(tx).max() + np.abs(x).max()
        difference = np.abs(again - tx).max()
        if difference > max(1e4 * self.precision, _SAME) * scale:
            raise ValueError(
                f"map: got values that differ by {difference:.3g} between two calls on the same "
                "points; wants a deterministic map of each point by itself (fix its random seed, "
                "switch dropout and batch normalisation to evaluation)."
            )

    def jacobian(self, x: np.ndarray) -> tuple[np.ndarray, Differences]:
        """DT (n, d, d), exact where it is known, else by central differences."""
        if self._jacobian is not None:
            value = np.asarray(self._jacobian(x), dtype=np.float64)
            if value.shape != (*x.shape, x.shape[1]):
                raise ValueError(
                    f"jacobian: got shape {value.shape}; wants {(*x.shape, x.shape[1])}."
                )
            return value, Differences(0.0, 0.0)
        columns, differences = self.along(x, np.eye(x.shape[1]))
        return columns.swapaxes(1, 2), differences

    def along(self, x: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, Differences]:
        """DT(x_i) v for directions (k, d) or (n, k, d), by central differences: (n, k, d)."""
        step = self._step(x)
        fine = self._derivatives(x, directions, step)
        if self._step(x) > step:  # only its first values show that a map is of single precision
            step = self._step(x)
            fine = self._derivatives(x, directions, step)
        coarse = self._derivatives(x, directions, 2.0 * step)
        # Halving h divides the h² error by four; the same difference shows the rounding.
        return fine, Differences(step, float(np.abs(fine - coarse).max() / 3.0))

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
        return float(self.precision**_STEP_POWER * max(spread, self.precision * np.abs(x).max()))


def _is_torch_module(map: Any) -> bool:
    torch = sys.modules.get("torch")  # whoever holds a module of torch has imported it
    return torch is not None and isinstance(map, torch.nn.Module)


def _is_tensor(value: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _torch_module(module: Any) -> Callable[[np.ndarray], Any]:
    torch = sys.modules["torch"]
    like = next(module.parameters(), torch.zeros((), dtype=torch.float64))

    def evaluate(x: np.ndarray) -> Any:
        with torch.no_grad():
            return module(torch.as_tensor(x, dtype=like.dtype, device=like.device))

    return evaluate
