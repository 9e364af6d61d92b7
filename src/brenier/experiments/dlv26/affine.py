"""The constrained drift on affine maps against its closed form: accuracy, order, and rates.

Particles are the 2d points ±√d·(columns of the root of S), whose first two moments are exact, so
that what is left is the error of the scheme in its step τ.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier._progress import Progress
from brenier.experiments._command import command
from brenier.experiments._run import Run
from brenier.flows import ConstrainedDrift, NaturalGradient, advance
from brenier.functionals import KL, ExactScore
from brenier.io import write_whole
from brenier.maps import GradientMap
from brenier.measures import Gaussian
from brenier.potentials import Quadratic
from brenier.problems import AFFINE_DRIFT, affine, gaussian
from brenier.report import new_figure, png_bytes

TIME = "minutes"

_STEPS = (0.05, 0.025, 0.01, 0.005)
_DIMENSIONS = (2, 10, 50)


def main(run: Run) -> dict[str, Any]:
    """Errors at the times of Theory (1.11), orders in τ, and the exponent of (1.2) in d."""
    total = 2 * len(_STEPS) + len(_DIMENSIONS)
    done = 0
    errors: dict[str, dict[str, float]] = {"explicit": {}, "implicit": {}}
    finals: dict[tuple[str, float], np.ndarray] = {}
    for scheme in ("explicit", "implicit"):
        for step_size in _STEPS:
            path = _path(scheme, step_size, [row[0] for row in AFFINE_DRIFT[:-1]])
            finals[scheme, step_size] = path
            errors[scheme][str(step_size)] = float(np.abs(path - _table()).max())
            done += 1
            run.progress(Progress(done, total, f"{scheme}, step {step_size}"))
    rates: dict[str, float] = {}
    curves: dict[int, list[float]] = {}
    for dimension in _DIMENSIONS:
        curves[dimension] = _energies(dimension, run.seed)
        rates[str(dimension)] = _exponent(curves[dimension])
        done += 1
        run.progress(Progress(done, total, f"rate in d = {dimension}"))
    extrapolated = 2.0 * finals["explicit", 0.005] - finals["explicit", 0.01]
    midpoint = 0.5 * (finals["explicit", 0.01] + finals["implicit", 0.01])
    write_whole(run.out / "affine.png", _figure(errors, curves))
    return {
        "errors": errors,
        "order": {scheme: _slope(values) for scheme, values in errors.items()},
        "error_extrapolated_to_step_0": float(np.abs(extrapolated - _table()).max()),
        "error_mean_of_schemes_at_0.01": float(np.abs(midpoint - _table()).max()),
        "rate_exponent": rates,
    }


def _table() -> np.ndarray:
    return np.array([row[1:] for row in AFFINE_DRIFT[:-1]])


def _sigma_points(source: Gaussian) -> jax.Array:
    root = jnp.sqrt(float(source.dimension)) * source.factor.T
    return source.mean + jnp.concatenate([root, -root])


def _drift(source: Gaussian, scheme: str, step_size: float, steps: int) -> ConstrainedDrift:
    return ConstrainedDrift(
        functional=KL(ExactScore()),
        scheme=scheme,
        step_size=step_size,
        steps=steps,
        oracle=NaturalGradient(steps=8, damping=1e-8, tolerance=1e-5),
        points=_sigma_points(source),
    )


def _path(scheme: str, step_size: float, times: list[float]) -> np.ndarray:
    """A11, A12, A22 at the given times."""
    source = affine().source
    assert isinstance(source, Gaussian)
    start: GradientMap = GradientMap(Quadratic.identity(2))
    now, rows = 0.0, []
    for time in times:
        method = _drift(source, scheme, step_size, round((time - now) / step_size))
        start = _evolve(method, start, source)
        now = time
        assert isinstance(start.potential, Quadratic)
        matrix = np.asarray(start.potential.matrix)
        rows.append([matrix[0, 0], matrix[0, 1], matrix[1, 1]])
    return np.array(rows)


@eqx.filter_jit
def _evolve(method: ConstrainedDrift, map: GradientMap, source: Gaussian) -> GradientMap:
    """All steps of the method; no best map is kept, since the scheme itself is studied."""
    target = Gaussian.standard(source.dimension)
    state = method.init(source, target, map, key=jax.random.key(0))
    moved = method.current_map(advance(method, state, source, target, method.steps))
    assert isinstance(moved, GradientMap)
    return moved


def _energies(dimension: int, seed: int) -> list[float]:
    """KL(T_t#ρ | N(0, I)) at t = 0, 0.1, …, 2 for a random Gaussian source, in closed form."""
    source = gaussian(dimension, seed=seed).source
    assert isinstance(source, Gaussian)
    method = _drift(source, "implicit", 0.05, 2)
    map = GradientMap(Quadratic.identity(dimension))
    energies = [_energy(map, source)]
    for _ in range(20):
        map = _evolve(method, map, source)
        energies.append(_energy(map, source))
    return energies


def _energy(map: GradientMap, source: Gaussian) -> float:
    assert isinstance(map.potential, Quadratic)
    matrix = map.potential.matrix
    covariance = matrix @ source.covariance @ matrix
    log_det = jnp.linalg.slogdet(covariance)[1]
    return float(0.5 * (jnp.trace(covariance) - source.dimension - log_det))


def _exponent(energies: list[float]) -> float:
    """r in F(t) ≈ C e^{−rt}, fitted on t ≥ 1; (1.2) promises at least 2."""
    times = 0.1 * np.arange(len(energies))
    late = times >= 1.0
    return float(-np.polyfit(times[late], np.log(np.array(energies)[late]), 1)[0])


def _slope(errors: dict[str, float]) -> float:
    steps = np.log([float(step) for step in errors])
    return float(np.polyfit(steps, np.log(list(errors.values())), 1)[0])


def _figure(errors: dict[str, dict[str, float]], curves: dict[int, list[float]]) -> bytes:
    figure = new_figure(8.0, 3.4)
    left, right = figure.subplots(1, 2)
    for (scheme, values), marker in zip(errors.items(), "os", strict=True):
        left.loglog([float(s) for s in values], list(values.values()), marker=marker, label=scheme)
    steps = np.array(_STEPS)
    left.loglog(steps, 0.15 * steps, color="#888888", linestyle=":", label="order 1")
    left.set_xticks(steps, [str(step) for step in steps])
    left.minorticks_off()
    left.set_xlabel("step τ")
    left.set_ylabel("largest error of A(t) in the table")
    left.legend(frameon=False)
    for dimension, energies in curves.items():
        times = 0.1 * np.arange(len(energies))
        right.semilogy(times, np.array(energies) / energies[0], label=f"d = {dimension}")
    right.semilogy(times, np.exp(-2.0 * times), color="#888888", linestyle=":", label="exp(−2t)")
    right.set_xlabel("time t")
    right.set_ylabel("F(T_t) / F(T_0)")
    right.legend(frameon=False)
    return png_bytes(figure)


if __name__ == "__main__":
    command(__spec__.name)
