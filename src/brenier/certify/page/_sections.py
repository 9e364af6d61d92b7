"""The sections that show a figure, or say in a sentence why there is none."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from brenier.certify.page._interval import growth_axes, interval_axes, wasted_shares
from brenier.certify.page._markup import escaped, prose, section, sentence
from brenier.certify.page._points import asymmetry_axes, asymmetry_histogram, clouds_axes, ring_axes
from brenier.report import Plane, figure_of, html_figure, html_table, plot_map, plot_marginals

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from brenier.certify import Bound, Certificate, Ring

# Longer rings are not printed: the page would be all numbers.
_RING_NUMBERS = 200_000
# Of the size of the data: what is below is rounding, and not worth a picture.
_ROUNDING = 1e-12
_COMPONENTS = (
    " Seen in the two leading principal components of source and images together (in brackets: "
    "their shares of the variance)."
)


@dataclass
class Figures:
    """Figures in their order on the page: each gets the next number.

    Attributes:
        names: of the columns of points.
        plane: in which points are seen; None on the line.
    """

    names: list[str]
    plane: Plane | None
    count: int = 0

    def __call__(self, axes: "Axes", label: str, caption: str) -> str:
        """The figure with its number and its caption (HTML); ``label`` says it in words."""
        self.count += 1
        caption = f"<b>Figure {self.count}.</b> {caption}"
        return html_figure(figure_of(axes), f"Figure {self.count}: {label}", caption)


def interval_section(c: "Certificate", figure: Figures) -> str:
    core, level = next((p for p in c.defect.parts if p.outside > 0), None), 100 * c.defect.level
    caption = (
        "Bars: how much of E‖X − T(X) + b‖² a cheaper map to the same image would save, between a "
        f"lower and an upper bound at {level:g} %: of all that is moved (b = 0), and of what is "
        "moved beyond one common shift, which a shift alone does not hide."
    )
    if c.defect.whole is not None or core is None:
        caption += " Those of the whole map rest on what was declared."
    if core is not None:
        caption += (
            f" Those of the core hold outside a set of mass at most {100 * core.outside:.2g} % "
            f"({core.rows:,} rows evaluated, {core.rows_outside:,} outside), {_holds(c)}. "
            f"Lower: {_from_below(c)}. Upper: the "
            f"Fenchel–Young gap of a convex potential, here {escaped(core.potential)}."
        )
    if not math.isfinite(c.defect.upper):
        caption += " No potential gave an upper bound."
    tolerance = c.how.get("tolerance")
    if tolerance is not None:
        caption += (
            f" Dashed: the tolerance p = {100 * tolerance:g} % of W₂²; the map is called optimal "
            "where the lower of the two bars ends left of it and almost no mass lies outside."
        )
    shares = wasted_shares(c.defect)
    if c.defect.one_shift or max(high for _, _, high in shares) < _ROUNDING:
        drawn = "<p>Nothing is wasted, up to rounding: both bounds are 0.</p>"
    else:
        said = "; ".join(f"{name} {low:.3g} to {high:.3g}" for name, low, high in shares)
        drawn = figure(interval_axes(c.defect, tolerance), f"wasted shares, {said}", caption)
    return section("How much of its cost is wasted", drawn + _bounds(c) + _withdrawn(c) + _cycle(c))


def _holds(c: "Certificate") -> str:
    """Where bounds on the core hold."""
    if c.defect.largest_weight is None:
        return "at every law of independent rows"
    return "with these weights for many independent rows"


def _bounds(c: "Certificate") -> str:
    """Every bound, with its level and what it rests on."""
    rows = [
        (
            escaped(("the defect " if bound.quantity[0] == "D" else "") + bound.quantity),
            f"{'≥' if bound.side == 'lower' else '≤'} {_value(bound)}",
            escaped(bound.level),
            escaped(bound.by),
        )
        for bound in c.defect.bounds
        if math.isfinite(bound.value)
    ]
    return html_table([("bound of", "value", "level", "by"), *rows]) if rows else ""


def _from_below(c: "Certificate") -> str:
    """Where the lower bound comes from, in words; savings of batches are tried of any source."""
    found = [b.by for b in c.defect.bounds if b.side == "lower" and b.quantity == "D on the core"]
    return escaped(found[0]) if found else "cheaper permutations"


def _value(bound: "Bound") -> str:
    """Shares in per cent, as everywhere on the page."""
    if bound.quantity.startswith("wasted share"):
        return f"{100 * bound.value:.3g}\u00a0%"
    return f"{bound.value:.4g}"


def _withdrawn(c: "Certificate") -> str:
    """What was declared and contradicted, where something was."""
    if not c.defect.withdrawn:
        return ""
    said = "; ".join(escaped(own) for own in c.defect.withdrawn)
    return (
        f"<p><b>Declared, and contradicted by the rows.</b> {said}. Bounds that would rest on it "
        "were withdrawn.</p>"
    )


def _cycle(c: "Certificate") -> str:
    """Sampled points that prove a defect, where there are some."""
    cycle = c.defect.cycle
    if cycle is None:
        return ""
    return f"<p><b>Proof that it is not exactly optimal.</b> {sentence(cycle.proof())}</p>"


def map_section(c: "Certificate", figure: Figures) -> str:
    x, tx = c.samples["x"], c.samples["tx"]
    if np.array_equal(x, tx):
        return section("The map", "<p>T moves no point.</p>")
    axes = plot_map(x, tx, names=figure.names)
    if figure.plane is None:
        caption = "The graph of T at points of the source; dashed, the identity."
        return section("The map", figure(axes, "the graph of the map", caption))
    caption = "Arrows from x to T(x), at points of the source that are evenly spaced."
    if x.shape[1] == 2:
        caption += " Behind them, what T makes of a straight grid, linear between the points."
    if not figure.plane.equal:
        caption += " The axes have different scales; the cost takes the numbers as they are."
    if x.shape[1] > 2:
        caption += _COMPONENTS
    return section("The map", figure(axes, "arrows from points to their images", caption))


def asymmetry_section(c: "Certificate", figure: Figures) -> str:
    title, a = "Asymmetry of the derivative", c.asymmetry
    if a is None:
        return section(
            title,
            "<p>Only pairs (x, T(x)) were given and no map: there are no derivatives, so neither "
            "their asymmetry nor a ring of neighbours was looked at.</p>",
        )
    how = f"central differences of step {a.step:.2g}, by which a errs by {a.error:.1g} in the mean"
    negative = (
        f"The symmetric part of DT has a negative eigenvalue at {100 * a.negative_share:.3g} % of "
        f"{a.n:,} points ({'exact Jacobians' if a.step == 0 else how})."
    )
    if figure.plane is None:
        return section(
            title,
            "<p>In one dimension every derivative is symmetric, and a map is optimal where it is "
            f"increasing. {negative}</p>",
        )
    if not a.visible:
        return section(
            title,
            f"<p>Nowhere among {a.n:,} points is a(x) = ‖DT − DTᵀ‖<sub>F</sub> / "
            f"(2‖DT‖<sub>F</sub>) larger than rounding and "
            f"differences could make it from 0. {negative}</p>",
        )
    caption = (
        "a(x) = ‖DT − DTᵀ‖<sub>F</sub> / (2‖DT‖<sub>F</sub>), 0 everywhere for a Monge map. "
        "Circle: where it is largest."
    )
    if c.ring is not None and c.ring.proven:
        caption += (
            f" The tiny ring of {c.ring.k:,} neighbours inside the circle is the proof below."
        )
    if c.samples["x"].shape[1] > 2:
        caption += _COMPONENTS
    values = f"The same values at {a.n:,} points: mean, 50 %, 90 % and 99 % quantiles. {negative}"
    label = f"asymmetry at each point, the largest {a.max:.3g}"
    seen = figure(asymmetry_axes(a, c.ring, figure.plane), label, caption)
    label = f"a histogram of the asymmetry, mean {a.mean:.3g}"
    return section(title, seen + figure(asymmetry_histogram(a), label, values))


def clouds_section(c: "Certificate", figure: Figures) -> str:
    drawn, samples = "", c.samples
    who = "Source, images and target" if "y" in samples else "Source and images"
    if figure.plane is not None:
        caption = f"{who} over each other, some hundred points of each."
        caption += _COMPONENTS * (samples["x"].shape[1] > 2)
        drawn = figure(clouds_axes(samples, figure.plane), f"{who}, as points", caption)
    axes = plot_marginals(samples["x"], samples["tx"], samples.get("y"), names=figure.names)
    caption = f"{who}: densities of {_columns(len(axes), len(figure.names))}."
    if "y" not in samples:
        caption += " No target was given."
    caption += " Equal marginals do not prove equal measures; the tests are in the table."
    drawn += figure(axes[0], f"{who}, histograms by column", caption)
    return section("Source, image, target", drawn + _blindness(c))


def _columns(shown: int, d: int) -> str:
    if d == 1:
        return "the one column"
    return "every column" if shown == d else f"the first {shown} of {d:,} columns"


def _blindness(c: "Certificate") -> str:
    """What the tests of the target look at, and what they may miss."""
    if c.pushforward is None:
        return ""
    along, missed = "along the line", "a mode of about 1 % of the mass"
    ruled_out = "does not rule it out"
    if c.samples["x"].shape[1] > 1:
        along = "along every column, principal axes of both clouds and random directions"
        missed = (
            f"a dependence between columns that none of these directions shows, and to {missed}"
        )
        ruled_out = "rules out neither"
    if math.isnan(c.pushforward.feature_p_value):
        looked = "compare distances between points"
    else:
        looked = f"compare means, spreads and quantiles {along}, and distances between points"
    return (
        f"<p><b>What the tests of the target may miss.</b> They {looked}. They are blind to "
        f"{prose(missed)}: “reached” {ruled_out}.</p>"
    )


def growth_section(c: "Certificate", figure: Figures) -> str:
    if not c.defect.growth:
        return section(
            "Growth of the lower bound",
            f"<p>{c.defect.n:,} rows are too few for batches of two: no lower bound was tried.</p>",
        )
    if max(row.mean for row in c.defect.growth) <= _ROUNDING * _size(c):
        return section(
            "Growth of the lower bound",
            f"<p>No permutation of up to {c.defect.growth[-1].n:,} pairs saves anything beyond "
            "rounding.</p>",
        )
    batches = ", ".join(f"{row.batches:,} × {row.n:,}" for row in c.defect.growth)
    caption = (
        f"Δ<sub>n</sub> over batches of n pairs (batches × pairs: {batches}): E Δ<sub>n</sub> "
        "never exceeds D(T), and comes closer as n grows."
    )
    if math.isnan(c.defect.estimate):
        caption += " No estimate could be extrapolated."
    else:
        caption += (
            f" Its extrapolation to n → ∞, {c.defect.estimate:.4g}, is an estimate and bounds "
            "nothing."
        )
    axes, label = growth_axes(c.defect), f"the lower bound at {len(c.defect.growth)} sizes"
    return section("Growth of the lower bound", figure(axes, label, caption))


def _size(c: "Certificate") -> float:
    """Of squared distances in these data: what rounding is measured by."""
    return float(max(np.square(cloud).sum(axis=1).mean() for cloud in c.samples.values())) or 1.0


def ring_section(c: "Certificate", figure: Figures) -> str:
    title, r = "The ring: a proof to check by hand", c.ring
    if r is None and c.asymmetry is None:
        return section(title, "<p>No map was given to evaluate on a ring of points.</p>")
    if r is None:
        return section(
            title,
            "<p>No ring was tried: the asymmetry is nowhere larger than rounding and differences "
            "could make it from 0.</p>",
        )
    if not r.proven:
        return section(
            title,
            f"<p>A ring of {r.k:,} neighbours about the point of the largest asymmetry saves "
            f"{r.saving:.3g}; noise of the map and rounding could save {r.noise:.1g}. It proves "
            "nothing.</p>",
        )
    drawn = ""
    if figure.plane is not None:
        drawn = figure(
            ring_axes(r),
            "the ring, its images, and both ways to send one to the other",
            "The ring and its images in the plane of the ring, each about its mean, which changes "
            "no comparison. Discs: points; circles: images. Sending each point to its own image "
            "(grey) costs more in all than sending it to the next one’s (dotted).",
        )
    said = sentence(r.proof()) + _beside_optimal(c)
    return section(title, f"<p>{said}</p>{drawn}{_ring_points(r)}")


def _beside_optimal(c: "Certificate") -> str:
    """That a proof of some waste is no contradiction to the verdict."""
    tolerance = c.how.get("tolerance")
    if c.verdict.optimality != "optimal" or not isinstance(tolerance, float):
        return ""
    return (
        f" The verdict “optimal” is within the tolerance of {100 * tolerance:g}\u00a0%: where the "
        "source has mass there, the map is not exactly optimal, and what it wastes lies between "
        "the bounds above."
    )


def _ring_points(r: "Ring") -> str:
    """All points of the ring and their images, with the line of Python that checks the saving."""
    d = r.points.shape[1]
    if 2 * d * r.k > _RING_NUMBERS:
        return (
            f"<p>Its {r.k:,} points and images in dimension {d:,} are too many to print here: "
            "<code>certificate.ring.points</code> and <code>.images</code> have them, "
            "<code>certificate.to_json()</code> too.</p>"
        )
    columns = [f"x{i + 1}" for i in range(d)] + [f"T{i + 1}" for i in range(d)]
    lines = [",".join(columns)] + [
        ",".join(map(repr, row)) for row in np.concatenate([r.points, r.images], axis=1).tolist()
    ]
    return (
        f"<details><summary>The {r.k:,} points and their images, all digits</summary>"
        '<p>Saved as <code>ring.csv</code>, they give the saving by</p><pre tabindex="0">'
        'import numpy as np\nx, t = np.split(np.loadtxt("ring.csv", delimiter=",", skiprows=1), 2, '
        "axis=1)\nprint(2 * np.sum((x - x.mean(axis=0)) * (np.roll(t, -1, axis=0) - t)))</pre>"
        f'<pre class="data" tabindex="0">{chr(10).join(lines)}</pre></details>'
    )
