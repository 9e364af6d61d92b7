"""Fences bare ``>>>`` examples, which Markdown would take for quotations of quotations."""

import re
from collections.abc import Iterator

from markdown import Extension, Markdown
from markdown.preprocessors import Preprocessor

_FENCE = re.compile(r"\s*(```+|~~~+)")


class DocstringExamples(Extension):
    """A Markdown extension, so that it serves pages and docstrings alike."""

    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802
        """Before the fences of SuperFences (25) are read, and blanks normalised (30) are."""
        md.preprocessors.register(_Fences(md), "docstring_examples", 27)


class _Fences(Preprocessor):
    def run(self, lines: list[str]) -> list[str]:
        return list(fenced(lines))


def fenced(lines: list[str]) -> Iterator[str]:
    """The lines, with each run of examples between fences. What is fenced already is left.

    >>> print("\\n".join(fenced([">>> 1 + 1", "2", "", ">>> 3", "3", "", "Text."])))
    ```pycon
    >>> 1 + 1
    2
    <BLANKLINE>
    >>> 3
    3
    ```
    <BLANKLINE>
    Text.
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
