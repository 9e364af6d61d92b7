"""The certificate's page: what it says, what it escapes, and that it needs nothing else."""

import dataclasses
import errno
import functools
import math
import os
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from brenier.certify import (
    Asymmetry,
    Bound,
    Certificate,
    Core,
    Cost,
    Cycle,
    Defect,
    Growth,
    Monotonicity,
    Ring,
    Share,
    TargetTests,
    Verdict,
)
from brenier.certify.page import _page, certificate_page, plot_certificate
from brenier.report import new_figure

EVIL = "<script>alert(1)</script>"
CORE = Core(
    lower=0.13,
    upper=0.19,
    outside=0.004,
    mass=0.996,
    rows=100,
    rows_outside=1,
    gap=1.0,
    reach=2.0,
    potential="log-sum-exp, 60 pieces",
    mean_gap=0.18,
    gap_stderr=0.006,
    wasted=Share(0.3, 0.42),
    wasted_beyond_shift=Share(0.33, 0.5),
    of_spread=0.1,
)
DEFECT = Defect(
    lower=0.15,
    upper=0.19,
    core=CORE,
    level=0.95,
    relative_lower=0.43,
    relative_upper=0.73,
    matched=0.16,
    matched_stderr=0.005,
    gap=0.18,
    gap_stderr=0.006,
    potential="log-sum-exp, 60 pieces",
    n=200,
    points_moved=190,
    growth=(Growth(12, 16, 0.07), Growth(50, 4, 0.13), Growth(200, 1, 0.16)),
    estimate=0.185,
    lowered=False,
    digits_lost=False,
    one_shift=False,
    cycle=Cycle(np.eye(3), np.eye(3)[[1, 2, 0]], 6.0, 1e-15),
    bounds=(Bound("D", "lower", 0.15, "exact", "cheaper permutations"),),
)
TARGET_TESTS = TargetTests(
    energy_distance=0.001,
    effect=0.0005,
    effect_upper=0.002,
    p_value=0.6,
    sliced_w2=0.04,
    sliced_w2_floor=0.05,
    stein_p_value=math.nan,
    kl=math.nan,
    kl_stderr=math.nan,
    tested=200,
    feature_p_value=0.4,
    feature="spread of column 3 of 3",
    feature_difference=-0.1,
    feature_tested=200,
    axis_distance=0.03,
    axis_distance_upper=0.2,
    axis="column 2 of 3",
    axis_tested=200,
    axis_points=12_000,
)
NOTHING = dataclasses.replace(
    DEFECT,
    core=None,
    cycle=None,
    bounds=(),
    lower=0.0,
    upper=2e-16,
    relative_lower=0.0,
    relative_upper=0.0,
    matched=0.0,
    matched_stderr=0.0,
    gap=1e-16,
    gap_stderr=1e-17,
    points_moved=0,
    growth=(Growth(40, 1, 0.0),),
    estimate=math.nan,
    n=40,
)


