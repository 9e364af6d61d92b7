"""Numbered equations of the theory pages, and the citations that lead to them.

On a theory page ``$$ ... \\tag{5.4} $$`` is an equation with the anchor ``eq-5-4``. "Theory (5.4)",
"(5.4)" in any page or docstring leads to it. "Theory, P1", "Theory, chapter 5" and
"Theory, section 6.6" lead to the problem, the chapter and the section.
"""

import re
from functools import cache
from pathlib import Path

from citations import Linked
from markdown import Extension, Markdown

THEORY = Path(__file__).parents[1] / "theory"

TAG = r"\\tag\{(\d\.\d+b?)\}"
EQUATION = r"\((?P<number>[1-6]\.\d+b?)\)"
# "Theory, D3", "Theory, chapter 6", "Theory, section 6.6".
PLACE = (
    r"Theory,\s+(?:(?P<problem>[A-Z][A-Z0-9]+)\b|chapters?\s+(?P<chapter>\d)"
    r"|section\s+(?P<section>\d\.\d))"
)
_SHOWN = re.compile(r'<div class="arithmatex">(?P<body>.*?)</div>', re.DOTALL)


@cache
def numbers() -> frozenset[str]:
    """The numbers of all equations on the theory pages."""
    return frozenset(re.findall(TAG, _text()))


@cache
def places() -> frozenset[str]:
    """Anchors of the headings that may be cited: chapters, sections, reference problems."""
    return frozenset(re.findall(r"\{#((?:chapter|section|problem)-[\w-]+)\}", _text()))


def _text() -> str:
    return "\n".join(path.read_text() for path in sorted(THEORY.glob("*.md")))


def identifier(number: str) -> str:
    """The anchor of an equation.

    >>> identifier("5.2b")
    'eq-5-2b'
    """
    return f"eq-{number.replace('.', '-')}"


def place(match: re.Match) -> str:
    """The anchor of a place that is cited.

    >>> place(re.search(PLACE, "compare Theory, section 6.6"))
    'section-6-6'
    """
    kind, name = next((kind, name) for kind, name in match.groupdict().items() if name)
    return f"{kind}-{name.replace('.', '-')}"


def with_anchors(html: str) -> tuple[str, list[str]]:
    """Displayed formulas with their numbers beside them, and the anchors that this makes."""
    anchors: list[str] = []

    def numbered(match: re.Match) -> str:
        tags = re.findall(TAG, match["body"])
        if not tags:
            return match[0]
        (number,) = tags
        anchors.append(identifier(number))
        body = re.sub(rf"\s*{TAG}", "", match["body"])
        return (
            f'<div class="equation" id="{anchors[-1]}"><div class="arithmatex">{body}</div>'
            f'<a class="equation-number" href="#{anchors[-1]}">({number})</a></div>'
        )

    return _SHOWN.sub(numbered, html), anchors


class Equations(Extension):
    """A Markdown extension: numbers of equations in pages and docstrings become links."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802
        """After code (190) and links (160) were taken out of the text."""
        md.inlinePatterns.register(Linked(EQUATION, md, _equation), "equation_number", 74)
        md.inlinePatterns.register(Linked(PLACE, md, _known_place), "theory_place", 73)


def _equation(match: re.Match) -> str | None:
    return identifier(match["number"]) if match["number"] in numbers() else None


def _known_place(match: re.Match) -> str | None:
    return place(match) if place(match) in places() else None
