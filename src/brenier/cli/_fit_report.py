"""The page of ``brenier fit --report``: what was chosen, how well it does on rows held out."""

import dataclasses
import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from brenier._progress import Progress, ProgressCallback
from brenier.cli._transport import transport_points
from brenier.io import write_whole

if TYPE_CHECKING:
    from brenier.cli._fit import Fit, Settings
    from brenier.estimators.candidates import CandidateTable

# One row in five is held out, at most so many a side; below so many none is.
_SHARE, _MOST, _FEWEST = 5, 2000, 60
# Pairs of samples of the target: the largest of their distances is exceeded once in twenty.
_CHANCES = 19


@dataclasses.dataclass(frozen=True)
class HeldOut:
    """What a map of the same kinds, fitted without some rows, makes of those.

    Attributes:
        x, moved, y: source rows held out (n, d), their images, and target rows held out (m, d).
        before, after: squared energy distances to ``y``, unbiased.
        chance: what two samples of the target, as large, exceed once in twenty.
        sentence: the kind of map that it was.
    """

    x: np.ndarray
    moved: np.ndarray
    y: np.ndarray
    before: float
    after: float
    chance: float
    sentence: str

    def result(self) -> dict[str, Any]:
        """What a JSON object says of it."""
        return {
            "source_points": len(self.x),
            "target_points": len(self.y),
            "energy_distance_before": self.before,
            "energy_distance_after": self.after,
            "energy_distance_by_chance": self.chance,
            "sentence": self.sentence,
        }


def held_out(
    fit: "Fit",
    settings: "Settings",
    x: np.ndarray,
    y: np.ndarray,
    progress: ProgressCallback,
    weights: tuple[np.ndarray | None, np.ndarray | None] = (None, None),
) -> HeldOut | None:
    """Fit once more without one row in five, the kinds that were chosen; None for few rows.

    ``weights`` are those of the rows of both.
    """
    from brenier.cli._fit import fitted
    from brenier.estimators import energy_score

    if min(len(x), len(y)) < _FEWEST:
        return None
    random = np.random.default_rng(settings.seed)
    (left, out), (others, away) = (_parted(len(rows), random) for rows in (x, y))
    own, other = weights
    (a, a_held), (b, b_held) = (_taken(own, left, out), _taken(other, others, away))
    (x, x_held), (y, y_held) = (x[left], x[out]), (y[others], y[away])
    once_more = dataclasses.replace(settings, resume=False, outliers="keep", unbalanced=fit.penalty)
    again = fitted(
        x,
        y,
        once_more,
        progress,
        files=("X", "Y"),
        candidates=_kinds(fit.candidates),
        weights=(a, b),
    )
    a_held, b_held = again.weights_of(x_held, a_held), again.weights_of(y_held, b_held, "target")
    moved = transport_points(again.estimator.map_, x_held, progress)
    progress(Progress(0, 0, "measuring"))
    before, after = (-energy_score(cloud, y_held, a_held, b_held) for cloud in (x_held, moved))
    pool, sizes = np.concatenate([y, y_held]), (len(moved), len(y_held))
    b = again.weights_of(y, b, "target")
    masses = None if b is None or b_held is None else np.concatenate([b, b_held])
    chance = max(-energy_score(*_two(pool, sizes, random, masses)) for _ in range(_CHANCES))
    return HeldOut(x_held, moved, y_held, before, after, chance, again.candidates.sentence)


def write_report(
    path: str,
    fit: "Fit",
    found: HeldOut | None,
    facts: dict[str, str],
    names: Sequence[str] | None,
    progress: ProgressCallback,
) -> None:
    """The page, whole or not at all.

    Args:
        path: of the file to write.
        fit: that the map is of.
        found: on rows held out; None where there were too few.
        facts: what is told of the fit, by name: the rows that the terminal shows.
        names: of the columns that the map was learned in.
        progress: told of the drawing.
    """
    from brenier.report import html_page

    progress(Progress(0, 0, "writing the report"))
    source, target = (facts[side].partition(":")[0] for side in ("source", "target"))
    title = f"A map from {source} to {target}"
    head = (
        f'<header><p class="kind">Fit</p><h1>{html.escape(title)}</h1>'
        f'<p class="facts">{html.escape(fit.candidates.sentence)}</p></header>'
    )
    body = [
        head,
        _reach(found),
        *([] if found is None else [_pictures(found, names)]),
        _choice(fit.candidates),
        _loading(facts["map"], source),
        _facts(facts, fit.warnings),
    ]
    write_whole(path, html_page(title, "\n".join(body)).encode())


