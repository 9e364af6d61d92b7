"""A certificate as one HTML page that needs nothing else."""

import importlib.resources
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from brenier._extras import check_installed, is_installed
from brenier.certify.page._interval import interval_axes
from brenier.certify.page._markup import count, escaped, listed, prose, section, sentence
from brenier.certify.page._sections import (
    Figures,
    asymmetry_section,
    clouds_section,
    growth_section,
    interval_section,
    map_section,
    ring_section,
)
from brenier.report import (
    Plane,
    column_names,
    figure_of,
    html_fragment,
    html_page,
    html_table,
    svg_text,
)

if TYPE_CHECKING:
    from brenier.certify import Certificate

_MARKS = {
    "optimal": ("good", "✓"),
    "reached": ("good", "✓"),
    "not optimal": ("bad", "✗"),
    "not reached": ("bad", "✗"),
    "not exactly optimal": ("open", "≈"),
    "no bound": ("open", "?"),
    "undecided": ("open", "?"),
    "not asked": ("none", "–"),
}
# What the page calls the entries of ``Certificate.how``.
_LABELS = {
    "map": "map",
    "kind": "kind of map",
    "growth": "growth",
    "source_points": "points of the source",
    "target_points": "points of the target",
    "declared": "declared",
    "precision": "error of the map's values",
    "copies": "exact copies among the source points",
    "key": "random key (JAX key data)",
    "budget": "budget, seconds",
    "lower_bound": "lower bound",
    "upper_bound": "upper bound",
    "seconds": "took, seconds",
    "compiling": "of which JAX compiled, seconds",
    "names": "columns",
}


def certificate_page(certificate: "Certificate") -> str:
    """The certificate as one HTML page: no request leaves it, text from outside is escaped.

    It opens from disk, offline, without scripts, and prints.

    >>> import numpy as np
    >>> from brenier.certify import audit_pairs
    >>> x = np.random.default_rng(0).normal(size=(50, 2))
    >>> "not asked" in certificate_page(audit_pairs(x, x + 1.0, budget=0.1))
    True
    """
    check_installed("report", "matplotlib")
    x, tx, names = certificate.samples["x"], certificate.samples["tx"], _names(certificate)
    figure = Figures(names, Plane.of(x, tx, names=names) if x.shape[1] > 1 else None)
    sections = [
        _head(certificate),
        _verdicts(certificate),
        interval_section(certificate, figure),
        map_section(certificate, figure),
        asymmetry_section(certificate, figure),
        clouds_section(certificate, figure),
        growth_section(certificate, figure),
        _table(certificate),
        ring_section(certificate, figure),
        _how(certificate),
        section("Definitions", _file("definitions.html")),
    ]
    return html_page(_title(certificate), "\n".join(sections))


def certificate_summary(certificate: "Certificate") -> str:
    """The verdicts, the interval and the table as HTML for a notebook, light or dark.

    Without matplotlib there is no picture of the interval.

    >>> import numpy as np
    >>> from brenier.certify import audit_pairs
    >>> x = np.random.default_rng(0).normal(size=(50, 2))
    >>> "<svg" in certificate_summary(audit_pairs(x, x + 1.0, budget=0.1))
    True
    """
    drawn = ""
    if is_installed("matplotlib"):
        figure = figure_of(interval_axes(certificate.defect, certificate.how.get("tolerance")))
        drawn = svg_text(figure, "the certified interval of what is wasted")
    table = f"<details><summary>All numbers</summary>{_numbers(certificate)}</details>"
    return html_fragment(_verdicts(certificate) + drawn + table)


def _file(name: str) -> str:
    return importlib.resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _names(c: "Certificate") -> list[str]:
    """The columns' own names where the certificate knows them, else x₁, x₂ and so on."""
    d = c.samples["x"].shape[1]
    names = c.how.get("names")
    known = isinstance(names, list | tuple) and len(names) == d
    return column_names(d, names if known else None)


def _title(c: "Certificate") -> str:
    """What was audited, by the data's own names where they are known."""
    files = c.how.get("files")
    if not isinstance(files, Mapping) or not files:
        return f"Audit of a transport map: {c.how.get('map', 'map')}"
    own = files.get("map") or files.get("pairs") or c.how.get("map", "map")
    pair = [str(files[role]) for role in ("source", "target") if files.get(role)]
    return f"Audit of {own}" + (f": {' to '.join(pair)}" if pair else "")


def _head(c: "Certificate") -> str:
    facts = [
        f"dimension {c.samples['x'].shape[1]:,}",
        f"{count(c.how.get('source_points', c.defect.n))} points of the source",
    ]
    if c.how.get("target_points") is not None:
        facts.append(f"{count(c.how['target_points'])} of the target")
    if c.weighting is not None:
        pair = (("source", c.weighting.source), ("target", c.weighting.target))
        facts += [
            f"by weight {count(round(own.effective))} effective points of the {name}"
            for name, own in pair
            if own is not None
        ]
    facts.append(f"intervals at {100 * c.defect.level:g} %")
    files, names = c.how.get("files"), ""
    if isinstance(files, Mapping) and files:
        pairs = (f"{escaped(role)}: <code>{escaped(name)}</code>" for role, name in files.items())
        names = f'<p class="facts">{"; ".join(pairs)}</p>'
    return (
        f'<header><p class="kind">Audit certificate</p><h1>{escaped(_title(c))}</h1>'
        f'<p class="facts">{" · ".join(facts)}</p>{names}</header>'
    )


def _verdicts(c: "Certificate") -> str:
    cards = []
    for question, answer, reason in c.rows()[:2]:
        kind, mark = _MARKS.get(answer, ("none", "–"))
        cards.append(
            f'<div class="verdict {kind}"><p class="question">{question}</p>'
            f'<p class="answer"><span class="mark" aria-hidden="true">{mark}</span> '
            f"{escaped(answer[:1].upper() + answer[1:])}</p><p>{sentence(reason)}</p></div>"
        )
    return f'<section class="verdicts" aria-label="Verdicts">{"".join(cards)}</section>'


def _table(c: "Certificate") -> str:
    return section("The certificate in numbers", _numbers(c))


def _numbers(c: "Certificate") -> str:
    rows = [
        (
            f'<span class="sub">{prose(question.strip())}</span>'
            if question.startswith(" ")
            else prose(question),
            prose(answer),
            prose(remark),
        )
        for question, answer, remark in c.rows()
    ]
    return html_table([("question", "answer", "remark"), *rows])


def _how(c: "Certificate") -> str:
    rows = [
        (escaped(_LABELS.get(name, name)), _said(name, value))
        for name, value in {**c.how, "compiling": c.compiling}.items()
    ]
    return section("How it was computed", html_table(rows, head=False, kind="how"))


def _said(name: str, value: Any) -> str:
    """A value of ``how``; the tolerance in per cent, as everywhere on the page."""
    if name == "tolerance" and isinstance(value, float):
        return f"{100 * value:g}\u00a0%"
    return listed(value)
