"""From bounds and tests to words: what is proven, what is refuted, what would decide."""

from brenier.certify._axis_distance import CLOSE
from brenier.certify._bets import probability_from_above
from brenier.certify._certificate import Verdict
from brenier.certify._core import Core
from brenier.certify._defect import Defect
from brenier.certify._target_tests import TargetTests
from brenier.certify._witnesses import Asymmetry

# An effect below this is small: that of stretching one of two axes by 20 %.
_SMALL_EFFECT = 0.002
# Mass that may lie outside of the core of a map that is called optimal.
_MOST_OUTSIDE = 0.01
# Scales of images over that of points, or under, beyond which the cost is a scale's.
_STRETCH = 10.0
# Images that rounding alone spreads are one point.
_CONSTANT = 1e-12
# From this dimension on pairs alone show no defect but a gross one.
_HIGH_DIMENSION = 10
# So many rows, half of them evaluated and none outside, leave about that mass unseen.
_ROWS = 900
# As many, times the largest weight in parts of the mean, where rows have weights.
_WEIGHTED_ROWS = 1100


def verdict(
    defect: Defect,
    pushforward: TargetTests | None,
    asymmetry: Asymmetry | None,
    *,
    stretch: float,
    dimension: int,
    tolerance: float,
) -> Verdict:
    """Optimal within ``tolerance``, not optimal, or what is left open; and whether T#μ is ν.

    ``stretch`` is how many times as far as the points the images are spread.
    """
    optimality, reason = _optimality(defect, dimension, tolerance)
    if optimality in ("undecided", "no bound") and asymmetry is not None and asymmetry.visible:
        reason += (
            f"; DT is not symmetric (off by up to {asymmetry.max:.2g}), as that of an optimal map "
            "is wherever the source has a density"
        )
    if optimality == "optimal" and defect.parts and _hidden(defect, stretch) > tolerance:
        reason += (
            f"; the images are spread {stretch:.3g} times as far as the points, which is most of "
            "the cost: in a unit of their own they could waste a larger share"
        )
    if defect.largest_weight is not None and defect.parts:
        reason += "; with weights, at a level for many rows"
    target, target_reason = (
        (None, None) if pushforward is None else _target(pushforward, defect.level)
    )
    return Verdict(optimality, target, reason, target_reason)


def _hidden(defect: Defect, stretch: float) -> float:
    """About the share that images of the points' own spread could waste; 0 where it is as stated.

    A map times s wastes s D, of a cost of s² once that is most of it.
    """
    factor = max(stretch, 1.0 / stretch) if stretch > _CONSTANT else 1.0
    if factor <= _STRETCH:
        return 0.0
    return factor * min(part.wasted_beyond_shift.upper for part in defect.parts)


def _optimality(defect: Defect, dimension: int, tolerance: float) -> tuple[str, str]:
    if not defect.parts and defect.upper == 0.0:
        return "optimal", (
            "the gradient of a convex function: no map to the same image costs less"
            + _withdrawn(defect)
        )
    if defect.digits_lost:
        return "undecided", (
            "the points lie so far from 0, in parts of their spread, that their digits are lost: "
            "shift source and images first"
        )
    if not defect.parts:
        return "no bound", "no potential that was fitted has a finite gap"
    if defect.one_shift:
        # None of the rows that were kept for the evaluation is moved in another way.
        otherwise = probability_from_above(0, defect.parts[-1].rows, 0.25 * (1.0 - defect.level))
        if defect.largest_weight is not None:  # no row lies outside the core
            otherwise = max(part.outside for part in defect.parts)
        if otherwise <= _MOST_OUTSIDE:
            return "optimal", (
                "it moves all points by one vector (outside a set of mass at most "
                f"{_percent(otherwise)})"
            )
        return "undecided", (
            f"it moves all rows by one vector, which is optimal, but a set of mass up to "
            f"{_percent(otherwise)} may be moved in another way (asked: "
            f"{_percent(_MOST_OUTSIDE)}); {_rows_that_decide(defect)}"
        )
    found = [_of_part(defect, part, dimension, tolerance) for part in defect.parts]
    word, reason = next((own for own in found if own[0] in ("optimal", "not optimal")), found[-1])
    return word, reason + ("" if word == "not optimal" else _withdrawn(defect))


def _withdrawn(defect: Defect) -> str:
    """What was declared and contradicted, where something was."""
    if not defect.withdrawn:
        return ""
    return f"; withdrawn, as the rows contradict it: {'; '.join(defect.withdrawn)}"


