"""The sections that show a figure, or say why there is none."""

import math
from typing import TYPE_CHECKING

import numpy as np

from brenier.certify.page._figures import NumberedFigures
from brenier.certify.page._markup import escaped, prose, section, sentence

if TYPE_CHECKING:
    from brenier.certify import Certificate, Ring

# Longer rings are not printed: the page would be all numbers.
_RING_NUMBERS = 200_000


def interval_section(c: "Certificate", figure: NumberedFigures) -> str:
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
            f"({core.rows:,} rows evaluated, {core.rows_outside:,} outside), at every law of "
            "independent rows. Lower: cheaper permutations of batches (6.10). Upper: the "
            f"Fenchel–Young gap of a convex potential, here {escaped(core.potential)} (6.13)."
        )
    if not math.isfinite(c.defect.upper):
        caption += " No potential gave an upper bound."
    tolerance = c.how.get("tolerance")
    if tolerance is not None:
        caption += (
            f" Dashed: the tolerance p = {100 * tolerance:g} % of W₂²; the map is called optimal "
            "where the lower bar ends left of it and almost no mass lies outside."
        )
    drawn = figure("interval", caption)
    return section("How much of its cost is wasted", drawn + _bounds(c) + _withdrawn(c) + _cycle(c))


def _bounds(c: "Certificate") -> str:
    """Every bound, with its level and what it rests on."""
    rows = "".join(
        f"<tr><th scope=row>{escaped(bound.quantity)}</th>"
        f"<td>{'≥' if bound.side == 'lower' else '≤'} {bound.value:.4g}</td>"
        f"<td>{escaped(bound.level)}</td><td>{escaped(bound.by)}</td></tr>"
        for bound in c.defect.bounds
        if math.isfinite(bound.value)
    )
    if not rows:
        return ""
    return (
        '<div class="wide"><table class="numbers"><thead><tr><th>bound of</th><th>value</th>'
        f"<th>level</th><th>by</th></tr></thead><tbody>{rows}</tbody></table></div>"
    )


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


def map_section(c: "Certificate", figure: NumberedFigures) -> str:
    d = c.samples["x"].shape[1]
    if d == 1:
        caption = "The graph of T at points of the source; dashed, the identity."
        return section("The map", figure("map", caption))
    caption = "Arrows from x to T(x), at points of the source that are evenly spaced."
    if np.array_equal(c.samples["x"], c.samples["tx"]):
        caption += " T moves no point: no arrow has a length."
    if len(set(figure.views.scales().ravel())) > 1:
        caption += " The axes have different scales; the cost takes the numbers as they are."
    if d > 2:
        caption += (
            " Seen in principal components of all points, source and images together (in "
            "brackets: their shares of the variance), or in coordinates; the choice of axes "
            "holds for all figures of points."
        )
    return section("The map", figure("map", caption))


def asymmetry_section(c: "Certificate", figure: NumberedFigures) -> str:
    title, a = "Asymmetry of the derivative", c.asymmetry
    if a is None:
        return section(
            title,
            "<p>Only pairs (x, T(x)) were given and no map: there are no derivatives, so neither "
            "their asymmetry nor a ring of neighbours was looked at.</p>",
        )
    how = f"central differences of step {a.step:.2g}, which err by about {a.error:.1g}"
    negative = (
        f"The symmetric part of DT has a negative eigenvalue at {100 * a.negative_share:.3g} % of "
        f"{a.n:,} points ({'exact Jacobians' if a.step == 0 else how})."
    )
    if c.samples["x"].shape[1] == 1:
        return section(
            title,
            "<p>In one dimension every derivative is symmetric, and a map is optimal where it is "
            f"increasing. {negative}</p>",
        )
    caption = (
        "a(x) = ‖DT − DTᵀ‖<sub>F</sub> / (2‖DT‖<sub>F</sub>) (5.6), 0 everywhere for a Monge map. "
        "Circle: where it is largest."
    )
    if c.ring is not None and c.ring.proven:
        caption += (
            f" The tiny ring of {c.ring.k:,} neighbours inside the circle is the proof below."
        )
    if a.max <= max(4.0 * a.error, 1e-12):
        caption += " Nowhere is a(x) larger than rounding and differences could make it from 0."
    values = f"The same values at {a.n:,} points: mean, 50 %, 90 % and 99 % quantiles. {negative}"
    return section(title, figure("asymmetry", caption) + figure("histogram", values))


def clouds_section(c: "Certificate", figure: NumberedFigures) -> str:
    caption = "Source, images and target" if "y" in c.samples else "Source and images"
    most = max(len(cloud) for cloud in c.samples.values())
    if c.samples["x"].shape[1] == 1:
        caption += f": densities of at most {most:,} points each."
    else:
        caption += f" over each other, with their marginals: at most {most:,} points each."
    if "y" not in c.samples:
        caption += " No target was given."
    caption += " Equal marginals do not prove equal measures; the tests are in the table."
    return section("Source, image, target", figure("clouds", caption) + _blindness(c))


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
        looked = "compare distances between points (5.8)"
    else:
        looked = f"compare means, spreads and quantiles {along}, and distances between points"
        looked += " (5.8, 6.18)"
    return (
        f"<p><b>What the tests of the target may miss.</b> They {looked}. They are blind to "
        f"{prose(missed)}: “reached” {ruled_out}.</p>"
    )


def growth_section(c: "Certificate", figure: NumberedFigures) -> str:
    if not c.defect.growth:
        return section(
            "Growth of the lower bound",
            f"<p>{c.defect.n:,} rows are too few for batches of two: no lower bound was tried.</p>",
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
    return section("Growth of the lower bound", figure("growth", caption))


def ring_section(c: "Certificate", figure: NumberedFigures) -> str:
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
    if "ring" in figure.drawn:
        drawn = figure(
            "ring",
            "The ring and its images in the plane of the ring, each about its mean, which changes "
            "no comparison. Discs: points; circles: images. Sending each point to its own image "
            "(grey) costs more in all than sending it to the next one’s (dotted).",
        )
    return section(title, f"<p>{sentence(r.proof())}</p>{drawn}{_ring_points(r)}")


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
        "<p>Saved as <code>ring.csv</code>, they give the saving by</p><pre>"
        'import numpy as np\nx, t = np.split(np.loadtxt("ring.csv", delimiter=",", skiprows=1), 2, '
        "axis=1)\nprint(2 * np.sum((x - x.mean(axis=0)) * (np.roll(t, -1, axis=0) - t)))</pre>"
        f'<pre class="data">{chr(10).join(lines)}</pre></details>'
    )
