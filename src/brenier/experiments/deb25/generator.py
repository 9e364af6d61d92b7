"""One-shot generation by Sinkhorn's flow: four modes in the plane, and digits of 8 x 8 pixels.

Squared energy distance to data held out (unbiased, so it may fall below 0), mean and standard error
over seeds, beside a Gaussian, a kernel density estimate and decoders of diffusions fitted to the
same data; and ``nearest``, the median distance of a sample to the nearest training point over that
of held-out points: 1 for an honest sample, 0 for a copy. Digits are dequantised, (pixel + U)/17.

Expected of a generator's energy on one seed: the mean over the eight of ``docs/choices.md``, within
four of their standard deviations.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy.spatial import KDTree
from sklearn.datasets import load_digits

from brenier._progress import Progress
from brenier.estimators import energy_score
from brenier.experiments._command import command
from brenier.experiments._run import Run
from brenier.experiments.deb25._rivals import (
    Sampler,
    atoms_decoder,
    drawn_again,
    gaussian,
    kernel_density,
    one_shot,
    timed,
    trained_velocity,
)
from brenier.flows import default_flow_epsilon, sample_sinkhorn_flow
from brenier.io import write_whole
from brenier.measures import Gaussian, GaussianMixture
from brenier.numerics import mean_distance
from brenier.report import BLUE, GREEN, INK, RED, image_grid_figure, new_figure, png_bytes

TIME = "tens of minutes"

_MODES = 1.5 * np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])
_DATA, _HELD_OUT, _MADE = 1000, 5000, 2000
_SIZES, _RATIOS = (250, 1000, 4000), (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
_SHOWN = 16
# What the figures show, in order.
_PANELS = (
    "data",
    "gaussian",
    "kernel density",
    "diffusion of atoms",
    "trained velocity",
    "isotropic",
    "mixture",
    "isotropic, distilled",
)


def main(run: Run) -> dict[str, Any]:
    """The tables of both data sets, and of ε by n; three pictures."""
    count = run.seeds_or(3)
    modes, digits = _modes_methods(), _digits_methods()
    total, done = count * (len(modes) + len(digits)) + 1, 0
    tables: dict[str, Any] = {}
    pictures: dict[str, dict[str, np.ndarray]] = {}
    for problem, methods, draw in (("modes", modes, _draw_modes), ("digits", digits, _draw_digits)):
        rows: dict[str, list[dict[str, float]]] = {name: [] for name in methods}
        pictures[problem] = {}
        for turn in range(count):
            train, held = draw(run.seed + turn)
            for name, sampler in methods.items():
                run.progress(Progress(done, total, f"{problem}: {name}"))
                made, seconds = timed(sampler, train, _MADE, run.seed + turn)
                rows[name].append({**_measured(made, train, held), "seconds": seconds})
                if turn == 0:
                    pictures[problem][name] = made
                done += 1
            if turn == 0:
                pictures[problem]["data"] = train
        tables[problem] = {name: _summary(found) for name, found in rows.items()}
    run.progress(Progress(done, total, "epsilon"))
    sizes = _epsilons(run.seed, count)
    write_whole(run.out / "modes.png", _scatter(pictures["modes"], tables["modes"]))
    write_whole(run.out / "digits.png", _images(pictures["digits"]))
    write_whole(run.out / "epsilon.png", _curves(sizes))
    return {**tables, "epsilon": sizes, "seeds": count}


def _modes_methods() -> dict[str, Sampler]:
    return {
        "data drawn again": drawn_again,
        "gaussian": gaussian,
        "kernel density": kernel_density,
        "diffusion of atoms": atoms_decoder,
        "trained velocity": trained_velocity(3000, 64),
        "isotropic": one_shot(),
        "isotropic, biased": one_shot(debias=False),
        "isotropic, ε by cv": one_shot(epsilon="cv"),
        "isotropic, t by cv": one_shot(time="cv"),
        "isotropic, distilled": one_shot(distill=True),
        "covariance": one_shot(source="covariance"),
        "mixture": one_shot(source="mixture"),
        "mixture, ε by cv": one_shot(source="mixture", epsilon="cv"),
    }


def _digits_methods() -> dict[str, Sampler]:
    return {
        "data drawn again": drawn_again,
        "gaussian": gaussian,
        "kernel density": kernel_density,
        "diffusion of atoms": atoms_decoder,
        "trained velocity": trained_velocity(3000, 256),
        "isotropic": one_shot(scaling="none"),
        "isotropic, biased": one_shot(scaling="none", debias=False),
        "isotropic, ε by cv": one_shot(scaling="none", epsilon="cv"),
        "isotropic, distilled": one_shot(scaling="none", distill=True, widths=(256, 128)),
        "covariance": one_shot(scaling="none", source="covariance"),
        "mixture": one_shot(scaling="none", source="mixture"),
    }


def _law() -> GaussianMixture:
    return GaussianMixture(np.full(4, 0.25), _MODES, np.tile(0.25 * np.eye(2), (4, 1, 1)))


def _draw_modes(seed: int) -> tuple[np.ndarray, np.ndarray]:
    train, held = jax.random.split(jax.random.key(seed), 2)
    law = _law()
    return np.asarray(law.sample(train, _DATA)), np.asarray(law.sample(held, _HELD_OUT))


def _draw_digits(seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    pixels = load_digits().data
    points = random.permutation((pixels + random.random(pixels.shape)) / 17.0)
    return points[:_DATA], points[_DATA:]


def _measured(made: np.ndarray, train: np.ndarray, held: np.ndarray) -> dict[str, float]:
    tree = KDTree(train)
    honest = np.median(tree.query(held)[0])
    return {
        "energy": -energy_score(made, held),
        "nearest": float(np.median(tree.query(made)[0]) / honest),
    }


def _summary(found: list[dict[str, float]]) -> dict[str, float | None]:
    energies = np.array([row["energy"] for row in found])
    error = float(energies.std(ddof=1) / np.sqrt(len(energies))) if len(energies) > 1 else None
    return {
        "energy": float(energies.mean()),
        "energy_error": error,
        "nearest": float(np.mean([row["nearest"] for row in found])),
        "seconds": float(np.mean([row["seconds"] for row in found])),
    }


def _epsilons(seed: int, count: int) -> dict[str, Any]:
    """Energy distance to the law by ε over the rule's, for each n, debiased and not."""
    found: dict[str, Any] = {}
    for n in _SIZES:
        curves: dict[str, np.ndarray] = {}
        atoms = np.empty(count)
        for debias in (True, False):
            values = np.empty((count, len(_RATIOS)))
            for turn in range(count):
                keys = jax.random.split(jax.random.key(1000 + seed + turn), 3)
                data = np.asarray(_law().sample(keys[0], n))
                held = np.asarray(_law().sample(keys[1], _HELD_OUT))
                source = Gaussian(data.mean(axis=0), data.var(axis=0).mean() * np.eye(2))
                latent = source.sample(keys[2], _HELD_OUT)
                # The energy distance of the data themselves, as atoms: pairs (i, i) count too.
                atoms[turn] = float(mean_distance(jnp.asarray(data))) / (n - 1)
                atoms[turn] -= energy_score(data, held)
                potential = None
                for j in reversed(range(len(_RATIOS))):
                    solution = sample_sinkhorn_flow(
                        source,
                        data,
                        epsilon=_RATIOS[j] * default_flow_epsilon(data),
                        debias=debias,
                        potential=potential,
                        throw=False,
                    )
                    potential = solution.stats["potential"]
                    made = np.asarray(solution.map(latent))
                    values[turn, j] = -energy_score(made, held)
            curves["debiased" if debias else "biased"] = values.mean(axis=0)
        found[str(n)] = {
            **{name: curve.tolist() for name, curve in curves.items()},
            "data": float(atoms.mean()),
            "best_ratio": _RATIOS[int(np.argmin(curves["debiased"]))],
            "rule_over_best": float(
                curves["debiased"][_RATIOS.index(1.0)] - curves["debiased"].min()
            ),
        }
    return found


