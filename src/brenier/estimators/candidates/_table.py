"""What a fit chose from, as a table."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload


@dataclass(frozen=True)
class CandidateRow:
    """One kind of map, at the best of its settings.

    Attributes:
        name: "gaussian", "separable", "entropic", "log-sum-exp", "ridges", "network", or
            "combination" of those.
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


@dataclass(frozen=True)
class CandidateTable(Sequence[CandidateRow]):
    """The candidates of a fit, cheapest first; printed as a table.

    >>> row = CandidateRow("gaussian", {}, 2.0, 0.0, 0.01, True)
    >>> print(CandidateTable((row,)))
    candidate      held-out J   +/-       seconds  settings
    gaussian    *  2            0         0.0
    """

    rows: tuple[CandidateRow, ...]

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
        return _SENTENCES[self.chosen.name].format(**_words(self.chosen))

    def to_list(self) -> list[dict[str, Any]]:
        """The rows as plain JSON."""
        return [row.to_dict() for row in self.rows]

    def __str__(self) -> str:
        lines = [("candidate", "", "held-out J", "+/-", "seconds", "settings")]
        for row in self.rows:
            settings = row.error or ", ".join(
                f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
                for name, value in row.settings.items()
            )
            mark = "*" if row.chosen else ""
            stderr = "" if math.isnan(row.stderr) else f"{row.stderr:.1g}"
            dual = "" if math.isnan(row.dual) else f"{row.dual:.5g}"
            lines.append((row.name, mark, dual, stderr, f"{row.seconds:.1f}", settings))
        widths = [max(len(line[i]) for line in lines) for i in range(4)]
        widths[2], widths[3] = max(widths[2], 11), max(widths[3], 8)
        return "\n".join(
            "  ".join(
                [
                    *(text.ljust(width) for text, width in zip(line, widths, strict=False)),
                    line[4].ljust(7),
                    line[5],
                ]
            ).rstrip()
            for line in lines
        )


_SENTENCES = {
    "gaussian": "affine: nothing that bends was better on held-out points",
    "separable": "one monotone map for each of the {axes}",
    "entropic": "entropic, blended with the affine map",
    "log-sum-exp": "a soft maximum of {pieces} affine pieces",
    "ridges": "a sum of {pieces} soft hinges",
    "network": "an input-convex network",
    "combination": "a combination of {parts}",
    "only": "affine: too few points to hold any out",
}


def _words(row: CandidateRow) -> dict[str, Any]:
    axes = {"columns": "columns", "standard": "coordinates after the affine map"}
    parts = (
        [f"{name} ({100 * weight:.0f} %)" for name, weight in row.settings.items()]
        if row.name == "combination"
        else []
    )
    return {
        "axes": axes.get(row.settings.get("axes", ""), ""),
        "pieces": row.settings.get("pieces"),
        "parts": ", ".join(parts),
    }
