"""A figure of candidates that were compared: a bar each, with its error."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from brenier.report._figure import BAR, BLUE, GREY, INK, new_axes, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@runtime_checkable
class Candidate(Protocol):
    """What a row of a table of candidates tells: ``MongeMap.candidates_`` has such rows.

    >>> class Row:
    ...     name, summary, dual, stderr, chosen = "affine", "", 2.0, 0.1, True
    >>> isinstance(Row(), Candidate)
    True
    """

    @property
    def name(self) -> str:
        """Of its kind."""

    @property
    def summary(self) -> str:
        """Its settings in a few words."""

    @property
    def dual(self) -> float:
        """J on held-out points, the lower the better; NaN for none."""

    @property
    def stderr(self) -> float:
        """Of its difference to the chosen one."""

    @property
    def chosen(self) -> bool:
        """Whether it was chosen."""


def plot_candidates(rows: Sequence[Candidate], *, ax: "Axes | None" = None) -> "Axes":
    """How far each candidate's held-out J lies above the chosen one's, with its standard error.

    The first row on top. A candidate far above the others is cut off, its bar says by how much.

    Args:
        rows: as ``MongeMap.candidates_``; one of them was chosen.
        ax: where it is drawn; axes of a new figure where None.

    Raises:
        ValueError: no row was chosen.

    >>> from types import SimpleNamespace as Row
    >>> affine = Row(name="affine", summary="", dual=2.3, stderr=0.02, chosen=False)
    >>> bent = Row(name="bent", summary="8 pieces", dual=2.0, stderr=0.0, chosen=True)
    >>> axes = plot_candidates([affine, bent])
    >>> [round(float(bar.get_width()), 3) for bar in axes.patches]
    [0.3, 0.0]
    """
    best = next((place for place, row in enumerate(rows) if row.chosen), None)
    if best is None:
        raise ValueError(f"rows: got {len(rows)} rows of which none was chosen; wants one.")
    axes = plain(new_axes(5.6, 0.9 + 0.34 * len(rows)) if ax is None else ax)
    places = range(len(rows))
    lengths = [_finite(row.dual - rows[best].dual) for row in rows]
    errors = [_finite(row.stderr) for row in rows]
    right = _right(lengths, errors)
    axes.barh(
        places, lengths, height=0.62, color=[BLUE if place == best else BAR for place in places]
    )
    drawn = [place for place in places if errors[place] > 0 and lengths[place] <= right]
    axes.errorbar(
        [lengths[place] for place in drawn],
        drawn,
        xerr=[errors[place] for place in drawn],
        fmt="none",
        ecolor=INK,
        elinewidth=1.0,
        capsize=2.5,
    )
    for place, row in enumerate(rows):
        beyond = lengths[place] > right
        axes.annotate(
            f"{lengths[place]:.2g} →  {row.summary}" if beyond else row.summary,
            (right if beyond else max(lengths[place], 0.0) + errors[place], place),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=BLUE if place == best else GREY,
        )
    axes.set_yticks(places, [row.name for row in rows], fontsize=10, color=INK)
    axes.get_yticklabels()[best].set_fontweight("bold")
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    least = min([0.0, *(a - b for a, b in zip(lengths, errors, strict=True) if a < 0.0)])
    axes.set_xlim(1.1 * least, 1.75 * right)  # room to the right for the settings
    axes.set_xlabel("J on held-out points, above the chosen one")
    return axes


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def _right(lengths: Sequence[float], errors: Sequence[float]) -> float:
    """The longest bar that is drawn whole: one of ten times the others' would flatten them."""
    ends = sorted(a + b for a, b in zip(lengths, errors, strict=True))
    most = ends[-1]
    if len(ends) > 2 and most > 10.0 * ends[-2] > 0.0:
        most = 1.2 * ends[-2]
    return most if most > 0.0 else 1.0
