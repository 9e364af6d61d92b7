"""The picture of the labels experiment."""

from typing import Any

import numpy as np

from brenier.report import BLUE, GREEN, INK, RED, new_figure, png_bytes

_SHOWN = {"map": BLUE, "mean shift": GREEN, "no map": "#b9770e", "no map, 15 neighbours": RED}
# Cells of a bin that is drawn, at least.
_LEAST = 20


def labels_figure(bins: dict[str, list[list[float]]], table: dict[str, Any]) -> bytes:
    """What is said against what is right, and the table of where each type goes."""
    figure = new_figure(11.0, 4.6)
    said, shares = figure.subplots(1, 2, width_ratios=[1.0, 1.25])
    said.plot([0.0, 1.0], [0.0, 1.0], color="0.8", linewidth=1.0)
    for name, colour in _SHOWN.items():
        points = np.array([row for row in bins[name] if row[2] >= _LEAST])
        said.plot(
            points[:, 0], points[:, 1], "o-", color=colour, markersize=4, linewidth=1.2, label=name
        )
    said.set_xlim(0.0, 1.02)
    said.set_ylim(0.0, 1.02)
    said.set_xlabel("probability that is said")
    said.set_ylabel("share that is right")
    said.legend(frameon=False, fontsize=8, loc="upper left")
    rows = list(table["shares"])
    columns = list(table["shares"][rows[0]])
    order = [name for name in rows if name in columns]
    order += [name for name in columns if name not in order]
    values = np.array([[table["shares"][row][column] for column in order] for row in rows])
    shares.imshow(values, cmap="Blues", vmin=0.0, vmax=1.0, aspect="auto")
    for i, j in np.argwhere(values >= 0.05):
        ink = "white" if values[i, j] > 0.6 else INK
        shares.text(
            j, i, f"{100.0 * values[i, j]:.0f}", ha="center", va="center", fontsize=7, color=ink
        )
    shares.set_xticks(range(len(order)), order, rotation=60, ha="right", fontsize=7)
    labels = [f"{row} ({table['counts'][row]})" for row in rows]
    shares.set_yticks(range(len(rows)), labels, fontsize=7)
    shares.set_title("where control cells of each type go, per cent", fontsize=9)
    return png_bytes(figure)
