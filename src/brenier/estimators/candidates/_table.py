"""What a fit chose from, as a table."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import shorten
from typing import Any, NamedTuple, overload

# Digits behind the point: standard errors of J in standard coordinates are seldom below them ...
_DIGITS = 4
# ... but of J so large, as that of a map which is far off.
_LARGE = 1e5
# Letters of an error, at most, in a table.
_LETTERS = 48
_HEADER = ("candidate", "held-out J", "above chosen", "seconds", "settings")
# Its columns that hold numbers, which stand to the right.
NUMBERS = (1, 2, 3)


class _Words(NamedTuple):
    """What is said of a kind of map, with its settings filled in: in a table, and in a sentence."""

    settings: str
    sentence: str


_WORDS = {
    "gaussian": _Words("", "affine: nothing that bends was better on held-out points"),
    "separable": _Words("{axes}, {blocks} blocks", "one monotone map for every {axis}"),
    "entropic": _Words(
        "ε {epsilon:.3g}, {share:.0%} affine", "entropic at ε = {epsilon:.3g}, {share:.0%} affine"
    ),
    "log-sum-exp": _Words("{pieces} pieces", "a soft maximum of {pieces} affine pieces"),
    "ridges": _Words("{pieces} hinges", "a sum of {pieces} soft hinges"),
    "one-shot": _Words(
        "{ratio:.3g} of the rule's ε", "Sinkhorn's flow at {ratio:.3g} of the rule's ε"
    ),
    "network": _Words("{steps} steps", "an input-convex network"),
    "method": _Words("by {method}", "an input-convex network by {method}"),
    "combination": _Words("{parts}", "a combination, {parts}"),
}
# What is behind the name of a kind of map that is fitted the way back.
REVERSED = ", reversed"
_ONLY_AFFINE = "affine: no other kind was tried"
_TOO_FEW = "affine: too few points to hold any out"
_AXES = {
    "columns": {"axes": "by column", "axis": "column"},
    "standard": {"axes": "after the affine map", "axis": "coordinate after the affine map"},
}


@dataclass(frozen=True)
class CandidateRow:
    """One kind of map, at the best of its settings.

    Attributes:
        name: "gaussian", "separable", "entropic", "log-sum-exp", "ridges", "one-shot" (of a
            ``Generator``), "network", or "combination" of those.
        settings: what was best within the kind; of a combination, the weights.
        dual: J on held-out points, in standard coordinates: lower is better, and J less its
            minimum bounds the map's error from both sides. NaN where none could be held out.
        stderr: of its difference to the row that was chosen.
        seconds: that its trials took.
        chosen: whether this is the map.
        error: why the kind failed; "" where it did not.
    """

    name: str
    settings: Mapping[str, Any]
    dual: float
    stderr: float
    seconds: float
    chosen: bool
    error: str = ""

    @property
    def summary(self) -> str:
        """The settings in a few words, or why the kind failed.

        >>> CandidateRow("entropic", {"epsilon": 0.01, "share": 0.05}, 2.0, 0.1, 0.3, True).summary
        'ε 0.01, 5% affine'
        """
        if self.error:
            return f"failed: {shorten(self.error, _LETTERS, placeholder=' ...')}"
        if not self.settings:  # it was interrupted before its first trial
            return ""
        return self._words.settings.format(**self._filled)

    @property
    def sentence(self) -> str:
        """What kind of map this is."""
        kind = self._words.sentence.format(**self._filled)
        return f"the inverse of {kind}" if self.name.endswith(REVERSED) else kind

    @property
    def _words(self) -> _Words:
        kind = self.name.removesuffix(REVERSED)
        return _WORDS["method" if "method" in self.settings else kind]

    @property
    def _filled(self) -> dict[str, Any]:
        if self.name == "combination":
            parts = sorted(self.settings.items(), key=lambda part: -part[1])
            return {"parts": " + ".join(f"{weight:.0%} {name}" for name, weight in parts)}
        return {**self.settings, **_AXES.get(self.settings.get("axes", ""), {})}

    def to_dict(self) -> dict[str, Any]:
        """The row as plain JSON; numbers that are none are None."""
        known = {
            name: value if math.isfinite(value) else None
            for name, value in (("dual", self.dual), ("stderr", self.stderr))
        }
        return {
            "name": self.name,
            "settings": dict(self.settings),
            **known,
            "seconds": self.seconds,
            "chosen": self.chosen,
            "error": self.error,
        }


@dataclass(frozen=True, repr=False)
class CandidateTable(Sequence[CandidateRow]):
    """The candidates of a fit, cheapest first; printed as a table.

    Args:
        rows: what was tried.
        untried: the kinds that the seconds of a fit, or an interruption, left out.

    >>> gaussian = CandidateRow("gaussian", {}, 2.2, 0.03, 0.01, False)
    >>> ridges = CandidateRow("ridges", {"pieces": 8}, 2.0, 0.0, 0.3, True)
    >>> CandidateTable((gaussian, ridges))
    candidate  held-out J     above chosen  seconds  settings
    gaussian       2.2000  0.2000 ± 0.0300      0.0
    ridges *       2.0000                       0.3  8 hinges
    """

    rows: tuple[CandidateRow, ...]
    untried: tuple[str, ...] = ()

    @overload
    def __getitem__(self, index: int) -> CandidateRow: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[CandidateRow, ...]: ...
    def __getitem__(self, index: int | slice) -> CandidateRow | tuple[CandidateRow, ...]:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[CandidateRow]:
        return iter(self.rows)

    @property
    def chosen(self) -> CandidateRow:
        """The row whose map it is."""
        return next(row for row in self.rows if row.chosen)

    @property
    def sentence(self) -> str:
        """The chosen kind of map in one line."""
        own = self.chosen.sentence
        if self.chosen.name == "gaussian" and len(self.rows) == 1:
            own = _TOO_FEW if math.isnan(self.chosen.dual) else _ONLY_AFFINE
        if not self.untried:
            return own
        return f"{own} (it ended before these were tried: {', '.join(self.untried)})"

    def above(self, row: CandidateRow) -> float:
        """J of a row less that of the chosen one; NaN where it has none."""
        return row.dual - self.chosen.dual

    def to_list(self) -> list[dict[str, Any]]:
        """The rows as plain JSON."""
        return [row.to_dict() for row in self.rows]

    def to_words(self) -> list[tuple[str, ...]]:
        """What is printed: the names of the columns, then the words of every row."""
        return [_HEADER, *(self._row(row) for row in self.rows)]

    def _row(self, row: CandidateRow) -> tuple[str, ...]:
        above = "" if row.chosen else f"{_number(self.above(row))} ± {_number(row.stderr)}"
        return (
            f"{row.name} *" if row.chosen else row.name,
            _number(row.dual),
            above if math.isfinite(row.dual) else "",
            f"{row.seconds:.1f}",
            row.summary,
        )

    def __repr__(self) -> str:
        lines = self.to_words()
        widths = [max(len(line[i]) for line in lines) for i in range(len(_HEADER))]
        return "\n".join(
            "  ".join(
                text.rjust(width) if i in NUMBERS else text.ljust(width)
                for i, (text, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        )


def _number(value: float) -> str:
    if math.isnan(value):
        return ""
    return f"{value:.{_DIGITS}f}" if abs(value) < _LARGE else f"{value:.3g}"
