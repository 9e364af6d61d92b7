"""The site as a reader sees it: built strictly, whole, without a network, in a browser."""

import doctest
import functools
import html
import http.server
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("mkdocs", reason="mkdocs is not installed: pip install 'brenier[docs]'")
pytest.importorskip("pybtex", reason="pybtex is not installed: pip install 'brenier[docs]'")

import markdown

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs" / "hooks"))

import docstrings  # noqa: E402
import equations  # noqa: E402
from docstrings import Docstrings, fenced  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ROOMS = sorted(path.stem for path in (ROOT / "docs" / "rooms").glob("*.md"))


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The folder that BRENIER_SITE names, as ``.ci/run`` does, or one built for the tests."""
    if "BRENIER_SITE" in os.environ:
        return ROOT / os.environ["BRENIER_SITE"]
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert built.returncode == 0, built.stderr
    return folder


def test_examples_become_code():
    shown = markdown.markdown(
        "Text:\n>>> 1 + 1\n2\n\n>>> 3\n3\n\nAfter.",
        extensions=["pymdownx.superfences", Docstrings()],
    )
    assert "<blockquote>" not in shown
    assert shown.count("<pre") == 1
    assert shown.endswith("<p>After.</p>")


@pytest.mark.parametrize("hook", [docstrings, equations])
def test_examples_of_the_hooks_hold(hook):
    found = doctest.testmod(hook)
    assert found.attempted > 0
    assert found.failed == 0


def test_examples_that_are_fenced_stay_as_they_are():
    page = ["```pycon", ">>> 1", "1", "```", "~~~", ">>> 2", "~~~"]
    assert list(fenced(page)) == page


@pytest.mark.parametrize(
    "formula", ["∇_W F(μ)(y) = E_x", "∇[log ρ − log det DT](x)", "∇φ* and u* = sup", "a_i b_j c_i"]
)
def test_formulas_of_docstrings_keep_their_signs(formula):
    shown = markdown.markdown(
        formula,
        extensions=["pymdownx.betterem", Docstrings()],
        extension_configs={"pymdownx.betterem": {"smart_enable": "all"}},
    )
    assert shown == f"<p>{formula}</p>"


@pytest.mark.slow
def test_the_site_is_whole(site):
    """One test: building takes longer than all that is looked at."""
    pages = {str(path.relative_to(site)): path.read_text() for path in site.rglob("*.html")}
    for name, page in pages.items():
        assert "<blockquote>" not in page or "&gt;&gt;&gt;" not in page, name
        _assert_nothing_comes_from_elsewhere(name, page)
    for room in ROOMS:
        _assert_every_name_is_there(room, pages[f"rooms/{room}.html"])
    _assert_every_command_is_there(pages["api/commands.html"])
    assert (site / "search" / "search_index.js").exists()
    assert (site / "assets" / "katex" / "LICENSE").exists()
    assert sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) < 25e6


def _assert_nothing_comes_from_elsewhere(name: str, page: str) -> None:
    """What is loaded to show a page; where a reader may go is another matter."""
    loaded = re.findall(r"<(?:script|img|iframe|source)[^>]*\bsrc=[\"']?([^\"' >]+)", page)
    loaded += re.findall(r"<link[^>]*\bhref=[\"']?([^\"' >]+)", page)
    assert not [address for address in loaded if re.match(r"(https?:)?//", address)], name


def _assert_every_name_is_there(room: str, page: str) -> None:
    module = importlib.import_module(f"brenier.{room}")
    shown = {anchor.split(".")[-1] for anchor in re.findall(r'id="(brenier\.[\w.]+)"', page)}
    said = set(re.findall(r"<code>(\w+)</code>", page))  # constants without a heading
    missing = {n for n in module.__all__ if n not in shown and not (n.isupper() and n in said)}
    assert not missing, f"rooms/{room}.html lacks {missing}"


def _assert_every_command_is_there(page: str) -> None:
    """What the page of the command line speaks of, and lines that typer did not cut."""
    guide = (ROOT / "docs" / "command-line.md").read_text()
    named = set(re.findall(r"`brenier ((?:ddpm )?[a-z]+)", guide))
    assert {"fit", "audit", "reproduce", "ddpm train"} <= named
    assert {name for name in named if f"<code>brenier {name}</code>" not in page} == set()
    assert "...</li>" not in page


def test_every_room_has_its_page():
    rooms = {path.parent.name for path in (ROOT / "src" / "brenier").glob("*/__init__.py")}
    assert rooms - {"cli"} == set(ROOMS)


def test_every_page_is_in_the_menu():
    config = (ROOT / "mkdocs.yml").read_text()
    listed = set(re.findall(r"[\w/-]+\.md", config[config.index("\nnav:") :]))
    pages = {str(p.relative_to(ROOT / "docs")) for p in (ROOT / "docs").rglob("*.md")}
    assert pages <= listed


PROBE = """<!doctype html><title>probe</title><body><script>
const pages = PAGES, seen = [];
async function look(page, width) {
  const frame = document.createElement("iframe");
  frame.style = `width:${width}px;height:900px;border:0`;
  frame.src = page;
  document.body.append(frame);
  await new Promise((done) => { frame.onload = done; });
  await new Promise((done) => setTimeout(done, 50));
  const inside = frame.contentDocument, root = inside.documentElement;
  seen.push({page, width, wide: root.scrollWidth - root.clientWidth,
    raw: [...inside.querySelectorAll(".arithmatex")]
      .filter((formula) => !formula.querySelector(".katex")).length,
    errors: inside.querySelectorAll(".katex-error").length,
    alt: [...inside.images].filter((image) => !image.alt).length});
  frame.remove();
}
(async () => {
  for (const page of pages) for (const width of [360, 1440]) await look(page, width);
  document.body.textContent = JSON.stringify(seen);
})();
</script>"""


@pytest.fixture
def address(site) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(site))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed: no browser to look with")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_every_page(site, address, scheme, tmp_path):
    """No error on the console, nothing beyond the sides at 360 and 1440 px, all formulas set."""
    pages = [str(p.relative_to(site)) for p in sorted(site.rglob("*.html")) if p.name != "404.html"]
    (site / "probe.html").write_text(PROBE.replace("PAGES", json.dumps(pages)))
    dark = ["--blink-settings=preferredColorScheme=0"] if scheme == "dark" else []
    ran = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--window-size=1500,1000",
         f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr", "--v=0", *dark,
         "--virtual-time-budget=600000", "--dump-dom", f"{address}/probe.html"],
        capture_output=True, text=True, timeout=580, check=True,
    )  # fmt: skip
    (site / "probe.html").unlink()
    assert "CONSOLE" not in ran.stderr, ran.stderr
    seen = json.loads(html.unescape(re.search(r"\[\{.*\}\]", ran.stdout)[0]))
    assert {look["page"] for look in seen} == set(pages)
    assert not [s for s in seen if s["wide"] > 0 or s["raw"] or s["errors"] or s["alt"]]
