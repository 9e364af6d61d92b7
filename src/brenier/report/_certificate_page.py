"""An audit certificate as one HTML page that needs nothing else."""

import html
import importlib.resources
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from brenier.report._certificate_figures import Spec, figures
from brenier.report._certificate_views import Views, views_of

if TYPE_CHECKING:
    from brenier.certify import Certificate, Ring

# Longer rings are not printed: their numbers would be the page.
_RING_NUMBERS = 200_000
_MARKS = {
    "optimal": ("good", "✓"),
    "reached": ("good", "✓"),
    "not optimal": ("bad", "✗"),
    "not reached": ("bad", "✗"),
    "undecided": ("open", "?"),
    "not asked": ("none", "–"),
}
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
# Question, formula, where it stands: the numbers are those of MATH_5.
_DEFINITIONS = """
Defect | D(T) = E‖X − T(X)‖² − W₂²(μ, T#μ) ≥ 0; 0 if and only if T is the Monge map onto its image. | 5.1
Lower bound | Δ<sub>n</sub> = mean<sub>i</sub> ‖x<sub>i</sub> − T(x<sub>i</sub>)‖² − mean<sub>i</sub> ‖x<sub>i</sub> − T(x<sub>σ(i)</sub>)‖² for a permutation σ of n pairs; E Δ<sub>n</sub> ≤ D(T). Half the width of a normal interval is taken off. | 5.2
Ring | k neighbours whose images, shifted by one place, cost less: Σ ‖x<sub>j</sub> − T(x<sub>j+1</sub>)‖² &lt; Σ ‖x<sub>j</sub> − T(x<sub>j</sub>)‖². A Monge map is cyclically monotone: never so. | 5.2b
Upper bound | D(T) ≤ 2 E[φ(X) + φ*(T(X)) − ⟨X, T(X)⟩] for every convex φ (Fenchel–Young), fitted on other pairs than those of the mean; φ* is bounded from above where it is not exact. | 5.3, 5.4
Asymmetry | a(x) = ‖DT(x) − DT(x)ᵀ‖<sub>F</sub> / (2‖DT(x)‖<sub>F</sub>). T is optimal only if DT is symmetric and positive semidefinite μ-almost everywhere. | 5.6
Monotonicity | ⟨x − x′, T(x) − T(x′)⟩ ≥ 0 for every pair of a Monge map. | 5.7
Target | Energy distance 2E‖T(X) − Y‖ − E‖T(X) − T(X′)‖ − E‖Y − Y′‖ with a permutation test; sliced W₂; where the target’s score is known, a kernel Stein test; where all densities are, KL(T#μ | ν). | 5.8
Known truth | L2-UVP = 100 E‖T − T*‖² / Var(T*#μ) per cent; cosine = E⟨T − X, T* − X⟩ / (‖T − id‖ ‖T* − id‖). | 5.9
""".strip().splitlines()  # noqa: E501


