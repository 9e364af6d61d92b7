"""Every page that brenier writes, seen in a browser: narrow and wide, light and dark, by keys."""

import base64
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest

from brenier import audit, audit_pairs
from brenier.cli import main

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, BROWSERS)), None)
pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="chromium is not installed: no browser to look at pages with"
)
_OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
]


# It hears at 3 and answers at 4, wherever the pipes are.
_BEGIN = """
import os, sys
kept = [os.dup(int(place)) for place in sys.argv[1:3]]
high = [os.dup2(place, 100 + i) for i, place in enumerate(kept)]
for i, place in enumerate(high):
    os.dup2(place, 3 + i)
os.execv(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """Chromium without a window, spoken to by two pipes in its DevTools protocol."""

    def __init__(self, folder: Path):
        commands, self.to = os.pipe()
        self.heard, answers = os.pipe()
        profile = f"--user-data-dir={folder}"
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-c",
                _BEGIN,
                str(commands),
                str(answers),
                BROWSER,
                *_OPTIONS,
                profile,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(commands, answers),
        )
        os.close(commands)
        os.close(answers)
        self.count, self.rest, self.told, self.session = 0, b"", [], {}
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = {"sessionId": attached["sessionId"]}
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)
        os.close(self.to)
        os.close(self.heard)

    def call(self, method: str, **parameters) -> dict:
        self.count += 1
        asked = {"id": self.count, "method": method, "params": parameters, **self.session}
        os.write(self.to, json.dumps(asked).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self.count:
                assert "error" not in answer, answer
                return answer["result"]
            self.told.append(answer)

    def open(self, page: Path, width: int, scheme: str) -> None:
        """The page at that width, in the light or in the dark."""
        self.told.clear()
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": True}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.call("Emulation.setEmulatedMedia", features=[feature])
        self.call("Page.navigate", url=page.as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.told):
            self.told.append(self._next())

    def value(self, expression: str):
        """Of an expression of JavaScript, which the page's own policy does not hinder."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def press_tab(self) -> None:
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key="Tab", windowsVirtualKeyCode=9)

    def picture(self, path: Path) -> None:
        shown = self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]
        path.write_bytes(base64.b64decode(shown))

    def _next(self) -> dict:
        while b"\0" not in self.rest:
            more = os.read(self.heard, 2**16)
            assert more, "the browser ended"
            self.rest += more
        one, _, self.rest = self.rest.partition(b"\0")
        return json.loads(one)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    opened = Browser(tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()


def _turned(x):
    """Not optimal: the first two columns are turned."""
    turned = np.array(x, np.float64)
    turned[:, :2] = turned[:, :2] @ [[0.9, 0.4], [-0.4, 0.9]]
    return turned


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A certificate with every section, one of pairs in many columns, and the page of a fit."""
    folder = tmp_path_factory.mktemp("pages")
    random = np.random.default_rng(0)
    x = pd.DataFrame(random.normal(size=(300, 3)), columns=["height", "weight", "a long name"])
    y = _turned(random.normal(size=(300, 3)))
    audit(_turned, x, y, key=jax.random.key(0), budget=0.5).to_html(folder / "map.html")
    z = random.normal(size=(200, 20))
    audit_pairs(z, 2.0 * z + 1.0, budget=0.5).to_html(folder / "pairs.html")
    for name, cloud in (("before.csv", x), ("after.csv", x**3 + 1.0)):
        pd.DataFrame(cloud).to_csv(folder / name, index=False)
    files = [str(folder / name) for name in ("before.csv", "after.csv", "m.brenier", "fit.html")]
    fit = ["fit", *files[:2], "-o", files[2], "--report", files[3], "--effort", "quick", "--json"]
    assert main(fit) == 0
    return folder


PAGES = pytest.mark.parametrize("page", ["map", "pairs", "fit"])
WIDTHS = pytest.mark.parametrize("width", [360, 1440])
SCHEMES = pytest.mark.parametrize("scheme", ["light", "dark"])

# Ratios of contrast below what WCAG 2.2 (1.4.3) asks: 4.5, and 3 for large letters.
_PALE = """(() => {
  const numbers = (colour) => (colour.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + [0.2126, 0.7152, 0.0722][i] * c, 0);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = numbers(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const pale = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const ink = numbers(element.closest("svg") ? style.fill : style.color);
    const both = [light(ink), light(ground(element))].sort((a, b) => b - a);
    const ratio = (both[0] + 0.05) / (both[1] + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) pale.push([element.textContent.slice(0, 40), ratio]);
  }
  return pale;
})()"""
# Letters of a figure that lie outside of it, and so are cut off.
_CUT = """[...document.querySelectorAll("svg text")].filter((text) => {
  const own = text.getBoundingClientRect(), all = text.closest("svg").getBoundingClientRect();
  return own.left < all.left - 1 || own.right > all.right + 1
    || own.top < all.top - 1 || own.bottom > all.bottom + 1;
}).map((text) => text.textContent)"""
_UNNAMED = """[...document.querySelectorAll("svg, img")].filter((picture) =>
  !(picture.tagName === "IMG" ? picture.alt : picture.getAttribute("aria-label"))).length"""
# What scrolls within the page, and what is opened by a click.
_WANTS_KEYS = """[...document.querySelectorAll("body *")].filter((element) =>
  element.tagName === "SUMMARY" || element.tagName === "A"
  || (["auto", "scroll"].includes(getComputedStyle(element).overflowX)
      && element.scrollWidth > element.clientWidth))"""


@PAGES
@WIDTHS
@SCHEMES
def test_a_page_fits_is_read_in_light_and_dark_and_says_its_pictures(
    page, width, scheme, pages, browser
):
    browser.open(pages / f"{page}.html", width, scheme)
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.value(_PALE) == []
    assert browser.value(_CUT) == []
    assert browser.value("document.querySelectorAll('svg').length") > 0
    assert browser.value(_UNNAMED) == 0
    assert browser.value("document.documentElement.lang") == "en"
    assert browser.value("document.querySelectorAll('h1').length") == 1
    dark = browser.value("getComputedStyle(document.documentElement).backgroundColor")
    assert dark == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 24, 28)"}[scheme]
    # Nothing is asked of the network, and nothing is complained of.
    asked = [e["params"]["request"]["url"] for e in browser.told if e["method"].endswith("BeSent")]
    assert {url.partition(":")[0] for url in asked} <= {"file", "data"}
    wrong = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
    assert [event for event in browser.told if event["method"] in wrong] == []


@PAGES
def test_all_that_scrolls_or_opens_is_reached_by_keys(page, pages, browser):
    browser.open(pages / f"{page}.html", 360, "light")
    browser.value("document.querySelectorAll('details').forEach((own) => { own.open = true; })")
    wanted = browser.value(f"(window.wanted = {_WANTS_KEYS}).length")
    reached = set()
    for _ in range(4 * wanted + 20):
        browser.press_tab()
        reached.add(browser.value("window.wanted.indexOf(document.activeElement)"))
    assert reached >= set(range(wanted))


def test_a_browser_that_ends_is_heard_of(tmp_path):
    opened = Browser(tmp_path)
    opened.process.kill()
    opened.process.wait()
    time.sleep(0.1)
    with pytest.raises((AssertionError, BrokenPipeError)):
        opened.value("1")
    os.close(opened.to)
    os.close(opened.heard)
