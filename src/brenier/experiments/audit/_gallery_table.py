"""The gallery's table, and its picture: an interval for every map."""

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from brenier.report import GREEN, INK, RED, new_figure, png_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Row = dict[str, Any]

_GREY, _AMBER, _PALE = "#7b8288", "#b9770e", "#eef0f2"
_INKS = {"optimal": GREEN, "not optimal": RED, "not exactly optimal": _AMBER}
# Inches: a line, a heading, and what is above and below the axes.
_LINE, _HEAD, _MARGINS = 0.27, 0.31, 0.9
# Shares below this are drawn on a linear scale, those above on a logarithmic one.
_LINEAR = 1e-3
_DIAMOND: dict[str, Any] = {
    "marker": "D", "color": "white", "mec": INK, "ms": 5, "mew": 1.1, "clip_on": False,
}  # fmt: skip
_LEFT = -0.57
_TICKS = (0.0, 1e-3, 1e-2, 1e-1, 1.0)
# Verdict, target, straightness and seconds, in widths of the axes; numbers end there.
_COLUMNS = (1.03, 1.345, 1.735, 1.86)

_LEGEND = """\
*Wasted*: the share of what the map moves beyond one common shift that a cheaper map to the same
image would save, between two bounds at 95 % together, outside a set of mass at most *outside*.
*Known*: its true value, of the whole law. *D*: the defect, between its bounds. *L2-UVP*: distance
from the Monge map, in per cent of the target's variance. *Assignment*: the share that the best
assignment of 2,000 pairs (900 digits) saves, in the mean below the truth. *Straightness*:
E∫‖(X₁ − X₀) − v(t, X_t)‖² dt, 0 where a flow goes straight. *CPU s*: of the audit, one thread.
"""


def markdown(rows: Sequence[Row]) -> str:
    """The table, a section a problem."""
    names = (
        "map", "n", "wasted, %", "known, %", "outside, %", "D", "known D", "optimal?",
        "target", "L2-UVP, %", "assignment, %", "straightness", "CPU s",
    )  # fmt: skip
    lines = [_LEGEND]
    for problem, own in _by_problem(rows):
        lines += [f"\n### {problem}\n", _line(names), _line(["---"] * len(names))]
        lines += [_line(_cells(row)) for row in own]
    return "\n".join(lines) + "\n"