def certificate(d: int = 3, n: int = 200) -> Certificate:
    """Every section is there: a turn of the first two coordinates, with a ring about a point."""
    random = np.random.default_rng(0)
    x = random.normal(size=(n, d))
    tx = x.copy()
    if d > 1:
        tx[:, :2] = x[:, :2] @ [[0.95, 0.3], [-0.3, 0.95]]
    values = random.uniform(0.1, 0.3, n)
    theta = 2 * np.pi * np.arange(12)[:, None] / 12
    ring = np.zeros((12, d))
    ring[:, : min(d, 2)] = np.hstack([np.cos(theta), np.sin(theta)])[:, : min(d, 2)]
    return Certificate(
        cost=Cost(0.45, 0.01),
        defect=DEFECT,
        asymmetry=Asymmetry(
            mean=0.2,
            max=0.3,
            argmax=tuple(x[0].tolist()),
            quantiles=(0.2, 0.28, 0.3),
            negative_share=0.0,
            n=n,
            step=1e-5,
            error=1e-10,
            visible=True,
            points=x,
            values=values,
        ),
        monotonicity=Monotonicity(0.9, 0.0, 1e-4, 1000, 190),
        ring=Ring(
            k=12,
            threshold=10.0,
            relative_saving=1e-5,
            saving=2e-4,
            noise=1e-16,
            proven=True,
            centre=tuple([0.0] * d),
            radius=1.0,
            points=ring,
            images=np.roll(ring, 1, axis=0),
        ),
        pushforward=TARGET_TESTS,
        truth=None,
        verdict=Verdict("not optimal", "reached", "a ring says so", "no difference found"),
        how={
            "map": "function",
            "dimension": d,
            "source_points": n,
            "target_points": n,
            "key": [0, 7],
            "tolerance": 0.01,
            "seconds": 1.5,
            "versions": {"brenier": "0.1.0"},
        },
        samples={"x": x, "tx": tx, "y": random.normal(size=(n, d))},
    )


def without_map(d: int = 2) -> Certificate:
    return dataclasses.replace(certificate(d), asymmetry=None, ring=None)


def without_target() -> Certificate:
    whole = certificate(2)
    return dataclasses.replace(
        whole,
        pushforward=None,
        verdict=Verdict("undecided", None, "who knows", None),
        samples={name: whole.samples[name] for name in ("x", "tx")},
    )


def unbounded() -> Certificate:
    wide = dataclasses.replace(DEFECT, core=None, upper=math.inf, relative_upper=math.inf)
    return dataclasses.replace(certificate(2), defect=wide)


def identity(d: int = 2) -> Certificate:
    small = certificate(d, n=40)
    return dataclasses.replace(
        small,
        cost=Cost(0.0, 0.0),
        defect=NOTHING,
        ring=None,
        asymmetry=dataclasses.replace(
            small.asymmetry,
            mean=0.0,
            max=0.0,
            quantiles=(0.0, 0.0, 0.0),
            step=0.0,
            error=0.0,
            visible=False,
            values=np.zeros(40),
        ),
        verdict=Verdict("optimal", "not reached", "nothing is cheaper", "they differ"),
        samples={**small.samples, "tx": small.samples["x"]},
    )


def constant() -> Certificate:
    whole = identity()
    zero = np.zeros((40, 2))
    return dataclasses.replace(whole, samples={"x": zero, "tx": zero, "y": zero})


def unproven_ring() -> Certificate:
    whole = certificate(2)
    return dataclasses.replace(whole, ring=dataclasses.replace(whole.ring, proven=False))


CASES = {
    "line": lambda: certificate(1),
    "plane": lambda: certificate(2),
    "many": lambda: certificate(50),
    "pairs": without_map,
    "pairs on a line": lambda: without_map(1),
    "no target": without_target,
    "unbounded": unbounded,
    "identity": identity,
    "identity on a line": lambda: identity(1),
    "constant": constant,
    "unproven": unproven_ring,
}


@functools.cache
def page_of(name: str) -> str:
    """Drawn once for all tests that only read it."""
    return certificate_page(CASES[name]())


class Loads(HTMLParser):
    """Everything that a page's elements point to, and its text outside of scripts."""

    def __init__(self):
        super().__init__()
        self.targets, self.scripts, self.text, self.inside, self.labels = [], 0, "", "", []

    def handle_starttag(self, tag, attrs):
        self.targets += [v for k, v in attrs if k in ("src", "href", "srcset", "data", "action")]
        self.scripts += tag == "script"
        self.labels += [v for k, v in attrs if tag == "svg" and k == "aria-label"]
        self.inside = tag if tag in ("script", "style") else self.inside

    def handle_endtag(self, tag):
        self.inside = "" if tag == self.inside else self.inside

    def handle_data(self, data):
        self.text += "" if self.inside else data


def read(page: str) -> Loads:
    loads = Loads()
    loads.feed(page)
    return loads


