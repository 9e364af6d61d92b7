"""DLV26, Figures 2 and 3: every method on the same mixture, many seeds each.

Each seed draws its own initial potential, its own particles and its own evaluation samples. Quality
is the squared energy distance between 10,000 fresh T(x) and 10,000 fresh target points, and L2-UVP
(5.9) against the probability-flow encoder of Theory, M4, which is itself 0.0965 % from optimal.
"""

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from brenier._progress import Progress
from brenier.experiments._command import command
from brenier.experiments._run import Run
from brenier.experiments._seeds import map_blocks
from brenier.experiments.dlv26._fig2_figures import histogram_figure, maps_figure
from brenier.flows import (
    AbstractMethod,
    ConstrainedDrift,
    EuclideanDescent,
    FirstOrder,
    KLNewton,
    NaturalGradient,
    advance,
)
from brenier.functionals import MMD, SinkhornDivergence
from brenier.io import atomic_write, write_whole
from brenier.maps import AbstractMap, GradientMap
from brenier.measures import Gaussian, GaussianMixture, quasi_sample
from brenier.numerics import energy_distance_squared
from brenier.potentials import ICNN, LogSumExp, Preconditioned
from brenier.problems import figure2, l2_uvp
from brenier.velocities import ProbabilityFlow

TIME = "tens of minutes"

_EVALUATION = 10_000
# Seeds vmapped together: enough to fill vector units, few enough to stay in cache.
_BLOCK = 5
_PROBLEM = figure2()
_SOURCE = cast(GaussianMixture, _PROBLEM.source)
_TARGET = cast(Gaussian, _PROBLEM.target)


@dataclass(frozen=True)
class _Entry:
    """A method, the potentials it starts from, and the sizes of the quasi-random clouds it sees.

    With clouds the method runs once on each, coarse to fine, each run from where the last ended.
    """

    method: AbstractMethod
    start: Callable[[jax.Array], AbstractMap]
    points: tuple[int, ...] = ()


def _icnn(key: jax.Array) -> AbstractMap:
    """The paper's ICNN, 2 x 20 softplus units, near the identity."""
    return GradientMap(ICNN.identity(key, 2, (20, 20), share=0.85, scale=2.5, sharpness=5.0))


def _log_sum_exp(
    scale: float, temperature: float, pieces: int = 60
) -> Callable[[jax.Array], AbstractMap]:
    """Smoothed pieces near the closed-form Gaussian map."""
    gaussian = Preconditioned.gaussian(
        _SOURCE.mean, _SOURCE.covariance, _TARGET.mean, _TARGET.covariance
    )

    def start(key: jax.Array) -> AbstractMap:
        bends = LogSumExp.identity(key, 2, pieces, scale=scale, temperature=temperature)
        bent = eqx.tree_at(lambda p: (p.potential, p.scale), gaussian, (bends, jnp.asarray(1.0)))
        return GradientMap(bent)

    return start


def _paper(scheme: str) -> ConstrainedDrift:
    """The paper's setting: final time 4 in 10 steps, 100 Adam steps at rate 0.1 in each."""
    return ConstrainedDrift(
        scheme=scheme, step_size=0.4, steps=10, particles=100, oracle=FirstOrder(100, 0.1, "adam")
    )


_METHODS = {
    "explicit_adam": _Entry(_paper("explicit"), _icnn),
    "implicit_adam": _Entry(_paper("implicit"), _icnn),
    "adam": _Entry(EuclideanDescent(name="adam", learning_rate=0.1, particles=100), _icnn),
    "gradient_descent": _Entry(
        EuclideanDescent(name="sgd", learning_rate=1e-3, steps=3000, particles=100), _icnn
    ),
    "explicit_natural": _Entry(
        ConstrainedDrift(
            step_size=0.3,
            final_step_size=0.1,
            steps=20,
            particles=100,
            oracle=NaturalGradient(steps=2, damping=0.05),
        ),
        _icnn,
    ),
    "explicit_natural_lse": _Entry(
        ConstrainedDrift(
            step_size=0.27,
            final_step_size=0.05,
            steps=20,
            particles=200,
            oracle=NaturalGradient(steps=2, damping=0.4),
        ),
        _log_sum_exp(3.0, 1.0),
    ),
    "kl_newton_lse": _Entry(
        KLNewton(steps=50, damping=1.0, curvature_particles=180),
        _log_sum_exp(3.0, 0.55, 40),
        points=(1000,),
    ),
    "mmd_natural_lse": _Entry(
        ConstrainedDrift(
            functional=MMD(),
            step_size=2.0,
            final_step_size=0.5,
            steps=20,
            particles=200,
            oracle=NaturalGradient(steps=2, damping=0.4),
        ),
        _log_sum_exp(3.0, 1.0),
    ),
    "sinkhorn_natural_lse": _Entry(
        ConstrainedDrift(
            functional=SinkhornDivergence(0.1),
            step_size=1.0,
            final_step_size=0.2,
            steps=20,
            particles=200,
            oracle=NaturalGradient(steps=2, damping=0.4),
        ),
        _log_sum_exp(3.0, 1.0),
    ),
}