def _of_part(defect: Defect, part: Core, dimension: int, tolerance: float) -> tuple[str, str]:
    """The verdict by the shares of one part."""
    wasted, asked = part.wasted_beyond_shift, tolerance / (1.0 + tolerance)
    of = _of_core(part)
    if wasted.lower > asked:
        return "not optimal", (
            f"some cheaper map reaches the same image: of what it moves beyond one common shift at "
            f"least {_percent(wasted.lower)} is wasted, and at most {_percent(wasted.upper)} {of}"
        )
    exact = defect.cycle is not None or wasted.lower > 0.0
    small = ""
    if part.of_spread < tolerance**2:
        small = f"; all of it is below {_percent(part.of_spread)} of the spread"
    if wasted.upper <= asked and part.outside <= _MOST_OUTSIDE:
        also = ", though not exactly" if exact else ""
        return "optimal", (
            f"within {_percent(tolerance)}{also}: of what it moves beyond one common shift at most "
            f"{_percent(wasted.upper)} is wasted {of}"
        )
    if exact:
        shown = "the images of sampled points would rather be passed on"
        if defect.cycle is None:
            shown = "points as likely as those of the source would save cost by passing images on"
        return "not exactly optimal", (
            f"{shown}; of what it moves beyond one common shift between {_percent(wasted.lower)} "
            f"and {_percent(wasted.upper)} is wasted {of}{small}"
        )
    if wasted.upper <= asked:
        return "undecided", (
            f"at most {_percent(wasted.upper)} of what it moves is wasted, but the core may leave "
            f"out {_percent(part.outside)} of the mass (asked: {_percent(_MOST_OUTSIDE)}); "
            f"{_rows_that_decide(defect)}"
        )
    many = [
        row
        for row in defect.bounds
        if row.level == "asymptotic" and (row.quantity, row.side) == ("D", "lower")
        if row.value > 0.0
    ]
    seen = "nothing shows a waste"
    if many:
        best = max(many, key=lambda row: row.value)
        seen = f"only a bound for many rows shows a waste, D ≥ {best.value:.3g} by {best.by}"
    if not defect.growth:
        return "no bound", (
            "too few rows for any lower bound, and none for an upper one that would decide"
        )
    if dimension >= _HIGH_DIMENSION and not many and not defect.declared:
        return "no bound", (
            f"{seen}, and up to {_percent(wasted.upper)} could be {of}: in {dimension} dimensions "
            "a bound from below wants the source's law or a symmetry of it (law=, symmetry=; "
            "on the command line --law, --symmetry)"
        )
    return "undecided", (
        f"{seen}, and up to {_percent(wasted.upper)} of what it moves could be wasted, where "
        f"{_percent(asked)} is asked {of}: the upper bound is the wide one{small}"
    )


def _rows_that_decide(defect: Defect) -> str:
    """How many rows would leave so little mass unseen."""
    if defect.largest_weight is None:
        return f"about {_ROWS:,} rows would decide"
    many = _rounded_up(int(_WEIGHTED_ROWS * defect.largest_weight))
    return f"about {many:,} rows of such weights would decide"


def _of_core(core: Core) -> str:
    if core.outside == 0.0:
        return "(of the whole map, in the declared box)"
    return f"(outside a set of mass at most {_percent(core.outside)})"


def _target(tests: TargetTests, level: float) -> tuple[str, str]:
    p_values = tests.p_values()
    if not p_values:
        return "undecided", (
            "weights leave too few rows for a test: the largest of them stand for almost all"
        )
    # The tests share 1 − level (Bonferroni).
    asked = (1.0 - level) / len(p_values)
    if min(p_values.values()) <= asked:
        return "not reached", _difference(tests, p_values, asked)
    none = f"no difference found (least p = {min(p_values.values()):.2g} of {len(p_values)} tests)"
    effect = f"{100 * tests.effect_upper:.2g} % of the energy between them"
    apart = _percent(tests.axis_distance_upper)
    if not tests.axis_distance_upper < CLOSE:
        # What equal laws would show follows from the bound; of unequal ones nothing does.
        decides = (
            f"equal laws show it from about {_rounded_up(tests.axis_points):,} points on"
            if tests.axis_points > tests.axis_tested
            else "equal laws would be closer at this number of points"
        )
        return "undecided", (
            f"{none}, but {tests.axis} may be off by up to {apart} (sup|F − G|; asked: "
            f"{_percent(CLOSE)}); {decides}"
        )
    if tests.effect_upper > _SMALL_EFFECT:
        return "undecided", (
            f"{none}, but with {tests.tested:,} points tested an effect of up to {effect} could "
            f"hide (asked: {_percent(_SMALL_EFFECT)})"
        )
    return "reached", (
        f"{none}; no column is off by more than {apart} (sup|F − G|), and the effect is below "
        f"{effect}"
    )


def _difference(tests: TargetTests, p_values: dict[str, float], asked: float) -> str:
    """Which tests reject, and where images and target differ most."""
    rejecting = {name: p for name, p in p_values.items() if p <= asked}
    sizes = {
        "energy": f", effect {100 * tests.effect:.2g} % of the energy between them",
        "feature": f", by {abs(tests.feature_difference):.2g} deviations",
    }
    by = "; ".join(
        f"{name} test, p = {p:.2g}{sizes.get(name, '')}" for name, p in rejecting.items()
    )
    where = f", most in the {tests.largest_feature()}" if "feature" in rejecting else ""
    return f"images and target differ{where} ({by})"


def _rounded_up(count: int) -> int:
    """To two digits."""
    unit = 10 ** max(len(str(count)) - 2, 0)
    return -(-count // unit) * unit


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