def certificate_page(certificate: "Certificate") -> str:
    """The certificate as one HTML page: no request leaves it, text from outside is escaped.

    It opens from disk, offline, and prints. Plotly's script, 5 MB, stands in it once.

    >>> import numpy as np
    >>> from brenier.certify import audit_pairs
    >>> x = np.random.default_rng(0).normal(size=(50, 2))
    >>> "not asked" in certificate_page(audit_pairs(x, x + 1.0, budget=0.1))
    True
    """
    # Here: importing the report must not wait for it.
    from plotly.offline import get_plotlyjs

    names = _names(certificate)
    views = views_of(certificate.samples["x"], certificate.samples["tx"], names)
    drawn = figures(certificate, views)
    here = importlib.resources.files("brenier.report")
    style = here.joinpath("certificate.css").read_text(encoding="utf-8")
    script = here.joinpath("certificate.js").read_text(encoding="utf-8")
    numbered = _Figures(drawn, views)
    body = "\n".join(
        [
            _head(certificate),
            _verdicts(certificate),
            _interval(certificate, numbered),
            _map(certificate, numbered),
            _asymmetry(certificate, numbered),
            _target(certificate, numbered),
            _growth(certificate, numbered),
            _table(certificate),
            _ring(certificate, numbered),
            _how(certificate),
            _definitions(),
        ]
    )
    data = json.dumps(drawn, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:">
<link rel="icon" href="data:,">
<title>{_title(certificate)}</title>
<style>
{style}</style>
</head>
<body>
<main>
<noscript><p>The figures are drawn by JavaScript, which is off; all else is here.</p></noscript>
{body}
</main>
<script type="application/json" id="figures">{data}</script>
<script>{get_plotlyjs()}</script>
<script>
{script}</script>
</body>
</html>
"""  # noqa: E501


class _Figures:
    """Figures in their order on the page: each gets the next number."""

    def __init__(self, drawn: dict[str, Spec], views: Views):
        self.drawn, self.views, self.count = drawn, views, 0

    def __call__(self, name: str, caption: str) -> str:
        """The figure with its number and its caption (HTML); choices of axes where it has some."""
        self.count += 1
        spec = self.drawn[name]
        choices = ""
        if spec["layout"].get("meta"):
            choices = (
                '<div class="choices">'
                + "".join(
                    f'<label>{label} <select data-axis="{axis}">'
                    + "".join(
                        f'<option value="{i}"{" selected" * (i == axis)}>{view}</option>'
                        for i, view in enumerate(self.views.labels)
                    )
                    + "</select></label>"
                    for axis, label in enumerate(("horizontal", "vertical"))
                )
                + "</div>"
            )
        height = spec["layout"]["height"]
        return (
            f'<figure>{choices}<div class="plot" data-figure="{name}" style="height:{height}px">'
            "</div>"
            f"<figcaption><b>Figure {self.count}.</b> {caption}</figcaption></figure>"
        )


def _names(c: "Certificate") -> list[str]:
    d = c.samples["x"].shape[1]
    names = c.how.get("names")
    if isinstance(names, list | tuple) and len(names) == d:
        return [str(name) for name in names]
    return ["x"] if d == 1 else [f"x{str(i + 1).translate(_SUBSCRIPTS)}" for i in range(d)]


def _title(c: "Certificate") -> str:
    return f"Audit of a transport map: {_text(c.how.get('map', 'map'))}"


def _head(c: "Certificate") -> str:
    facts = [
        f"dimension {c.samples['x'].shape[1]:,}",
        f"{_count(c.how.get('source_points', c.defect.n))} points of the source",
    ]
    if c.how.get("target_points") is not None:
        facts.append(f"{_count(c.how['target_points'])} of the target")
    facts.append(f"intervals at {100 * c.defect.level:g} %")
    files = c.how.get("files")
    lines = []
    if isinstance(files, Mapping) and files:
        lines = [
            '<p class="facts">'
            + "; ".join(
                f"{_text(role)}: <code>{_text(name)}</code>" for role, name in files.items()
            )
            + "</p>"
        ]
    return (
        f'<header><p class="kind">Audit certificate</p><h1>{_title(c)}</h1>'
        f'<p class="facts">{" · ".join(facts)}</p>{"".join(lines)}</header>'
    )


def _verdicts(c: "Certificate") -> str:
    v = c.verdict
    asked = [
        ("Is it optimal?", v.optimality, v.optimality_reason),
        (
            "Does it reach the target?",
            v.target or "not asked",
            v.target_reason or "no target was given",
        ),
    ]
    cards = []
    for question, answer, reason in asked:
        kind, mark = _MARKS.get(answer, ("none", "–"))
        cards.append(
            f'<div class="verdict {kind}"><p class="question">{question}</p>'
            f'<p class="answer"><span class="mark" aria-hidden="true">{mark}</span> '
            f"{_text(answer[:1].upper() + answer[1:])}</p><p>{_sentence(reason)}</p></div>"
        )
    return f'<section class="verdicts" aria-label="Verdicts">{"".join(cards)}</section>'


def _interval(c: "Certificate", figure: _Figures) -> str:
    tolerance = c.how.get("tolerance")
    asked = (
        ""
        if tolerance is None
        else (
            f" Dashed: the tolerance p = {100 * tolerance:g} %; the map is called optimal where "
            "the upper end lies left of it."
        )
    )
    side = 50 + 50 * c.defect.level
    none = "" if math.isfinite(c.defect.upper) else " No potential gave an upper bound."
    return (
        "<section><h2>How far from optimal</h2>"
        + figure(
            "interval",
            (
                "The defect D(T) = E‖X − T(X)‖² − W₂²(μ, T#μ), what T costs above the cheapest map to "
                f"the same image. Bar: its interval; each end holds with probability {side:g} %.{none} "
                "Diamond: the saving Δ<sub>n</sub> of a cheaper permutation (5.2). Disc: the "
                "Fenchel–Young gap of a convex potential "
                f"(5.3; here: {_text(c.defect.potential)}). Whiskers: one standard error.{asked}"
            ),
        )
        + "</section>"
    )


def _map(c: "Certificate", figure: _Figures) -> str:
    d = c.samples["x"].shape[1]
    if d == 1:
        caption = "The graph of T at points of the source; dashed, the identity."
    else:
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
    return f"<section><h2>The map</h2>{figure('map', caption)}</section>"


def _asymmetry(c: "Certificate", figure: _Figures) -> str:
    a, head = c.asymmetry, "<section><h2>Asymmetry of the derivative</h2>"
    if a is None:
        return head + (
            "<p>Only pairs (x, T(x)) were given and no map: there are no derivatives, so neither "
            "their asymmetry nor a ring of neighbours was looked at.</p></section>"
        )
    how = (
        "exact Jacobians"
        if a.step == 0
        else (f"central differences of step {a.step:.2g}, which err by about {a.error:.1g}")
    )
    negative = (
        f"The symmetric part of DT has a negative eigenvalue at {100 * a.negative_share:.3g} % of "
        f"{a.n:,} points ({how})."
    )
    if c.samples["x"].shape[1] == 1:
        return head + (
            "<p>On the line every derivative is symmetric; there it is optimal to increase. "
            f"{negative}</p></section>"
        )
    seen = (
        ""
        if a.max > max(4.0 * a.error, 1e-12)
        else (" Nowhere is a(x) above what rounding and differences could make of 0.")
    )
    ring = ""
    if c.ring is not None and c.ring.proven:
        ring = f" Within it, tiny: the ring of {c.ring.k:,} neighbours that is the proof below."
    scatter = figure(
        "asymmetry",
        (
            "a(x) = ‖DT − DTᵀ‖<sub>F</sub> / (2‖DT‖<sub>F</sub>) (5.6), 0 everywhere for a Monge "
            f"map. Circle: where it is largest.{ring}{seen}"
        ),
    )
    histogram = figure(
        "histogram",
        (f"The same values at {a.n:,} points: mean, 50 %, 90 % and 99 % quantiles. {negative}"),
    )
    return f"{head}{scatter}{histogram}</section>"


def _target(c: "Certificate", figure: _Figures) -> str:
    of = "Source, images and target" if "y" in c.samples else "Source and images"
    most = max(len(cloud) for cloud in c.samples.values())
    none = "" if "y" in c.samples else " No target was given."
    margins = "" if c.samples["x"].shape[1] == 1 else " over each other, with their marginals"
    scale = "densities" if c.samples["x"].shape[1] == 1 else "points"
    caption = (
        f"{of}{margins}: {scale}, of at most {most:,} points each.{none} Equal marginals do not "
        "prove equal measures; the tests are in the table."
    )
    return f"<section><h2>Source, image, target</h2>{figure('clouds', caption)}</section>"


def _growth(c: "Certificate", figure: _Figures) -> str:
    batches = ", ".join(f"{row.batches:,} × {row.n:,}" for row in c.defect.growth)
    estimate = (
        " No estimate could be extrapolated."
        if math.isnan(c.defect.estimate)
        else (
            f" Its extrapolation to n → ∞, {c.defect.estimate:.4g}, is an estimate "
            "and bounds nothing."
        )
    )
    return (
        "<section><h2>Growth of the lower bound</h2>"
        + figure(
            "growth",
            (
                f"Δ<sub>n</sub> over batches of n pairs (batches × pairs: {batches}): E "
                f"Δ<sub>n</sub> never exceeds D(T), and comes closer as n grows.{estimate}"
            ),
        )
        + "</section>"
    )


def _table(c: "Certificate") -> str:
    rows = "".join(
        f'<tr><th scope="row"{" class=sub" * question.startswith(" ")}>{_text(question.strip())}'
        f"</th><td>{_prose(answer)}</td><td>{_prose(remark)}</td></tr>"
        for question, answer, remark in c.rows()
    )
    return (
        '<section><h2>The certificate in numbers</h2><div class="wide"><table class="numbers">'
        "<thead><tr><th>question</th><th>answer</th><th>remark</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div></section>"
    )


def _ring(c: "Certificate", figure: _Figures) -> str:
    r = c.ring
    head = "<section><h2>The ring: a proof to check by hand</h2>"
    if r is None:
        why = (
            "No map was given to lay a ring with."
            if c.asymmetry is None
            else "No ring was laid: the asymmetry is nowhere above what rounding and differences "
            "could make of 0."
        )
        return f"{head}<p>{why}</p></section>"
    if not r.proven:
        return head + (
            f"<p>A ring of {r.k:,} neighbours about the point of the largest asymmetry saves "
            f"{r.saving:.3g}, against {r.noise:.1g} that the map’s noise and rounding could make: "
            "it proves nothing.</p></section>"
        )
    drawn = ""
    if "ring" in figure.drawn:
        drawn = figure(
            "ring",
            (
                "The ring, and its images, in its plane; both about their means, which changes no "
                "comparison. Discs: points; circles: images. Each point to its own image (grey) is "
                "dearer in all than to the next one’s (dotted)."
            ),
        )
    return f"{head}<p>{_sentence(r.proof())}</p>{drawn}{_ring_points(r)}</section>"


def _ring_points(r: "Ring") -> str:
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


def _how(c: "Certificate") -> str:
    labels = {
        "map": "map",
        "source_points": "points of the source",
        "target_points": "points of the target",
        "key": "random key (JAX key data)",
        "budget": "budget, seconds",
        "lower_bound": "lower bound",
        "upper_bound": "upper bound",
        "seconds": "took, seconds",
        "names": "columns",
    }
    rows = "".join(
        f'<tr><th scope="row">{_text(labels.get(name, name))}</th><td>{_value(value)}</td></tr>'
        for name, value in c.how.items()
    )
    return (
        '<section><h2>How it was computed</h2><div class="wide"><table class="how">'
        f"<tbody>{rows}</tbody></table></div></section>"
    )


def _definitions() -> str:
    items = "".join(
        f"<dt>{name}</dt><dd>{formula} <span class=eq>({number})</span></dd>"
        for name, formula, number in (row.rsplit(" | ", 2) for row in _DEFINITIONS)
    )
    return (
        "<section><h2>Definitions</h2><p>Numbers in brackets are those of the equations in "
        "brenier’s notes on the audit (MATH_5). X has the law μ of the source, T#μ is the law of "
        f"T(X), ν the target.</p><dl>{items}</dl></section>"
    )


def _value(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, Mapping):
        return ", ".join(f"{_text(key)} {_value(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_value(item) for item in value)
    if isinstance(value, float):
        return f"{value:.4g}"
    return _text(value)


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else _text(value)


def _sentence(text: str | None) -> str:
    text = _prose(text or "")
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _prose(text: str) -> str:
    """Escaped; no line breaks before a per cent sign."""
    return _text(text).replace(" %", "\u00a0%")


def _text(value: Any) -> str:
    return html.escape(str(value))
