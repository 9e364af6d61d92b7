"""The certified interval of what is wasted, and the lower bound as the sample grows."""

import math
from typing import TYPE_CHECKING

from brenier.report import BLUE, GREY, INK, RED, legend_above, new_axes, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from brenier.certify import Certificate, Defect


def plot_certificate(certificate: "Certificate", *, ax: "Axes | None" = None) -> "Axes":
    """The verdicts, and the certified interval of the share of the cost that is wasted.

    A bar from the lower to the upper bound for each way to count it, beside the tolerance that was
    asked for.

    Args:
        certificate: of ``audit`` or ``audit_pairs``.
        ax: where it is drawn; axes of a new figure where None.

    >>> import numpy as np
    >>> from brenier.certify import audit_pairs
    >>> x = np.random.default_rng(0).normal(size=(50, 2))
    >>> plot_certificate(audit_pairs(x, x + 1.0, budget=0.1)).get_title(loc="left")
    'undecided; target not asked'
    """
    verdict = certificate.verdict
    axes = interval_axes(certificate.defect, certificate.how.get("tolerance"), ax)
    target = "target not asked" if verdict.target is None else f"target {verdict.target}"
    axes.set_title(f"{verdict.optimality}; {target}", loc="left", fontsize=11, color=INK)
    return axes


def interval_axes(defect: "Defect", tolerance: float | None, ax: "Axes | None" = None) -> "Axes":
    """The wasted share of what is moved, of all and beyond one common shift, and the tolerance."""
    bars = wasted_shares(defect)
    axes = plain(new_axes(5.2, 1.0 + 0.42 * len(bars)) if ax is None else ax)
    asked = None if tolerance is None else 100.0 * tolerance / (1.0 + tolerance)
    right = 1.0
    for row, (_, low, high) in enumerate(bars):
        ends = [100.0 * low, 100.0 * high]
        right = max(right, 1.15 * ends[1])
        axes.plot(ends, [row, row], color=BLUE, linewidth=6, solid_capstyle="butt")
        axes.plot(ends, [row, row], "|", color=INK, markersize=13, markeredgewidth=1.6)
        says = " to ".join(dict.fromkeys(f"{end:.3g}" for end in ends))
        axes.annotate(
            f"{says} %",
            (ends[1], row),
            xytext=(0, 10),
            textcoords="offset points",
            ha="right" if ends[1] > 0.2 * right else "left",
            fontsize=9,
            color=INK,
        )
    if tolerance is not None and asked is not None:
        label = f"tolerance p = {100.0 * tolerance:g} %"
        right = max(right, 1.15 * asked)
        # In pieces: what stands above a bar is not struck through.
        starts, ends = [[row + side for row in range(len(bars))] for side in (-0.12, 0.33)]
        ends[-1] = len(bars) - 0.3
        axes.vlines([asked] * len(bars), starts, ends, GREY, "--", linewidth=1.2)
        left = asked > 0.5 * right
        axes.annotate(
            label,
            (asked, len(bars) - 0.45),
            xytext=(-5 if left else 5, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center",
            fontsize=9,
            color=GREY,
        )
    axes.axvline(0.0, color=GREY, linewidth=1.0)
    axes.set_yticks(range(len(bars)), [label for label, _, _ in bars], fontsize=9.5, color=INK)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set(xlim=(-0.01 * right, right), ylim=(len(bars) - 0.3, -0.8))
    axes.set_xlabel("wasted, per cent of what is moved")
    return axes


def wasted_shares(defect: "Defect") -> list[tuple[str, float, float]]:
    """(of what, lower, upper) of the wasted share; without a core from the bounds of W₂²."""
    bars = []
    for part in defect.parts:
        of = ""
        if len(defect.parts) > 1:
            of = ", whole map" if part.outside == 0.0 else ", core"
        shares = (
            (part.wasted, "of all that is moved"),
            (part.wasted_beyond_shift, "beyond one common shift"),
        )
        bars += [(f"{name}{of}", share.lower, share.upper) for share, name in shares]
    if bars:
        return bars
    ends = [
        r / (1.0 + r) if math.isfinite(r) else 1.0
        for r in (defect.relative_lower, defect.relative_upper)
    ]
    return [("of all that is moved", ends[0], ends[1])]


def growth_axes(defect: "Defect") -> "Axes":
    """Δ_n against n, the certified bounds, and the extrapolated estimate."""
    axes = plain(new_axes(5.2, 3.0))
    sizes, means = [row.n for row in defect.growth], [row.mean for row in defect.growth]
    axes.plot(sizes, means, "D-", color=BLUE, markersize=5, label="Δₙ, mean of the batches")
    levels = [("lower bound", defect.lower, INK, "-")]
    if not math.isnan(defect.estimate):
        levels.append(("extrapolated", defect.estimate, RED, ":"))
    top = max([*means, *(level for _, level, _, _ in levels)])
    # An upper bound far above would flatten the rest.
    if defect.upper <= 3.0 * top:
        levels.append(("upper bound", defect.upper, INK, "--"))
    for name, level, ink, dash in levels:
        axes.axhline(level, color=ink, linewidth=1.3, linestyle=dash, label=name)
    most = max([*means, *(level for _, level, _, _ in levels)])
    axes.set_xscale("log")
    axes.set_xticks(sizes, [f"{n:,}" for n in sizes])
    axes.minorticks_off()
    axes.locator_params(axis="y", nbins=5)
    axes.set(xlim=(sizes[0] / 1.4, sizes[-1] * 1.6), ylim=(-0.04 * most, 1.12 * most))
    axes.set(xlabel="pairs n", ylabel="D(T)")
    return legend_above(axes)
