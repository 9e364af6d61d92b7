"""How wide the certificate is: bounds over the true defect, by dimension and number of rows.

Theory, section 6.6: x + ½ tanh 2x after a turn in d/2 planes in general position, N(0, I),
D = 5 % and 50 % of W₂². From pairs alone, and from the map of a declared source, whose orbits know
no curse of dimension; the turn of every plane is the same and the gradient part is separable in the
coordinates, which is kind to both sides. Beside it the same with the coordinates turned, so that no
axes that are tried are the right ones: the honest upper bound.
"""

import time
from typing import Any

import jax
import numpy as np
from scipy.stats import ortho_group

from brenier import audit, audit_pairs
from brenier._progress import Progress
from brenier.experiments._command import command
from brenier.experiments._run import Run
from brenier.experiments._seeds import map_blocks
from brenier.experiments.audit._cases import family
from brenier.io import write_whole
from brenier.measures import Gaussian
from brenier.report import new_figure, png_bytes

TIME = "minutes"

# Rows of an audit in each dimension.
_ROWS = {
    2: (250, 1000, 4000, 16_000),
    10: (250, 1000, 4000, 16_000),
    50: (1000, 4000),
    784: (1000,),
}
_SHARES = (0.05, 0.5)
_SEEDS = 3
_BUDGET = 10.0
_COLUMNS = ("pairs", "declared", "by_symmetry", "upper", "upper_unknown_axes", "seconds")


def main(run: Run) -> dict[str, Any]:
    """Audit the family in every dimension and number of rows; medians, and the picture."""
    cells = [(d, n, share) for share in _SHARES for d, rows in _ROWS.items() for n in rows]
    blocks = [
        (d, n, share, run.seed + seed)
        for d, n, share in cells
        for seed in range(run.seeds_or(_SEEDS) if d < 784 else 1)
    ]
    found = map_blocks(
        _block,
        blocks,
        lambda done: run.progress(Progress(done, len(blocks), "audits")),
        run.out / "blocks",
    )
    table = []
    for d, n, share in cells:
        own = [row for block, row in zip(blocks, found, strict=True) if block[:3] == (d, n, share)]
        medians = dict(zip(_COLUMNS, np.median(own, axis=0).tolist(), strict=True))
        table.append({"d": d, "n": n, "share": share, "audits": len(own), **medians})
    write_whole(run.out / "widths.png", _figure(table))
    return {"widths": table}


def _block(d: int, n: int, share: float, seed: int) -> list[float]:
    """The bounds over the true defect, and the seconds of the audit of the declared source."""
    map, defect = family(d, share)
    key = jax.random.key(seed)
    x = np.random.default_rng(seed).normal(size=(n, d))
    pairs = audit_pairs(x, map(x), key=key, budget=_BUDGET, law=Gaussian.standard(d))
    began = time.perf_counter()
    declared = audit(map, Gaussian.standard(d), key=key, samples=n, budget=_BUDGET)
    seconds = time.perf_counter() - began
    frame = ortho_group.rvs(d, random_state=1)
    y = x @ frame
    turned = audit_pairs(y, map(x) @ frame, key=key, budget=_BUDGET)
    by_symmetry = [b.value for b in pairs.defect.bounds if "(6.12)" in b.by]
    ends = [
        pairs.defect.lower,
        declared.defect.lower,
        max(by_symmetry),
        declared.defect.upper,
        turned.defect.upper,
    ]
    return [float(end) / defect for end in ends] + [seconds]


def _figure(table: list[dict[str, Any]]) -> bytes:
    """Bounds over D against n, a panel a dimension, a row a share."""
    figure = new_figure(11.0, 5.6)
    axes = figure.subplots(len(_SHARES), len(_ROWS), sharey="row", squeeze=False)
    styles = {
        "upper_unknown_axes": ("C1", "v", "above, axes unknown (pairs)"),
        "upper": ("C3", "v", "above, on the core"),
        "declared": ("C0", "^", "below, declared source (orbits)"),
        "by_symmetry": ("C2", "x", "below, declared, pairs: asymptotic"),
        "pairs": ("0.4", "^", "below, pairs alone"),
    }
    for row, share in enumerate(_SHARES):
        for column, d in enumerate(_ROWS):
            own = [cell for cell in table if cell["d"] == d and cell["share"] == share]
            panel = axes[row, column]
            for name, (ink, mark, label) in styles.items():
                sizes, ends = [c["n"] for c in own], [c[name] for c in own]
                panel.plot(sizes, ends, marker=mark, color=ink, label=label, ms=5, lw=1.2)
            panel.axhline(1.0, color="black", lw=0.8)
            panel.set_xscale("log")
            panel.set_xlim(180, 23_000)
            panel.set_ylim(-0.05, 3.8 if share < 0.1 else 1.6)
            panel.set_title(f"d = {d}, D = {100 * share:g} % of W₂²", fontsize=9)
            if row == len(_SHARES) - 1:
                panel.set_xlabel("rows n")
        axes[row, 0].set_ylabel("bound / D")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=9, frameon=False)
    return png_bytes(figure)


if __name__ == "__main__":
    command(__spec__.name)
