"""What the site needs beyond its plugins, in the order in which MkDocs calls it."""

import json
import re
import unicodedata
from pathlib import Path

from citations import Citations, references_page
from command_pages import commands_page
from docstrings import Docstrings
from equations import Equations, with_anchors
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

# What citations lead to: works, chapters and sections of the theory, reference problems.
_CITED = re.compile(r'id="((?:ref|chapter|section|problem)-[\w-]+)"')
# Formulas in a line, and those that stand alone; what TeX calls a letter or a sign.
_FORMULA = re.compile(r"\\\((.*?)\\\)|\\\[.*?\\\]", re.DOTALL)
_NAMED = re.compile(r"\\([a-zA-Z]+) ?|[{}$]|\\.")
_PAGES = {"references.md": references_page, "api/commands.md": commands_page}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Extensions of Markdown are handed to pages and, by mkdocstrings, to docstrings."""
    config.markdown_extensions += [Docstrings(), Citations(), Equations()]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Pages that are written when the site is built."""
    for path, write in _PAGES.items():
        files.append(File.generated(config, path, content=write()))
    return files


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Equations and references are what links lead to: their anchors are made known."""
    anchors = _CITED.findall(html)
    if page.file.src_uri.startswith("theory/"):
        html, numbered = with_anchors(html)
        anchors += numbered
    for anchor in anchors:
        config.plugins["autorefs"].register_anchor(page, anchor, primary=True)
    return html


@event_priority(-100)  # when the search has written it
def on_post_build(config: MkDocsConfig) -> None:
    """The index of the search is shown as text: no TeX stands in it."""
    path = Path(config.site_dir, "search", "search_index.json")
    index = json.loads(path.read_text(encoding="utf-8"))
    for section in index["docs"]:
        section["text"] = _FORMULA.sub(_as_text, section["text"])
    path.write_text(json.dumps(index, ensure_ascii=False), encoding="utf-8")


def _as_text(formula: re.Match[str]) -> str:
    return "…" if formula[1] is None else _NAMED.sub(_letter, formula[1])


def _letter(name: re.Match[str]) -> str:
    """A Greek letter by its name; of other names nothing."""
    word = name[1] or ""
    size = "CAPITAL" if word[:1].isupper() else "SMALL"
    try:
        return unicodedata.lookup(f"GREEK {size} LETTER {word}")
    except KeyError:
        return ""
