"""Plots of maps, marginals and candidates: what is drawn, where, on whose axes."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from brenier.report import (
    Plane,
    new_figure,
    plot_candidates,
    plot_map,
    plot_marginals,
    png_bytes,
    svg_text,
)

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(300, 2))
MATRIX = np.array([[2.0, 0.5], [0.5, 1.0]])


def row(name, dual, stderr=0.0, chosen=False, summary=""):
    return SimpleNamespace(name=name, summary=summary, dual=dual, stderr=stderr, chosen=chosen)


def labelled(axes):
    return {line.get_label(): line for line in axes.lines if line.get_label()[0] != "_"}


def test_arrows_go_from_points_to_their_images():
    axes = plot_map(X, X @ MATRIX, names=["height", "weight"])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("height", "weight")
    start, end = (line.get_xydata() for line in labelled(axes).values())
    np.testing.assert_allclose(end, start @ MATRIX, atol=1e-12)
    (arrows,) = axes.collections
    np.testing.assert_allclose(np.c_[arrows.U, arrows.V], end - start)
    assert axes.get_aspect() == 1.0


def test_the_grid_is_the_image_of_straight_lines_which_a_linear_map_keeps_straight():
    axes = plot_map(X, X @ MATRIX)
    grid = [line.get_xydata() for line in axes.lines if line.get_label()[0] == "_"]
    assert len(grid) == 30
    for line in grid:
        back = line[np.isfinite(line[:, 0])] @ np.linalg.inv(MATRIX)
        assert np.ptp(back, axis=0).min(initial=0.0) < 1e-12


@pytest.mark.parametrize(
    "x",
    [
        np.zeros((1, 2)),
        np.ones((5, 2)),
        np.arange(10.0)[:, None] * [1.0, 2.0],
        np.zeros((4, 3)),
        np.zeros((1, 1)),
        np.arange(6).reshape(3, 2),
        RANDOM.normal(size=(30, 2)) * [1.0, 1e-9],
    ],
    ids=["point", "points", "line", "space", "number", "integers", "flat"],
)
def test_points_without_a_shape_are_drawn_too(x):
    png_bytes(plot_map(x, 2 * x).get_figure())
    png_bytes(plot_marginals(x, 2 * x, x)[0].get_figure())


def test_the_graph_of_a_map_of_the_line():
    x = np.sort(RANDOM.normal(size=(50, 1)), axis=0)
    axes = plot_map(x, x**3, names=["height"])
    np.testing.assert_allclose(labelled(axes)["T(x)"].get_xydata(), np.c_[x, x**3], atol=1e-12)
    assert axes.get_ylabel() == "image of height"


def test_above_two_dimensions_the_leading_components_are_seen():
    scales = np.array([0.1, 3.0, 0.1, 1.0])
    x = RANDOM.normal(size=(2000, 4)) * scales
    axes = plot_map(x, x)
    assert axes.get_xlabel() == "component 1 (90 % of the variance)"
    plane = Plane.of(x, x)
    # Standard errors of the directions are some 1/√2000 times ratios of scales.
    np.testing.assert_allclose(np.abs(plane.directions), np.eye(4)[:, [1, 3]], atol=0.1)


def test_histograms_have_the_mass_of_one_and_shared_bins():
    drawn = plot_marginals(X, X + 5.0, X[:100] + 5.0, names=["a", "b"])
    for axes, name in zip(drawn, ["a", "b"], strict=True):
        assert axes.get_title() == name
        steps = [patch.get_data() for patch in axes.patches]
        assert len(steps) == 3
        for step in steps:
            np.testing.assert_array_equal(step.edges, steps[0].edges)
            assert np.sum(step.values * np.diff(step.edges)) == pytest.approx(1.0)


def test_all_draw_on_the_axes_they_are_given():
    figure = new_figure(6.0, 2.0)
    left, right, last = (figure.add_subplot(1, 3, i + 1) for i in range(3))
    assert plot_map(X, X, ax=left) is left
    assert list(plot_marginals(X, X, ax=right)) == [right]
    assert plot_candidates([row("affine", 2.0, chosen=True)], ax=last) is last
    assert figure.axes == [left, right, last]


def test_bars_are_as_long_as_they_should_be_and_failures_have_none():
    rows = [row("a", 2.4, 0.1), row("b", np.nan, np.nan), row("c", 2.0, chosen=True)]
    axes = plot_candidates(rows)
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([0.4, 0.0, 0.0])
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b", "c"]
    assert axes.yaxis_inverted()
    png_bytes(axes.get_figure())
    png_bytes(plot_candidates(rows[2:]).get_figure())
    far = plot_candidates([row("far", 1e6), *rows])
    assert far.get_xlim()[1] < 2.0
    assert far.texts[0].get_text().startswith("1e+06")


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"moved: got shape \(2, 2\) beside source of \(300, 2\)"):
        plot_map(X, X[:2])
    with pytest.raises(ValueError, match=r"names: got 3; wants 2, one a column"):
        plot_map(X, X, names=["a", "b", "c"])
    with pytest.raises(ValueError, match=r"got dimensions \[1, 2\]"):
        plot_marginals(X, X, X[:, :1])
    with pytest.raises(ValueError, match=r"rows: got 1 rows of which none was chosen"):
        plot_candidates([row("affine", 2.0)])


def test_an_svg_is_the_same_again_in_the_colours_of_its_page_and_escaped():
    first, second = (svg_text(plot_map(X, X, names=["<b>", "c"]).get_figure(), '"<') for _ in "ab")
    assert first == second
    assert "<b>" not in first
    assert first.startswith('<svg role="img" aria-label="&quot;&lt;"')
    assert "var(--ink, #222222)" in first
    assert not re.search(r"(?<!, )#[0-9a-f]{6}", first)
    assert "<metadata" not in first


@pytest.mark.parametrize("plot", [plot_map, plot_marginals])
def test_what_is_no_points_is_named(plot):
    x = np.zeros((5, 2))
    for bad, message in ((object(), "moved: "), (x[:0], "moved: got shape"), (x + np.nan, "NaN")):
        with pytest.raises(ValueError, match=message):
            plot(x, bad)
