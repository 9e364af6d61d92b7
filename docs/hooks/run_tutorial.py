"""Runs one tutorial cell by cell: its page, and the pictures that it drew, into a folder.

    python docs/hooks/run_tutorial.py docs/tutorials/NAME.py FOLDER

A tutorial is a script in the percent format: ``# %% [markdown]`` starts text, ``# %%`` code. What
a cell prints stands under it, and so do the figures of pyplot that it made; ``# %% alt="..."`` says
what is seen on them. An animation that is a cell's last value becomes a GIF beside its last frame.
"""

import ast
import contextlib
import io
import re
import sys
import traceback
from pathlib import Path
from typing import Any, NamedTuple

_MARKER = re.compile(r"^# %%(.*)$", re.MULTILINE)
_ALT = re.compile(r'alt="([^"]*)"')
_DPI, _FRAMES_A_SECOND = 130, 12


class Cell(NamedTuple):
    """Of text or code; the line that its body begins at; what its figures show."""

    text: bool
    body: str
    line: int
    alt: str


class TutorialError(Exception):
    """A cell that failed: where, and the last line of why."""


def cells(script: str) -> list[Cell]:
    """The cells of a script in the percent format.

    >>> [cell.body for cell in cells('# %% [markdown]\\n# # Title\\n# %% alt="a line"\\nx = 1\\n')]
    ['# Title', 'x = 1']
    """
    markers = list(_MARKER.finditer(script))
    ends = [marker.start() for marker in markers[1:]] + [len(script)]
    found = []
    for marker, end in zip(markers, ends, strict=True):
        text = "[markdown]" in marker[1]
        body = script[marker.end() : end]
        line = script.count("\n", 0, marker.end()) + 1 + len(body) - len(body.lstrip("\n"))
        if text:
            body = re.sub(r"^# ?", "", body, flags=re.MULTILINE)
        alt = _ALT.search(marker[1])
        found.append(Cell(text, body.strip("\n"), line, alt[1] if alt else ""))
    return found


def page(script: Path, folder: Path) -> str:
    """The Markdown of a tutorial that ran; its pictures are written to the folder.

    Raises:
        TutorialError: a cell raised, or drew a figure without an ``alt``.
    """
    parts, names = [], {"__name__": "__main__"}
    for number, cell in enumerate(cells(script.read_text(encoding="utf-8")), start=1):
        if cell.text:
            parts.append(cell.body)
            continue
        parts.append(f"```python\n{cell.body}\n```")
        where = f"{script.name}, line {cell.line}"
        printed, value = _run(cell, names, script)
        if printed:
            parts.append(f'```text title="Printed"\n{printed.rstrip()}\n```')
        parts += _pictures(value, cell.alt, folder, f"{script.stem}-{number}", where)
    parts.append(f"[This page as a script]({script.name}){{ download }}")
    return "\n\n".join(parts) + "\n"


def _run(cell: Cell, names: dict[str, Any], script: Path) -> tuple[str, Any]:
    """What a cell prints, and the value of its last line where that is an expression."""
    printed, where = io.StringIO(), str(script)
    try:
        # Behind as many empty lines, lines are those of the script.
        tree = ast.parse("\n" * (cell.line - 1) + cell.body, where)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        with contextlib.redirect_stdout(printed):
            exec(compile(tree, where, "exec"), names)
            value = last and eval(compile(ast.Expression(last.value), where, "eval"), names)
    except Exception as error:
        reason = "".join(traceback.format_exception_only(error)).strip()
        raise TutorialError(f"{script.name}, line {cell.line}: {reason}") from error
    return printed.getvalue(), value


def _pictures(value: Any, alt: str, folder: Path, name: str, where: str) -> list[str]:
    """Markdown of the open figures, which are saved and closed."""
    import matplotlib.pyplot as plt
    from matplotlib.animation import Animation, PillowWriter

    figures = [plt.figure(number) for number in plt.get_fignums()]
    if figures and not alt:
        raise TutorialError(f'{where}: a figure without words; wants # %% alt="..." above.')
    shown = []
    for place, figure in enumerate(figures):
        file = f"{name}{'abcdefgh'[place]}" if len(figures) > 1 else name
        figure.savefig(folder / f"{file}.png", dpi=_DPI, facecolor="white")
        picture = f"![{alt}]({file}.png)"
        if isinstance(value, Animation):
            value.save(folder / f"{file}.gif", PillowWriter(fps=_FRAMES_A_SECOND), dpi=90)
            figure.savefig(folder / f"{file}.png", dpi=_DPI, facecolor="white")
            # Who asked for less motion sees the last frame.
            still = f'<source media="(prefers-reduced-motion: reduce)" srcset="{file}.png">'
            picture = f'<picture>{still}<img alt="{alt}" src="{file}.gif"></picture>'
        shown.append(picture)
    plt.close("all")
    return shown


def main(script: str, folder: str) -> None:
    """Run, and write ``page.md`` last: where it is, all is."""
    try:
        text = page(Path(script), Path(folder))
    except TutorialError as error:
        traceback.print_exception(error.__cause__)
        sys.exit(str(error))
    Path(folder, "page.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