def _parted(n: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """The rows to learn from, and those held out."""
    order = random.permutation(n)
    count = min(n // _SHARE, _MOST)
    return np.sort(order[count:]), np.sort(order[:count])


def _taken(
    weights: np.ndarray | None, left: np.ndarray, out: np.ndarray
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """The weights of rows to learn from, and of those held out."""
    return (None, None) if weights is None else (weights[left], weights[out])


def _two(
    pool: np.ndarray,
    sizes: tuple[int, int],
    random: np.random.Generator,
    weights: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Two samples without a common row, and the weights of their rows."""
    order = random.permutation(len(pool))
    first, second = order[: sizes[0]], order[sizes[0] :][: sizes[1]]
    return pool[first], pool[second], *_taken(weights, first, second)


def _kinds(candidates: "CandidateTable") -> list[str] | None:
    """The kinds that the chosen map is made of; None for all."""
    from brenier.estimators.candidates import KINDS

    chosen = candidates.chosen
    made_of = chosen.settings if chosen.name == "combination" else [chosen.name]
    kinds = {name.partition(",")[0] for name in made_of}
    return [kind for kind in KINDS if kind in kinds] or None


def _reach(found: HeldOut | None) -> str:
    from brenier.report import html_table

    if found is None:
        return _section(
            "How well it reaches the target",
            f"<p>Fewer than {_FEWEST} rows a side are too few to hold any out.</p>",
        )
    gone = 1.0 - max(found.after, 0.0) / found.before if found.before > 0 else 0.0
    lines = [
        ("squared energy distance, rows held out", "value", ""),
        ("source to target", f"{found.before:.3g}", "before"),
        ("moved source to target", f"{found.after:.3g}", f"{100 * gone:.1f}\u00a0% of it is gone"),
        ("target to target", f"{found.chance:.3g}", "which chance exceeds once in twenty"),
    ]
    said = (
        "What is left is no more than chance leaves between two samples of the target."
        if found.after <= found.chance
        else "What is left is more than chance leaves between two samples of the target."
    )
    return _section(
        "How well it reaches the target",
        f"<p>On rows that it was not fitted on: a map of the same kinds, learned without "
        f"{len(found.x):,} rows of the source and {len(found.y):,} of the target "
        f"({html.escape(found.sentence)}), moved the former onto the latter. {said} Distances are "
        f"unbiased, and may fall below 0; those under “The fit” are of all rows, "
        f"which the map was fitted on, and biased by chance.</p>{html_table(lines)}",
    )


def _pictures(found: HeldOut, names: Sequence[str] | None) -> str:
    from brenier.report import figure_of, html_figure, plot_map, plot_marginals

    d = found.x.shape[1]
    seen = "Arrows from rows held out to their images."
    if d == 1:
        seen = "The graph of the map at rows held out; dashed, the identity."
    if d == 2:
        seen += " Behind them, what the map makes of a straight grid."
    if d > 2:
        seen += " Seen in the two leading principal components of rows and images."
    moved = plot_map(found.x, found.moved, names=names)
    columns = plot_marginals(found.x, found.moved, found.y, names=names)
    which = f"The first {len(columns)} of {d:,} columns" if len(columns) < d else "Every column"
    return _section(
        "Pictures",
        html_figure(figure_of(moved), "the map at rows held out", seen)
        + html_figure(
            figure_of(columns[0]),
            "histograms of source, moved source and target by column",
            f"{which}: source (dashed), moved source (red) and target (filled), rows held out.",
        ),
    )


def _choice(candidates: "CandidateTable") -> str:
    from brenier.report import figure_of, html_figure, html_table, plot_candidates

    words = [[html.escape(word) for word in line] for line in candidates.to_words()]
    figure = html_figure(
        figure_of(plot_candidates(candidates)),
        "held-out J of each candidate above the chosen one's",
        "J(φ) = E φ(X) + E φ*(Y) on points held out, least at the Monge map: how far each kind "
        "lies above the chosen one, with standard errors.",
    )
    return _section("What was chosen", figure + html_table(words, kind="words"))


def _loading(file: str, source: str) -> str:
    code = (
        f"import brenier\n\nT = brenier.load({file!r})\n"
        "moved = T(X)  # an array (n, d), rows that it has never seen\nback = T.inverse()(moved)"
    )
    shell = f"$ brenier transport {file} {source} -o moved.csv"
    return _section(
        "Use it",
        f'<pre tabindex="0">{html.escape(code)}</pre><p>Or on the command line:</p>'
        f'<pre tabindex="0">{html.escape(shell)}</pre>',
    )


def _facts(facts: dict[str, str], warnings: Sequence[str]) -> str:
    from brenier.report import html_table

    told = [*facts.items(), *(("warning", message) for message in warnings)]
    lines = [(html.escape(name), html.escape(value)) for name, value in told]
    return _section("The fit", html_table(lines, head=False, kind="how"))


def _section(title: str, content: str) -> str:
    return f"<section><h2>{title}</h2>{content}</section>"