@pytest.mark.daily("many", "no target", "identity", "pairs")
@pytest.mark.parametrize("name", CASES)
def test_every_case_is_small_loads_nothing_and_says_its_figures_in_words(name):
    page = page_of(name)
    loads = read(page)
    assert loads.targets == ["data:,"]
    assert loads.scripts == 0
    assert "default-src 'none'" in page[:1000]
    assert "url(" not in page[: page.index("</style>")]
    assert len(page.encode()) < 1_000_000
    captions = re.findall(r"Figure (\d+)\.", loads.text)
    assert captions == [str(i + 1) for i in range(page.count("<svg"))]
    assert [label.partition(":")[0] for label in loads.labels] == [f"Figure {n}" for n in captions]
    # A name that stands twice would draw one figure's parts in another.
    names = re.findall(r' id="([^"]*)"', page)
    assert len(names) == len(set(names))


def test_the_pages_colours_are_those_of_its_theme():
    page = certificate_page(certificate())
    drawn = page[page.index("<body>") :]
    found = set(re.findall(r"(?<!, )#[0-9a-f]{6}", drawn))
    # Of shades alone, which are seen on white and on black.
    assert found == {"#8fa9bd", "#b07aa1"}


def test_what_is_but_rounding_is_a_sentence_and_no_figure():
    for name, words in {
        "identity": (
            "Nothing is wasted, up to rounding",
            "T moves no point",
            "larger than rounding and differences",
            "saves anything beyond rounding",
        ),
        "identity on a line": ("Nothing is wasted", "T moves no point"),
    }.items():
        page = read(page_of(name))
        assert all(word in page.text for word in words)
    labels = read(page_of("identity")).labels
    assert [label.partition(",")[0] for label in labels] == ["Figure 1: Source", "Figure 2: Source"]


@pytest.mark.slow
def test_no_formula_sheet_is_cited_and_no_bar_ends_a_line():
    for name in CASES:
        text = read(page_of(name)).text
        assert not re.search(r"MATH|\([56]\.\d", text)
    whole = certificate(2)
    tests = dataclasses.replace(TARGET_TESTS, kl=0.1, kl_stderr=0.01)
    text = read(certificate_page(dataclasses.replace(whole, pushforward=tests))).text
    assert "KL(T#μ\u00a0|\u00a0ν)" in text


def test_the_datas_own_names_are_the_pages():
    whole = certificate(3)
    names = ["height", "weight", "age"]
    files = {"map": "m.brenier", "source": "before.csv", "target": "after.csv"}
    how = {**whole.how, "names": names, "files": files}
    page = certificate_page(dataclasses.replace(whole, how=how))
    text = read(page).text
    assert "Audit of m.brenier: before.csv to after.csv" in text
    assert all(f">{name}</text>" in page for name in names)


def test_the_verdicts_come_first_in_words():
    text = read(certificate_page(certificate())).text
    places = [
        text.index(word)
        for word in (
            "Not optimal",
            "A ring says so.",
            "Reached",
            "No difference found.",
            "How much of its cost is wasted",
            "Proof that it is not exactly optimal",
            "The map",
            "Asymmetry",
            "Source, image, target",
            "What the tests of the target may miss",
            "Growth",
            "in numbers",
            "The ring",
            "How it was computed",
            "Definitions",
        )
    ]
    assert places == sorted(places)
    assert "estimate and bounds nothing" in text
    undecided = read(page_of("no target")).text
    assert "Undecided" in undecided
    assert "Not asked" in undecided
    assert "there are no derivatives" in read(page_of("pairs")).text
    assert "No potential gave an upper bound" in read(page_of("unbounded")).text


