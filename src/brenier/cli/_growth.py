"""What ``brenier fit`` says of weights and of growth, and where it writes growth."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from brenier._checks import check_positive
from brenier.cli._cell_choice import Choice, is_cells_file, rows_of_choice
from brenier.io import (
    Table,
    check_cells_output,
    check_output,
    load_growth,
    read_cells,
    write_cells,
    write_points,
)
from brenier.maps import EntropicGrowth

if TYPE_CHECKING:
    from brenier.cli._fit import Fit

_COLUMN = "growth"


def penalty_in(text: str | None) -> float | str | None:
    """What was written behind ``--unbalanced``.

    Raises:
        ValueError: neither a number above 0 nor cv.

    >>> penalty_in("2.5"), penalty_in("cv")
    (2.5, 'cv')
    """
    if text is None or text == "cv":
        return text
    try:
        return check_positive("--unbalanced", float(text))
    except ValueError:
        raise ValueError(
            f"--unbalanced: got {text!r}; wants a finite number above 0, or cv."
        ) from None


@dataclasses.dataclass(frozen=True)
class GrowthFiles:
    """Where the rows of source and target go, each with its growth; None for nowhere."""

    source: str | None = None
    target: str | None = None

    def checked(self, unbalanced: float | str | None, source: str) -> None:
        """A ``ValueError`` where nothing can be written there, or nothing is to be written."""
        for side, path in self._given():
            if unbalanced is None:
                raise ValueError(
                    f"--{side}-growth: got {path} without --unbalanced; wants both, or neither."
                )
            (check_cells_output if is_cells_file(source) else check_output)(path)

    def check_column(self, names: Sequence[str], file: str) -> None:
        """A ``ValueError`` where there is such a column already."""
        if (self.source or self.target) and _COLUMN in names:
            raise ValueError(
                f"{file}: got a column {_COLUMN!r} already; wants another name for it, or no file "
                "of growth."
            )

    def check_free(self, files: tuple[str, str]) -> None:
        """``check_column`` of ``obs`` in files of cells."""
        for side, _ in self._given():
            file = _of_side(side, files)
            self.check_column(list(read_cells(file, backed=True).obs.columns), file)

    def write_tables(self, fit: "Fit", tables: tuple[Table, Table]) -> None:
        """The tables that were fitted, with a column more."""
        for side, path in self._given():
            table, own = _of_side(side, tables), _of_side(side, fit.growth)
            names = None if table.names is None else (*table.names, _COLUMN)
            values = np.column_stack([table.values, own])
            write_points(path, values, dataclasses.replace(table, values=values, names=names))

    def write_cells(self, fit: "Fit", files: tuple[str, str], choice: Choice) -> None:
        """Copies of the cells that were fitted, with a column of ``obs`` more."""
        for side, path in self._given():
            file, value = _of_side(side, files), _of_side(side, (choice.source, choice.target))
            cells = read_cells(file)
            rows = rows_of_choice(cells, file, choice.condition, value)
            kept = (cells if rows is None else cells[rows]).copy()
            kept.obs[_COLUMN] = _of_side(side, fit.growth)
            write_cells(path, kept)

    def told(self) -> dict[str, str]:
        """Which files there are, for people."""
        return {f"growth of the {side}": path for side, path in self._given()}

    def _given(self) -> list[tuple[str, str]]:
        sides = (("source", self.source), ("target", self.target))
        return [(side, path) for side, path in sides if path is not None]


NO_FILES = GrowthFiles()


def growth_beside(map_file: str, weights: tuple[str | None, str | None]) -> EntropicGrowth | None:
    """What points count by under the map of a file; None of a balanced one.

    Raises:
        ValueError: weights that are this growth already, as ``write_tables`` wrote it.
    """
    growth = load_growth(map_file)
    if growth is None or growth.penalty is None:
        return None
    for side, column in zip(("source", "target"), weights, strict=True):
        if column == _COLUMN:
            raise ValueError(
                f"--{side}-weights: got {column} beside {map_file}, which holds the growth itself; "
                "wants no such weights, or --no-growth."
            )
    return growth


def weights_told(
    weights: tuple[str | None, str | None], effective: tuple[float, float]
) -> dict[str, Any]:
    """What a JSON object says of weights, where there are any."""
    if weights == (None, None):
        return {}
    return {
        "weights": {"source": weights[0], "target": weights[1]},
        "effective_rows": {"source": effective[0], "target": effective[1]},
    }


def weights_rows(
    weights: tuple[str | None, str | None], effective: tuple[float, float]
) -> dict[str, str]:
    """What people are told of weights, where there are any."""
    counts = zip(("source", "target"), weights, effective, strict=True)
    told = [f"{side} by {own}, {count:,.0f} effective rows" for side, own, count in counts if own]
    return {"weights": "; ".join(told)} if told else {}


def growth_told(fit: "Fit") -> dict[str, Any]:
    """What a JSON object says of growth, where the map may be unbalanced."""
    estimator = fit.estimator
    if estimator.unbalanced is None:
        return {}
    rows = estimator.penalties_
    source, target = (float((own < 0.5).mean()) for own in fit.growth)
    return {
        "unbalanced": {
            "asked": estimator.unbalanced,
            "penalty": fit.penalty,
            "tried": None if rows is None else [row._asdict() for row in rows],
            "below_half": {"source": source, "target": target},
        }
    }


def growth_rows(fit: "Fit") -> dict[str, str]:
    """What people are told of growth, where the map may be unbalanced."""
    estimator = fit.estimator
    if estimator.unbalanced is None:
        return {}
    how = ", chosen by points held out" if estimator.unbalanced == "cv" else ""
    if fit.penalty is None:
        return {"growth": f"none, a balanced map{how}"}
    source, target = ((own < 0.5).mean() for own in fit.growth)
    return {
        "growth": f"penalty {fit.penalty:.4g}{how}; below a half for {source:.1%} of the source "
        f"rows, {target:.1%} of the target rows"
    }


def _of_side(side: str, pair: tuple[Any, Any]) -> Any:
    return pair[0] if side == "source" else pair[1]
