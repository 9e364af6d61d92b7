"""A certificate as one HTML page that needs nothing else."""

import importlib.resources
import json
from collections.abc import Mapping
from string import Template
from typing import TYPE_CHECKING

from brenier.certify.page._figures import NumberedFigures, certificate_figures
from brenier.certify.page._markup import count, escaped, listed, prose, section, sentence
from brenier.certify.page._sections import (
    asymmetry_section,
    clouds_section,
    growth_section,
    interval_section,
    map_section,
    ring_section,
)
from brenier.certify.page._views import views_of

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
_SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")
# What the page calls the entries of ``Certificate.how``.
_LABELS = {
    "map": "map",
    "kind": "kind of map",
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

    It opens from disk, offline, and prints. Plotly's script, 5 MB, stands in it once.

    >>> import numpy as np
    >>> from brenier.certify import audit_pairs
    >>> x = np.random.default_rng(0).normal(size=(50, 2))
    >>> "not asked" in certificate_page(audit_pairs(x, x + 1.0, budget=0.1))
    True
    """
    from plotly.offline import get_plotlyjs  # slow to import: only where a page is written

    views = views_of(certificate.samples["x"], certificate.samples["tx"], _names(certificate))
    drawn = certificate_figures(certificate, views)
    figure = NumberedFigures(drawn, views)
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
    ]
    data = json.dumps(drawn, allow_nan=False, separators=(",", ":"))
    return Template(_file("certificate.html")).substitute(
        title=_title(certificate),
        style=_file("certificate.css"),
        body="\n".join(sections),
        figures=data.replace("<", "\\u003c"),
        plotly=get_plotlyjs(),
        script=_file("certificate.js"),
    )


def _file(name: str) -> str:
    return importlib.resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _names(c: "Certificate") -> list[str]:
    """The columns' own names where the certificate knows them, else x₁, x₂ and so on."""
    d = c.samples["x"].shape[1]
    names = c.how.get("names")
    if isinstance(names, list | tuple) and len(names) == d:
        return [str(name) for name in names]
    return ["x"] if d == 1 else [f"x{str(i + 1).translate(_SUBSCRIPTS)}" for i in range(d)]


def _title(c: "Certificate") -> str:
    return f"Audit of a transport map: {escaped(c.how.get('map', 'map'))}"


def _head(c: "Certificate") -> str:
    facts = [
        f"dimension {c.samples['x'].shape[1]:,}",
        f"{count(c.how.get('source_points', c.defect.n))} points of the source",
    ]
    if c.how.get("target_points") is not None:
        facts.append(f"{count(c.how['target_points'])} of the target")
    facts.append(f"intervals at {100 * c.defect.level:g} %")
    files, names = c.how.get("files"), ""
    if isinstance(files, Mapping) and files:
        pairs = (f"{escaped(role)}: <code>{escaped(name)}</code>" for role, name in files.items())
        names = f'<p class="facts">{"; ".join(pairs)}</p>'
    return (
        f'<header><p class="kind">Audit certificate</p><h1>{_title(c)}</h1>'
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
    rows = "".join(
        f'<tr><th scope="row"{" class=sub" * question.startswith(" ")}>{escaped(question.strip())}'
        f"</th><td>{prose(answer)}</td><td>{prose(remark)}</td></tr>"
        for question, answer, remark in c.rows()
    )
    return section(
        "The certificate in numbers",
        '<div class="wide"><table class="numbers">'
        "<thead><tr><th>question</th><th>answer</th><th>remark</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div>",
    )


def _how(c: "Certificate") -> str:
    rows = "".join(
        f'<tr><th scope="row">{escaped(_LABELS.get(name, name))}</th><td>{listed(value)}</td></tr>'
        for name, value in {**c.how, "compiling": c.compiling}.items()
    )
    return section(
        "How it was computed",
        f'<div class="wide"><table class="how"><tbody>{rows}</tbody></table></div>',
    )