def test_what_the_tests_of_the_target_may_miss_is_said():
    """Beside the clouds; of dependence only where there are two columns, of nothing untested."""
    missed = {
        name: read(certificate_page(CASES[name]())).text.replace("\u00a0", " ")
        for name in ("plane", "line", "no target")
    }
    assert "a dependence between columns that none of these directions shows" in missed["plane"]
    assert "a mode of about 1 % of the mass" in missed["plane"]
    assert "spread of column 3 of 3, smaller in the images" in missed["plane"]
    assert "a mode of about 1 % of the mass" in missed["line"]
    assert "dependence between columns" not in missed["line"]
    assert "may miss" not in missed["no target"]


@pytest.mark.parametrize("d", [1, 2, 3])
def test_text_from_outside_is_escaped(d):
    whole = certificate(d)
    how = {**whole.how, "map": EVIL, "names": [EVIL] * d, "files": {EVIL: EVIL}, EVIL: [EVIL]}
    whole = dataclasses.replace(
        whole,
        how=how,
        verdict=Verdict(EVIL, EVIL, EVIL, EVIL),
        defect=dataclasses.replace(
            DEFECT,
            potential=EVIL,
            core=dataclasses.replace(CORE, potential=EVIL),
            bounds=(Bound(EVIL, "lower", 0.15, EVIL, EVIL),),
        ),
    )
    page = certificate_page(whole)
    assert EVIL not in page
    assert read(page).scripts == 0
    assert "&lt;script&gt;alert(1)" in page[page.index("<svg") :]


def drawn_bars(case):
    """Where the bars of the interval begin and end, from above."""
    lines = plot_certificate(case).lines
    return [line.get_xdata() for line in lines if line.get_linewidth() == 6]


def test_the_bars_are_shares_of_what_is_moved():
    # All that is moved, then what is moved beyond one common shift.
    np.testing.assert_allclose(drawn_bars(certificate(2)), [[30.0, 42.0], [33.0, 50.0]])
    # Without a core from the bounds of D / W₂²: r / (1 + r).
    np.testing.assert_allclose(drawn_bars(unbounded()), [[100 * 0.43 / 1.43, 100.0]])
    np.testing.assert_allclose(drawn_bars(identity()), [[0.0, 0.0]])
    # D ≤ p W₂² is q ≤ p / (1 + p).
    (dashed,) = plot_certificate(certificate(2)).collections
    pieces = np.array([piece[:, 0] for piece in dashed.get_segments()])
    np.testing.assert_allclose(pieces, 1.0 / 1.01)


def test_the_figure_says_the_verdicts_on_the_axes_it_is_given():
    axes = new_figure(4.0, 2.0).add_subplot()
    assert plot_certificate(certificate(2), ax=axes) is axes
    assert axes.get_title(loc="left") == "not optimal; target reached"


def test_a_notebook_shows_the_verdicts_the_interval_and_the_table():
    pytest.importorskip("matplotlib")
    shown = read(certificate()._repr_html_())
    assert "Not optimal" in shown.text
    assert "cheaper permutations of batches" in shown.text
    assert len(shown.labels) == 1
    assert (shown.targets, shown.scripts) == ([], 0)


def test_a_notebook_without_matplotlib_shows_all_but_the_figure(monkeypatch):
    monkeypatch.setattr(_page, "is_installed", lambda package: package != "matplotlib")
    shown = read(certificate()._repr_html_())
    assert "cheaper permutations of batches" in shown.text
    assert shown.labels == []


def test_the_ring_can_be_checked_from_the_page():
    page = certificate_page(certificate(3))
    lines = re.search(r'<pre class="data" tabindex="0">(.*?)</pre>', page, re.DOTALL)[
        1
    ].splitlines()
    x, t = np.split(np.loadtxt(lines, delimiter=",", skiprows=1), 2, axis=1)
    ring = certificate(3).ring
    np.testing.assert_array_equal(x, ring.points)
    np.testing.assert_array_equal(t, ring.images)
    saving = 2 * np.sum((x - x.mean(axis=0)) * (np.roll(t, -1, axis=0) - t))
    kept, shifted = (np.sum((x - images) ** 2) for images in (t, np.roll(t, -1, axis=0)))
    assert saving == pytest.approx(kept - shifted)


