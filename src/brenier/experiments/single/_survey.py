"""A survey of unequal chances, whose map is known, and its picture."""

import numpy as np

from brenier.estimators import MongeMap

_FRESH = 4000
# How the chance to be seen falls along the first coordinate.
_TILT = 1.5
_STYLES = {
    "without weights": ("C3", "s"),
    "with weights": ("C0", "o"),
    "a sample of the law itself": ("0.4", "^"),
}


def bent(z: np.ndarray) -> np.ndarray:
    """The map of points (n, d): increasing in each coordinate."""
    return z + 0.5 * np.tanh(2.0 * z) + 1.0


def sample(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points seen (n, 2), a sample of the target (n, 2), and the weights 1/chance of the former."""
    random = np.random.default_rng(seed)
    z = random.normal(size=(8 * n, 2))
    chance = 1.0 / (1.0 + np.exp(_TILT * z[:, 0]))
    seen = np.flatnonzero(random.uniform(size=len(z)) < chance)[:n]
    return z[seen], bent(random.normal(size=(n, 2))), 1.0 / chance[seen]


def errors(n: int, seed: int) -> dict[str, float]:
    """L2-UVP in per cent on fresh points of the law."""
    x, y, weights = sample(n, seed)
    law = np.random.default_rng(seed + 10_000).normal(size=(n, 2))
    fresh = np.random.default_rng(99).normal(size=(_FRESH, 2))
    wanted = bent(fresh)
    found = {}
    for name, points, own in zip(_STYLES, (x, x, law), (None, weights, None), strict=True):
        map = MongeMap(random_state=seed, effort="quick").fit(points, y, own)
        error = np.mean(np.sum((map.transform(fresh) - wanted) ** 2, axis=1))
        found[name] = float(100.0 * error / wanted.var(axis=0).sum())
    return found


def figure(measured: dict[int, dict[str, list[float]]], seed: int) -> bytes:
    """The points that were seen, as large as their weights, and the errors against n, as PNG."""
    from matplotlib.figure import Figure

    from brenier.report import png_bytes

    drawn = Figure(figsize=(10, 4.2), layout="constrained")
    left, right = drawn.subplots(1, 2)
    x, _, weights = sample(300, seed)
    angle = np.linspace(0.0, 2.0 * np.pi, 200)
    for radius in (1.0, 2.0):
        left.plot(radius * np.cos(angle), radius * np.sin(angle), color="0.6", lw=1, zorder=0)
    left.scatter(*x.T, s=6.0 * weights, alpha=0.5, color="C0", lw=0)
    left.set(xlabel="x₁", ylabel="x₂", aspect="equal", title="seen, as large as their weights")
    for name, (colour, marker) in _STYLES.items():
        means = [np.mean(own[name]) for own in measured.values()]
        right.loglog(list(measured), means, color=colour, marker=marker, label=name)
    right.set(xlabel="points", ylabel="L2-UVP, per cent", title="error of the map")
    right.set_xticks(list(measured), [str(n) for n in measured])
    right.minorticks_off()
    right.legend(frameon=False)
    return png_bytes(drawn)