def main(run: Run) -> dict[str, Any]:
    """Run every method on ``seeds`` seeds (100 by default); draw Figures 2 and 3."""
    count = run.seeds_or(100)
    truth_x = _SOURCE.sample(jax.random.key(run.seed), _EVALUATION)
    truth_y = ProbabilityFlow(_SOURCE).encoder()(truth_x)
    keys = jax.random.split(jax.random.fold_in(jax.random.key(run.seed), 1), count)
    report, scores, pictures = {}, {}, {}
    for name, entry in _METHODS.items():
        started = time.perf_counter()
        blocks = [
            (name, run.seed, np.asarray(jax.random.key_data(keys[first : first + _BLOCK])), first)
            for first in range(0, count, _BLOCK)
        ]

        def tick(done: int, name: str = name) -> None:
            run.progress(Progress(min(done * _BLOCK, count), count, name))

        parts = map_blocks(_block, blocks, tick)
        leaves = [np.concatenate(arrays) for arrays in zip(*(p[0] for p in parts), strict=True)]
        mmd = np.concatenate([part[1] for part in parts])
        seconds = time.perf_counter() - started
        maps = _rebuild(entry, leaves)
        report[name] = {
            **_summary(mmd),
            "seconds": seconds,
            "l2_uvp": _mean_uvp(maps, truth_x, truth_y, mmd),
        }
        scores[name] = mmd
        pictures[name] = _extremes(maps, mmd)
    cloud = np.asarray(truth_x[:1500])
    write_whole(run.out / "figure2.png", histogram_figure(scores))
    write_whole(run.out / "figure3.png", maps_figure(cloud, np.asarray(truth_y[:1500]), pictures))
    names = list(scores)
    with atomic_write(run.out / "mmd.npy") as handle:
        np.save(handle, np.stack([scores[name] for name in names]))
    return {"seeds": count, "methods": report, "mmd_rows": names}


def _block(
    name: str, seed: int, key_data: np.ndarray, first: int
) -> tuple[list[np.ndarray], np.ndarray]:
    """The maps (their arrays) and squared energy distances of one block of seeds."""
    keys = jax.random.wrap_key_data(jnp.asarray(key_data))
    entry = _METHODS[name]
    clouds = [
        jnp.stack(
            [
                quasi_sample(_SOURCE, size, key=jax.random.key(1000 * seed + first + i))
                for i in range(len(keys))
            ]
        )
        for size in entry.points
    ]
    maps, mmd = _compiled(name)(keys, clouds)
    return [np.asarray(leaf) for leaf in jax.tree.leaves(maps)], np.asarray(mmd)


@functools.cache
def _compiled(name: str) -> Callable[..., tuple[AbstractMap, jax.Array]]:
    entry = _METHODS[name]

    def run(key: jax.Array, clouds: list[jax.Array]) -> tuple[AbstractMap, Any]:
        start_key, run_key, x_key, y_key = jax.random.split(key, 4)
        map = entry.start(start_key)
        methods = (
            [entry.method]
            if not clouds
            else [
                eqx.tree_at(
                    lambda m: m.points, entry.method, points, is_leaf=lambda leaf: leaf is None
                )
                for points in clouds
            ]
        )
        for method in methods:
            state = method.init(_SOURCE, _TARGET, map, key=run_key)
            map = method.current_map(advance(method, state, _SOURCE, _TARGET, method.steps))
        return map, (_SOURCE.sample(x_key, _EVALUATION), _TARGET.sample(y_key, _EVALUATION))

    fit = eqx.filter_jit(eqx.filter_vmap(run))
    # In float32 the distance errs by 1e-8 and costs half.
    measure = eqx.filter_jit(
        lambda map, x, y: energy_distance_squared(map(x).astype(jnp.float32), y.astype(jnp.float32))
    )

    def fit_and_measure(keys: jax.Array, clouds: list[jax.Array]) -> tuple[AbstractMap, jax.Array]:
        maps, (x, y) = fit(keys, clouds)
        return maps, jnp.stack([measure(_one(maps, i), x[i], y[i]) for i in range(len(x))])

    return fit_and_measure


def _rebuild(entry: _Entry, leaves: list[np.ndarray]) -> AbstractMap:
    """The maps of all seeds, stacked, from their arrays."""
    like = entry.start(jax.random.key(0))
    return jax.tree.unflatten(jax.tree.structure(like), [jnp.asarray(leaf) for leaf in leaves])


def _one(maps: AbstractMap, index: int) -> AbstractMap:
    return jax.tree.map(lambda a: a[index] if eqx.is_array(a) else a, maps)


def _summary(mmd: np.ndarray) -> dict[str, Any]:
    """Statistics over the seeds that ended in numbers, and how many did not."""
    good = mmd[np.isfinite(mmd)]
    if good.size == 0:
        return {"mean": None, "std": None, "median": None, "max": None, "failed": mmd.size}
    return {
        "mean": float(good.mean()),
        "std": float(good.std(ddof=1)) if good.size > 1 else 0.0,
        "median": float(np.median(good)),
        "max": float(good.max()),
        "failed": int(mmd.size - good.size),
    }


def _mean_uvp(maps: AbstractMap, x: jax.Array, truth: jax.Array, mmd: np.ndarray) -> float | None:
    good = np.flatnonzero(np.isfinite(mmd))
    values = [float(l2_uvp(_one(maps, int(i))(x), truth)) for i in good]
    return float(np.mean(values)) if values else None


def _extremes(maps: AbstractMap, mmd: np.ndarray) -> list[tuple[AbstractMap, float]]:
    """The best and the worst seed's map, with their distances."""
    ranked = np.argsort(np.where(np.isfinite(mmd), mmd, np.inf))
    return [(_one(maps, int(i)), float(mmd[i])) for i in (ranked[0], ranked[-1])]


if __name__ == "__main__":
    command(__spec__.name)
