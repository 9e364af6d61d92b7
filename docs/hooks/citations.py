"""Citations: "Amos (2023)", "Chen et al., 2010" and "KRCO22" lead to the one bibliography."""

import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from xml.etree.ElementTree import Element

import pybtex.errors
from markdown import Extension, Markdown
from markdown.inlinepatterns import InlineProcessor
from pybtex.backends.html import Backend
from pybtex.database import BibliographyData, Entry, parse_file
from pybtex.richtext import Text
from pybtex.style.formatting.unsrt import Style

BIBLIOGRAPHY = Path(__file__).parents[1] / "references.bib"

_NAME = r"[A-ZÀ-Ž][\w’'-]+"
_AND = r",?\s+(?:and|&)\s+"
# Names, then a year: "A (2023)", "A, B, C (2016)", "A, B & C, 2010", "A et al. 2020".
AUTHORS_AND_YEAR = (
    rf"(?P<authors>{_NAME}(?:(?:{_AND}|,\s+){_NAME})*(?:,?\s+et\s+al\.?)?)"
    r",?\s+\(?(?P<year>(?:19|20)\d\d)(?![\d.])\)?"
)
# The papers that brenier implements, by the initials of their authors and the year.
KEY = r"\b(?P<key>[A-Z][A-Za-z]{1,4}[0-9]{2})\b"


@dataclass(frozen=True)
class Bibliography:
    """``references.bib``, looked up by key and by authors and year."""

    data: BibliographyData

    @classmethod
    @cache
    def read(cls, path: Path = BIBLIOGRAPHY) -> "Bibliography":
        """Strictly: an entry that BibTeX would warn of is an error."""
        pybtex.errors.set_strict_mode(True)
        return cls(parse_file(str(path), bib_format="bibtex"))

    @property
    def keys(self) -> set[str]:
        """The keys of all entries."""
        return set(self.data.entries)

    def find(self, authors: str, year: str) -> str | None:
        """The key of the entry whose first author, and all others named, are these."""
        names = [_plain(name) for name in re.findall(_NAME, authors.replace("et al", ""))]
        found = {
            str(key): len(_known(names, _surnames(entry)))
            for key, entry in self.data.entries.items()
            if entry.fields["year"] == year
        }
        best = max(found, key=found.__getitem__, default=None)
        return best if best is not None and found[best] else None

    def html(self) -> Iterator[tuple[str, str]]:
        """Key and formatted entry, by the first author's surname."""
        formatted = Style(sorting_style="author_year_title").format_bibliography(self.data)
        for entry in formatted:
            yield entry.key, entry.text.render(Backend())


def citations(text: str) -> Iterator[tuple[str, str | None]]:
    """What ``text`` cites, as written, and the key that it leads to: None if to nothing."""
    bibliography = Bibliography.read()
    for match in re.finditer(AUTHORS_AND_YEAR, text):
        yield " ".join(match[0].split()), bibliography.find(match["authors"], match["year"])
    for match in re.finditer(KEY, text):
        if match["key"] in bibliography.keys:
            yield match["key"], match["key"]


def references_page() -> str:
    """The page "References", in HTML that Markdown leaves as it is."""
    items = "\n".join(
        f'<li id="ref-{key}" class="reference">{_shown(key)}{_linked(text)}</li>'
        for key, text in Bibliography.read().html()
    )
    return (
        "# References\n\nEvery work that a docstring or a page cites, from `docs/references.bib`. "
        "Five are cited by key: those whose results brenier implements.\n\n"
        f'<ul class="references">\n{items}\n</ul>\n'
    )


class Citations(Extension):
    """A Markdown extension: citations in pages and docstrings become links."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802
        """After code (190) and links (160) were taken out of the text."""
        md.inlinePatterns.register(Linked(AUTHORS_AND_YEAR, md, _cited), "authors_year", 76)
        md.inlinePatterns.register(Linked(KEY, md, _keyed), "citation_key", 75)


class Linked(InlineProcessor):
    """What a pattern finds becomes a link where ``anchor`` of the match is one.

    mkdocs-autorefs resolves it from any page; strict builds fail where it cannot.
    """

    ANCESTOR_EXCLUDES = ("a", "autoref")

    def __init__(self, pattern: str, md: Markdown, anchor: Callable[[re.Match], str | None]):
        super().__init__(pattern, md)
        self._anchor = anchor

    def handleMatch(self, m, data):  # noqa: N802
        anchor = self._anchor(m)
        if anchor is None:
            return None, None, None
        element = Element("autoref", {"identifier": anchor})
        element.text = m[0]
        return element, m.start(0), m.end(0)


def _cited(match: re.Match) -> str | None:
    key = Bibliography.read().find(match["authors"], match["year"])
    return None if key is None else f"ref-{key}"


def _keyed(match: re.Match) -> str | None:
    return f"ref-{match['key']}" if match["key"] in Bibliography.read().keys else None


def _known(names: list[str], surnames: list[str]) -> list[str]:
    """The names from the first author on, if they are authors all; "SOAP, Vyas" begins at Vyas."""
    known = names[names.index(surnames[0]) :] if surnames[0] in names else []
    return known if set(known) <= set(surnames) else []


def _surnames(entry: Entry) -> list[str]:
    return [
        _plain(str(Text.from_latex(" ".join(person.last_names))))
        for person in entry.persons["author"]
    ]


def _plain(name: str) -> str:
    """Without accents and case: as it may be written in a docstring."""
    bare = unicodedata.normalize("NFKD", name)
    return "".join(c for c in bare if not unicodedata.combining(c)).lower()


def _shown(key: str) -> str:
    """Keys by which a docstring cites; the others are the file's own."""
    return f'<span class="reference-key">{key}</span> ' if re.fullmatch(KEY, key) else ""


def _linked(html: str) -> str:
    """Addresses of papers open; nothing is fetched from them to show the page."""
    return html.replace("<a href=", '<a rel="noopener" href=')