def test_high_dimensions_are_seen_in_components_and_named_columns():
    whole = certificate(50)
    names = [f"column {i}" for i in range(50)]
    page = certificate_page(dataclasses.replace(whole, how={**whole.how, "names": names}))
    assert page.count(">component 1 (") == 3  # the map, the asymmetry, the clouds
    assert ">column 11</text>" in page
    assert ">column 12</text>" not in page
    assert "the first 12 of 50 columns" in page


@pytest.mark.slow
def test_equal_certificates_make_equal_pages_that_to_html_writes(tmp_path):
    assert certificate().to_html(tmp_path / "page.html") is None  # a notebook would print it
    page = certificate().to_html()
    assert page == certificate_page(certificate())
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    place = tmp_path / "page.html"
    place.write_text("the page of yesterday")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        certificate().to_html(place)
    assert place.read_text() == "the page of yesterday"
    assert list(tmp_path.iterdir()) == [place]


def test_columns_that_have_names_are_called_by_them():
    found = certificate().with_names(["age", "BMI", "height"])
    text = str(found)
    assert "spread of column 'height', smaller in the images" in " ".join(text.split())
    assert "all columns at once: column 'BMI'" in " ".join(text.split())
    assert "of 3" not in text
    assert found.how["names"] == ["age", "BMI", "height"]
    assert without_target().with_names(["a", "b", "c"]).pushforward is None


def test_a_printed_table_is_a_hundred_columns_wide_and_loses_no_word():
    whole = dataclasses.replace(certificate(), verdict=Verdict("optimal", None, "word " * 60, None))
    text = str(whole)
    assert max(map(len, text.splitlines())) <= 100
    assert text.count("word") == 60


def test_permutations_are_of_batches_and_the_time_is_in_two_parts():
    text = str(dataclasses.replace(certificate(), compiling=0.7))
    assert "190 of 200 points moved, in batches of up to 200" in " ".join(text.split())
    assert "1.5" in text.splitlines()[-1]
    assert "of which JAX compiled for 0.7" in text.splitlines()[-1]


def test_shares_are_per_cent_and_the_lower_bound_names_its_source():
    core = Bound("D on the core", "lower", 0.13, "declared: x", "cheaper permutations and orbits")
    share = Bound("wasted share beyond one common shift", "lower", 0.0000512, "exact", "savings")
    whole = certificate()
    whole = dataclasses.replace(whole, defect=dataclasses.replace(DEFECT, bounds=(core, share)))
    text = read(certificate_page(whole)).text.replace("\u00a0", " ")
    assert "Lower: cheaper permutations and orbits." in text
    assert "≥ 0.00512 %" in text
    assert "5.12e-05" not in text


@pytest.mark.slow
def test_a_ring_beside_the_verdict_optimal_is_no_contradiction():
    text = read(certificate_page(certificate())).text
    assert "not exactly optimal, and what it wastes" not in text
    whole = certificate()
    whole = dataclasses.replace(
        whole,
        verdict=Verdict("optimal", None, "within 1 %", None),
        how={**whole.how, "tolerance": 0.01},
    )
    text = read(certificate_page(whole)).text
    assert "not exactly optimal, and what it wastes lies between the bounds above" in text


def test_nothing_is_drawn_over_the_words_of_the_interval():
    axes = plot_certificate(certificate())
    figure = axes.get_figure()
    figure.canvas.draw()
    words = [text.get_window_extent() for text in axes.texts]
    pieces = [
        axes.transData.transform(segment)
        for lines in axes.collections
        for segment in lines.get_segments()
    ]
    assert pieces
    for word in words:
        for (x, low), (_, high) in pieces:
            assert not (word.x0 < x < word.x1 and low < word.y1 and high > word.y0)