def _scatter(made: dict[str, np.ndarray], table: dict[str, Any]) -> bytes:
    figure = new_figure(9.6, 5.1)
    for axes, name in zip(figure.subplots(2, 4).flat, _PANELS, strict=True):
        points = made[name][:_DATA]
        colour = INK if name == "data" else BLUE if name in _PANELS[:5] else RED
        axes.plot(*points.T, ".", ms=2.0, color=colour, alpha=0.5, mew=0)
        note = "" if name == "data" else f"\nenergy distance² {table[name]['energy']:.4f}"
        axes.set_title(("1000 data" if name == "data" else name) + note, fontsize=9)
        axes.set_xlim(-3.4, 3.4)
        axes.set_ylim(-3.4, 3.4)
        axes.set_aspect("equal")
        axes.set_xticks([])
        axes.set_yticks([])
    return png_bytes(figure)


def _images(made: dict[str, np.ndarray]) -> bytes:
    return png_bytes(
        image_grid_figure(
            [
                (name, np.clip(made[name][:_SHOWN], 0.0, 1.0).reshape(-1, 8, 8, 1))
                for name in _PANELS
            ]
        )
    )


def _curves(sizes: dict[str, Any]) -> bytes:
    figure = new_figure(7.2, 3.4)
    axes = figure.subplots()
    for (n, found), colour in zip(sizes.items(), (BLUE, GREEN, RED), strict=True):
        axes.plot(_RATIOS, 1e3 * np.array(found["debiased"]), "o-", color=colour, label=f"n = {n}")
        axes.plot(_RATIOS, 1e3 * np.array(found["biased"]), ":", color=colour)
        axes.axhline(1e3 * found["data"], ls="--", lw=0.8, color=colour)
    axes.axvline(1.0, color=INK, lw=0.8)
    axes.plot([], [], "--", lw=0.8, color=INK, label="the data themselves")
    axes.plot([], [], ":", color=INK, label="bias not taken back")
    axes.set_xscale("log", base=2)
    # Unbiased, so near 0 some are negative: linear there.
    axes.set_yscale("symlog", linthresh=1.0)
    axes.set_yticks([0, 1, 2, 5, 10, 20, 50], ["0", "1", "2", "5", "10", "20", "50"])
    axes.axhline(0.0, color=INK, lw=0.5)
    axes.minorticks_off()
    axes.set_xlabel("ε over ½ median‖y − y'‖²/√n")
    axes.set_ylabel("energy distance² to the law, × 1000")
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return png_bytes(figure)


if __name__ == "__main__":
    command(__spec__.name)