def _by_problem(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    for problem, own in itertools.groupby(rows, key=lambda row: row["problem"]):
        yield problem, list(own)


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cells(row: Row) -> list[str]:
    upper = "∞" if row["upper"] is None else _number(row["upper"])
    # No "0 to": nothing looked for a lower bound.
    wasted, lower = "at most ", "at most "
    if row["verdict"] != "no bound":
        wasted, lower = f"{_percent(row['wasted_lower'])} to ", f"{_number(row['lower'])} to "
    return [
        row["map"],
        f"{row['n']:,}",
        wasted + _percent(row["wasted_upper"]),
        _percent(row["known_share"]),
        _percent(row["outside"]),
        lower + upper,
        _number(row["known"]),
        f"**{row['verdict']}**",
        row["target"] or "",
        "" if row["l2_uvp"] is None else f"{row['l2_uvp']:.2g}",
        _percent(row["saved_by_assignment"]),
        _number(row["straightness"]),
        f"{row['seconds']:.0f}",
    ]


def _percent(share: float | None) -> str:
    return "" if share is None else _number(100.0 * share)


def _number(value: float | None) -> str:
    """Two digits, three from 100 on; 0 for rounding."""
    if value is None:
        return ""
    return "0" if abs(value) < 5e-7 else f"{value:.3g}" if abs(value) >= 100 else f"{value:.2g}"


def gallery_figure(rows: Sequence[Row], tolerance: float) -> bytes:
    """Wasted shares as intervals, a line a map, with verdicts and seconds at the right."""
    groups = list(_by_problem(rows))
    height = _LINE * len(rows) + _HEAD * len(groups)
    figure = new_figure(10.0, height + _MARGINS)
    figure.set_layout_engine("none")
    axes = figure.add_axes((0.238, 0.6 / (height + _MARGINS), 0.40, height / (height + _MARGINS)))
    place, bands = 0.0, []
    for problem, own in groups:
        place += _HEAD
        bands.append((place - 0.5 * _HEAD, problem))
        for row in own:
            _draw(axes, row, place + 0.5 * _LINE)
            place += _LINE
    _frame(axes, place, bands, tolerance)
    return png_bytes(figure)


def _draw(axes: "Axes", row: Row, place: float) -> None:
    ink = _INKS.get(row["verdict"], _GREY)
    low, high = row["wasted_lower"], row["wasted_upper"]
    # Without a lower bound there is no interval: nothing looked for one.
    bounded = row["verdict"] != "no bound"
    style: dict[str, Any] = {"lw": 5.5, "alpha": 0.85} if bounded else {"lw": 1.0, "ls": ":"}
    axes.plot([low, high], [place, place], color=ink, solid_capstyle="butt", **style)
    for end in (low, high) if bounded else (high,):
        axes.plot([end, end], [place - 0.075, place + 0.075], color=ink, lw=1.4, clip_on=False)
    axes.plot(
        row["saved_by_assignment"], place, "|", color=INK, ms=7, mew=1.2, zorder=4, clip_on=False
    )
    if row["known_share"] is not None:
        axes.plot(row["known_share"], place, zorder=5, **_DIAMOND)
    across = axes.get_yaxis_transform()

    def write(at: float, text: str, side: str = "left", colour: str = INK) -> None:
        axes.text(
            at, place, text, transform=across, ha=side, va="center", fontsize=8.5, color=colour
        )

    write(-0.025, row["map"], "right")
    write(_COLUMNS[0], row["verdict"], colour=ink)
    target = row["target"] or ""
    write(_COLUMNS[1], target, colour=INK if target == "reached" else _GREY)
    if row["straightness"] is not None:
        write(_COLUMNS[2], f"{row['straightness']:.2g}", "right")
    write(_COLUMNS[3], f"{row['seconds']:.0f}", "right")


def _frame(axes: "Axes", depth: float, bands: list[tuple[float, str]], tolerance: float) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator

    axes.set_xscale("symlog", linthresh=_LINEAR, linscale=0.6)
    axes.set_xlim(0.0, 1.0)
    axes.set_ylim(depth + 0.04, 0.0)
    axes.xaxis.set_major_locator(FixedLocator(_TICKS))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels(["0", "0.1 %", "1 %", "10 %", "100 %"], fontsize=8.5, color=INK)
    axes.set_yticks([])
    axes.spines[["top", "left", "right"]].set_visible(False)
    axes.spines["bottom"].set_color(_GREY)
    axes.tick_params(color=_GREY)
    for tick in _TICKS:
        axes.axvline(tick, color="0.9", lw=0.7, zorder=0)
    axes.axvline(tolerance / (1.0 + tolerance), color=INK, lw=0.9, ls=(0, (4, 3)), zorder=1)
    across = axes.get_yaxis_transform()
    for place, name in bands:
        axes.fill_between(
            (_LEFT, _COLUMNS[3]), place - 0.4 * _HEAD, place + 0.4 * _HEAD, transform=across,
            color=_PALE, lw=0, zorder=0.5, clip_on=False,
        )  # fmt: skip
        axes.text(
            _LEFT + 0.01, place, name, transform=across, fontsize=8.5, weight="bold", va="center",
            color=INK,
        )  # fmt: skip
    heads = ("optimal?", "target", "straightness", "CPU s")
    for at, word, side in zip(_COLUMNS, heads, ("left", "left", "right", "right"), strict=True):
        axes.text(at, -0.05, word, transform=across, fontsize=8, color=_GREY, ha=side, va="bottom")
    axes.text(
        0.0, -0.05, "wasted share, beyond one common shift", transform=across, fontsize=8,
        color=_GREY, va="bottom",
    )  # fmt: skip
    _key(axes, tolerance)


def _key(axes: "Axes", tolerance: float) -> None:
    """What the marks are, under the axis."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    marks: list[Any] = [
        Patch(color=_GREY, label="between the bounds, 95 %, of the core"),
        Line2D([], [], color=_GREY, ls=":", label="no lower bound"),
        Line2D([], [], ls="", label="known value", **_DIAMOND),
        Line2D([], [], ls="", marker="|", color=INK, ms=8, mew=1.2, label="saved by assignment"),
        Line2D(
            [], [], color=INK, lw=0.9, ls=(0, (4, 3)), label=f"tolerance, {100 * tolerance:g} %"
        ),
    ]
    axes.legend(
        handles=marks, loc="upper left", bbox_to_anchor=(_LEFT, -0.055), ncols=5, frameon=False,
        fontsize=8, handlelength=1.6, columnspacing=1.6, borderpad=0.0,
    )  # fmt: skip
