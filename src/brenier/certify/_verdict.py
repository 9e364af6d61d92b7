"""From bounds and tests to words: what is proven, what is refuted, what would decide."""

import math

from scipy.special import ndtri

from brenier.certify._certificate import Verdict
from brenier.certify._defect import Defect
from brenier.certify._target_tests import TargetTests
from brenier.certify._witnesses import Ring

# An effect below this is small: that of stretching one of two axes by 20 %.
_SMALL_EFFECT = 0.002


def verdict(
    defect: Defect,
    cost: float,
    ring: Ring | None,
    pushforward: TargetTests | None,
    *,
    tolerance: float,
) -> Verdict:
    """Optimal within ``tolerance`` of W₂², not optimal, or undecided; and whether T#μ is ν."""
    optimality, reason = _optimality(defect, cost, ring, tolerance)
    target, target_reason = (
        (None, None) if pushforward is None else _target(pushforward, defect.level)
    )
    return Verdict(optimality, target, reason, target_reason)


def _optimality(
    defect: Defect, cost: float, ring: Ring | None, tolerance: float
) -> tuple[str, str]:
    # D ≤ p W₂² with W₂² = cost − D, without dividing by a W₂² that may be 0.
    within = defect.upper * (1.0 + tolerance) <= tolerance * cost or defect.relative_upper == 0.0
    share = f"{100 * tolerance:g} %"
    reach = _words(defect.relative_upper)
    if defect.lower > 0:
        errors = defect.matched / defect.matched_stderr if defect.matched_stderr > 0 else math.inf
        return "not optimal", (
            f"some cheaper map reaches the same image: by at least {_words(defect.relative_lower)} "
            f"of W₂² ({errors:.1f} standard errors from 0), by at most {reach}"
        )
    if ring is not None and ring.proven:
        return "not optimal", (
            f"{ring.k:,} neighbours would rather shift their images; in all W₂² is below the cost "
            f"by at most {reach} of it"
        )
    if defect.upper == 0.0:
        return "optimal", "the gradient of a convex function: no map to the same image costs less"
    if within:
        return "optimal", f"no map to the same image costs less by more than {reach} of W₂²"
    return "undecided", (
        f"it may be optimal, and it may cost up to {reach} of W₂² too much (asked: {share}); "
        f"{_remedy(defect, cost, tolerance)}"
    )


def _remedy(defect: Defect, cost: float, tolerance: float) -> str:
    """How many points would make the intervals narrow enough, if the means stay as they are."""
    quantile = float(ndtri(0.5 + 0.5 * defect.level))
    room = tolerance * cost / (1.0 + tolerance) - defect.gap
    needed = []
    if room > 0:
        needed.append(defect.n * (quantile * defect.gap_stderr / room) ** 2)
    if defect.matched > 0:
        needed.append(defect.n * (quantile * defect.matched_stderr / defect.matched) ** 2)
    if not needed:
        return "more points would not decide: the gap of the potential found is itself too wide"
    return f"about {max(math.ceil(min(needed)), defect.n + 1):,} points would decide"


def _target(tests: TargetTests, level: float) -> tuple[str, str]:
    p_value = min(tests.p_value, tests.stein_p_value) if tests.stein_p_value >= 0 else tests.p_value
    # Two tests share the level: each is done at half of it (Bonferroni).
    asked = (1.0 - level) / (2.0 if tests.stein_p_value >= 0 else 1.0)
    if p_value <= asked:
        return "not reached", (
            f"images and target differ (p = {p_value:.2g}; effect {100 * tests.effect:.2g} % "
            "of the energy between them)"
        )
    if tests.effect_upper <= _SMALL_EFFECT:
        return "reached", (
            f"no difference found (p = {p_value:.2g}); the effect is below "
            f"{100 * tests.effect_upper:.2g} % of the energy between them"
        )
    needed = math.ceil(tests.tested * tests.effect_upper / _SMALL_EFFECT)
    return "undecided", (
        f"no difference found (p = {p_value:.2g}), but with {tests.tested:,} points one of up to "
        f"{100 * tests.effect_upper:.2g} % could hide; about {needed:,} points of each would decide"
    )


def _words(share: float) -> str:
    return "an unbounded share" if math.isinf(share) else f"{100 * share:.3g} %"
