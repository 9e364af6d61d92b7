"""Plain docstrings as Markdown: ``>>>`` examples are fenced, and formulas keep their signs.

Markdown would take ``>>>`` for a quotation within quotations, the indices of ``∇_W F(μ)(y) = E_x``
for emphasis, and ``∇[log ρ − log det DT](x)`` for a link.
"""

import re
from collections.abc import Iterator

from markdown import Extension, Markdown
from markdown.inlinepatterns import InlineProcessor
from markdown.preprocessors import Preprocessor

# "[...](x)": no file, no anchor and no site.
_NO_ADDRESS = r"\[[^\[\]]+\]\([^)./#:]*\)"
_FENCE = re.compile(r"\s*(```+|~~~+)")


class Docstrings(Extension):
    """A Markdown extension, so that it serves pages and docstrings alike."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802
        """Fences before SuperFences (25) and after blank lines (30), signs before links (160)."""
        md.preprocessors.register(_Fences(md), "docstring_examples", 27)
        md.inlinePatterns.register(_Literal(_NO_ADDRESS, md), "brackets_in_formulas", 165)
        md.inlinePatterns.register(_Literal("_", md), "indices_in_formulas", 61)


class _Literal(InlineProcessor):
    """What is matched stands as it is written."""

    def handleMatch(self, m, data):  # noqa: N802
        return m[0], m.start(0), m.end(0)


class _Fences(Preprocessor):
    def run(self, lines: list[str]) -> list[str]:
        return list(fenced(lines))


def fenced(lines: list[str]) -> Iterator[str]:
    """The lines, with each run of examples between fences. What is fenced already is left.

    >>> list(fenced([">>> 1 + 1", "2", "", "Text."]))
    ['', '```pycon', '>>> 1 + 1', '2', '```', '', '', 'Text.']
    """
    closing, i = "", 0
    while i < len(lines):
        fence = _FENCE.match(lines[i])
        if closing:
            closing = "" if lines[i].strip() == closing else closing
        elif fence:
            closing = fence[1]
        elif lines[i].lstrip().startswith(">>> "):
            end = _end(lines, i)
            yield from _block(lines[i:end])
            i = end
            continue
        yield lines[i]
        i += 1


def _end(lines: list[str], start: int) -> int:
    """An example ends at a blank line, if no further example follows it."""
    end = start
    while end < len(lines):
        if not lines[end].strip():
            after = end + 1
            if after == len(lines) or not lines[after].lstrip().startswith(">>> "):
                break
        end += 1
    return end


def _block(example: list[str]) -> Iterator[str]:
    indent = example[0][: len(example[0]) - len(example[0].lstrip())]
    yield from ("", f"{indent}```pycon", *example, f"{indent}```", "")
