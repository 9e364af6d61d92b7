"""HTML pages that need nothing else: no script, no request, light and dark."""

import html
import importlib.resources
from collections.abc import Sequence
from string import Template
from typing import TYPE_CHECKING

from brenier.report._figure import svg_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" \
content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<title>$title</title>
<style>
$style</style>
</head>
<body>
<main>
$body
</main>
</body>
</html>
""")


def html_page(title: str, body: str) -> str:
    """One page: the title (text) and the body (HTML), in the house's style.

    >>> "<title>a &lt; b</title>" in html_page("a < b", "<p>Hello.</p>")
    True
    """
    style = importlib.resources.files(__package__).joinpath("page.css").read_text("utf-8")
    return _PAGE.substitute(title=html.escape(title), style=style, body=body)


# A notebook has its own theme, which no media query tells: its ink is taken, and tones that are
# seen on white and on black.
_FRAGMENT = """\
.brenier { --ink: currentColor; --soft: color-mix(in srgb, currentColor 75%, transparent);
  --rule: color-mix(in srgb, currentColor 25%, transparent); --faint: var(--rule);
  --red: #dd5345; --blue: #3c8dcc; --green: #2a9d5c; --amber: #b07d14;
  max-width: 48rem; font: 14px/1.5 system-ui, sans-serif; }
.brenier .verdicts { display: flex; flex-wrap: wrap; gap: .75rem; }
.brenier .verdict { flex: 1 1 15rem; border-left: 5px solid var(--tone); padding: .1rem .8rem; }
.brenier p { margin: .15rem 0; }
.brenier .answer { font-size: 1.4em; font-weight: 650; color: var(--tone); }
.brenier .good { --tone: var(--green); } .brenier .bad { --tone: var(--red); }
.brenier .open { --tone: var(--amber); } .brenier .none { --tone: var(--soft); }
.brenier svg { display: block; width: 100%; max-width: 40rem; height: auto; margin: .5rem 0; }
.brenier .wide { overflow-x: auto; }
.brenier table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
.brenier th, .brenier td { text-align: left; padding: .15rem .8rem .15rem 0;
  font-weight: 400; border-bottom: 1px solid var(--faint); background: none; }
.brenier .best { font-weight: 650; }
.brenier summary { cursor: pointer; margin: .4rem 0; }
"""


def html_fragment(body: str) -> str:
    """The body (HTML) as a notebook shows it, in the colours of its theme.

    >>> html_fragment("<p>Hello.</p>")[-27:]
    '</style><p>Hello.</p></div>'
    """
    return f'<div class="brenier"><style>{_FRAGMENT}</style>{body}</div>'


def html_figure(figure: "Figure", label: str, caption: str) -> str:
    """A figure with its caption (HTML); ``label`` says it to who sees none.

    >>> from brenier.report import new_figure
    >>> html_figure(new_figure(1.0, 1.0), "nothing", "Nothing.")[:16]
    '<figure><div cla'
    """
    return (
        f'<figure><div class="plot">{svg_text(figure, label)}</div>'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def html_table(lines: Sequence[Sequence[str]], *, head: bool = True, kind: str = "numbers") -> str:
    """A table of cells (HTML), the first of a line its name; the first line names the columns.

    >>> html_table([("a", "b"), ("1", "2")])[:40]
    '<div class="wide" tabindex="0"><table cl'
    """
    names = lines[0] if head else ()
    # Reached by keys, so that a wide one can be scrolled on a narrow screen.
    top = "".join(f'<th scope="col">{name}</th>' for name in names)
    rows = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>'
        for first, *rest in (lines[1:] if head else lines)
    )
    thead = f"<thead><tr>{top}</tr></thead>" if head else ""
    return (
        f'<div class="wide" tabindex="0"><table class="{kind}">{thead}<tbody>{rows}</tbody>'
        "</table></div>"
    )
