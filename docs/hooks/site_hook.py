"""What the site needs beyond its plugins, in the order in which MkDocs calls it."""

import re

from citations import Citations, references_page
from command_pages import commands_page
from docstrings import Docstrings
from equations import Equations, with_anchors
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

# What citations lead to: works, chapters and sections of the theory, reference problems.
_CITED = re.compile(r'id="((?:ref|chapter|section|problem)-[\w-]+)"')
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
