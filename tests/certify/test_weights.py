"""Weights in audits: estimates of repeated rows, levels that hold, and what is refused."""

import json

import jax
import numpy as np
import pytest

from brenier import audit, audit_pairs
from brenier.certify import Certificate
from brenier.certify._bets import (
    mean_from_above,
    mean_from_below,
    mean_under_kurtosis,
    share_from_above,
)
from brenier.certify._defect import defect_bounds
from brenier.certify._orbits import asymptotic_from_symmetry
from brenier.certify._symmetry import SignChanges
from brenier.certify._target_tests import _sliced, _weighted_sliced, target_tests
from brenier.certify._weights import Shares
from brenier.measures import Gaussian

_RANDOM = np.random.default_rng
_X = _RANDOM(0).normal(size=(240, 2))
_Y = _RANDOM(1).normal(size=(200, 2)) + 1.0
_W = _RANDOM(2).integers(1, 4, size=240).astype(float)
_V = _RANDOM(3).integers(1, 4, size=200).astype(float)
_SMALL = {"budget": 0.1}


# Rows (x, w) of n draws; and draws of the law in which a row counts by its weight.
def _tilted(r, n):
    x = r.random((n, 1))
    return x, x[:, 0]


def _strata(r, n):
    """A survey: a fifth of the rows stands for four fifths of the people."""
    rare = r.random(n) < 0.2
    x = np.where(rare, 2.0, -1.0) + 0.5 * r.normal(size=n)
    return x[:, None], np.where(rare, 16.0, 1.0)


def _narrow(r, n):
    """Importance weights without an upper end: N(0, 1) for N(0, 1.3²)."""
    x = r.normal(size=(n, 1))
    return x, np.exp(0.5 * x[:, 0] ** 2 * (1.0 - 1.0 / 1.69))


def _of_strata(r, n):
    return (np.where(r.random(n) < 0.8, 2.0, -1.0) + 0.5 * r.normal(size=n))[:, None]


LAWS = {
    "tilted": (_tilted, lambda r, n: np.sqrt(r.random((n, 1)))),
    "strata": (_strata, _of_strata),
    "narrow": (_narrow, lambda r, n: 1.3 * r.normal(size=(n, 1))),
}


def _on_the_line(x, inside):
    """Cost and defect of x ↦ −x on the core, from many draws of the weighted law."""
    kept = np.sort(x[inside, 0])
    cost = 4.0 * np.sum(kept**2) / len(x)
    return cost, cost - np.sum((kept + kept[::-1]) ** 2) / len(x)


def _misses(name, n, runs):
    """How often each bound of x ↦ −x is on the wrong side."""
    draw, law = LAWS[name]
    many = law(_RANDOM(99), 100_000)
    defect = _on_the_line(many, np.ones(len(many), bool))[1]
    found = dict.fromkeys(("lower", "core lower", "core upper", "outside", "share", "least"), 0)
    slack = 1.01  # of what many draws know the defect to
    for seed in range(runs):
        x, w = draw(_RANDOM(seed), n)
        own = defect_bounds(
            x,
            -x,
            jax.random.key(seed),
            level=0.95,
            tolerance=0.01,
            budget=0.05,
            shares=Shares.of_weights(w),
        )
        inside = own.core.members(many, -many)
        cost, on_core = _on_the_line(many, inside)
        found["lower"] += own.bounds[0].value > slack * defect
        found["core lower"] += own.core.lower > slack * on_core
        found["core upper"] += slack * own.core.upper < on_core
        found["outside"] += own.core.outside < np.mean(~inside) - 0.001
        found["share"] += slack * own.core.wasted.upper < on_core / cost
        found["least"] += own.core.wasted.lower > slack * on_core / cost
    return found


def test_pairs_take_the_names_of_columns():
    pd = pytest.importorskip("pandas")
    x = pd.DataFrame({"a": _X[:, 0], "w": _W, "b": _X[:, 1]})
    y = pd.DataFrame({"v": _V, "b": _Y[:, 1], "a": _Y[:, 0]})
    images = pd.DataFrame(_X + 1.0, columns=["a", "b"])
    named = audit_pairs(x, images, y, source_weights="w", target_weights="v", **_SMALL).to_dict()
    known = audit_pairs(_X, _X + 1.0, _Y, source_weights=_W, target_weights=_V, **_SMALL).to_dict()
    assert named["how"]["names"] == ["a", "b"]
    for part in ("cost", "defect", "weighting"):
        np.testing.assert_equal(named[part], known[part])
    for own, message in (
        ({"source_weights": "u"}, "source_weights: got 'u'; wants a column, one of"),
        ({"target_weights": "u"}, "target_weights: got 'u'; wants a column, one of"),
    ):
        with pytest.raises(ValueError, match=message):
            audit_pairs(x[["a", "b"]], images, y[["a", "b"]], **own, **_SMALL)
    with pytest.raises(ValueError, match="source_weights: got the name 'w' beside ndarray"):
        audit_pairs(_X, _X, source_weights="w", **_SMALL)


def test_rows_are_counted_as_a_fit_counts_them():
    own = audit_pairs(_X, _X + 1.0, source_weights=_W, **_SMALL)
    rows = own.weighting.source
    assert rows.counted == _W.sum()
    assert rows.effective == pytest.approx(_W.sum() ** 2 / (_W @ _W))
    assert "whole weights repeat rows, as in a fit" in str(own.weighting.rows())
    parts = audit_pairs(_X, _X + 1.0, source_weights=_W + 0.5, **_SMALL)
    assert parts.weighting.source.counted == pytest.approx(parts.weighting.source.effective)
    assert "repeat rows, as in a fit" not in str(parts.weighting.rows())
    older = json.loads(own.to_json())
    del older["weighting"]["source"]["counted"]
    assert Certificate.from_json(json.dumps(older)).weighting.source.counted is None


@pytest.mark.parametrize("name", LAWS)
def test_bounds_hold_with_weights(name):
    # 2.5 % are allowed.
    assert max(_misses(name, 100, 8).values()) <= 1


@pytest.mark.slow
@pytest.mark.parametrize("n", [60, 200])
@pytest.mark.parametrize("name", LAWS)
def test_levels_hold_with_weights(name, n):
    runs = 400
    allowed = 0.025 * runs + 3.0 * np.sqrt(0.025 * 0.975 * runs)
    assert max(_misses(name, n, runs).values()) <= allowed


def _rejected(name, n, runs):
    """Runs in which images that reach the target are found not to."""
    draw, law = LAWS[name]
    count = 0
    for seed in range(runs):
        random = _RANDOM(seed)
        x, w = draw(random, n)
        tests = target_tests(
            x, law(random, n), random, level=0.95, seconds=0.1, shares=Shares.of_weights(w)
        )
        p_values = tests.p_values().values()
        count += bool(p_values) and min(p_values) <= 0.05 / len(p_values)
    return count


@pytest.mark.slow
@pytest.mark.parametrize("name", LAWS)
def test_a_target_that_is_reached_is_rarely_rejected(name):
    runs = 400
    assert _rejected(name, 150, runs) <= 0.05 * runs + 3.0 * np.sqrt(0.05 * 0.95 * runs)


def test_few_runs_of_the_same():
    assert _rejected("tilted", 100, 4) <= 1


def test_bets_on_weighted_means_hold_their_level():
    """Weights of two strata, values that go with them, at 60 rows; every bound of a mean."""
    alpha, runs, missed = 0.025, 120, np.zeros(4, int)
    for seed in range(runs):
        random = _RANDOM(seed)
        rare = random.random(60) < 0.2
        u = np.where(rare, 1.0, 1.0 / 16.0)  # four fifths of the mass
        y = random.random(60) ** np.where(rare, 3.0, 0.5)
        mean = 0.8 / 4.0 + 0.2 / 1.5
        pilot = _RANDOM(seed + runs).random(10)
        c = 1.0 + y
        missed += [
            mean_from_below([u * y], alpha, masses=[u]) > mean,
            mean_from_above(y, 1.0, alpha, pilot, u) < mean,
            share_from_above(y, c, 1.0, alpha, (pilot, 1.0 + pilot), u) < mean / (1.0 + mean),
            mean_under_kurtosis(y, 3.0, alpha, u) < mean,
        ]
        assert mean_from_below([u * y], alpha, masses=[u]) <= np.average(y, weights=u) + 1e-12
        assert mean_from_above(y, 1.0, alpha, pilot, u) >= np.average(y, weights=u)
    assert (missed <= alpha * runs + 3.0 * np.sqrt(alpha * runs)).all(), missed


def test_equal_weights_bet_as_none():
    y = _RANDOM(0).random(50)
    one = np.ones(50)
    assert mean_from_below([y], 0.025, masses=[one]) == mean_from_below([y], 0.025)
    assert mean_from_above(y, 1.0, 0.025, y, one) == mean_from_above(y, 1.0, 0.025, y)


def test_the_estimate_of_a_known_map_is_that_of_the_weighted_law():
    """x ↦ −x under 2x on [0, 1]: E(2X)² = 2 and W₂² = ∫(√t + √(1 − t))² dt = 1 + π/4."""
    x, w = _tilted(_RANDOM(0), 4000)
    found = audit_pairs(x, -x, source_weights=w, **_SMALL)
    defect = found.defect
    assert found.cost.value == pytest.approx(2.0, abs=4.0 * found.cost.stderr)
    assert defect.matched == pytest.approx(1.0 - np.pi / 4.0, abs=4.0 * defect.matched_stderr)
    # A uniform law would have 1/3.
    assert defect.lower < 1.0 - np.pi / 4.0 < defect.upper < 1.0 / 3.0
    assert defect.gap == pytest.approx(1.0 - np.pi / 4.0, abs=4.0 * defect.gap_stderr + 0.01)


def test_estimates_are_those_of_repeated_rows():
    rows, others = (
        np.repeat(np.arange(240), _W.astype(int)),
        np.repeat(np.arange(200), _V.astype(int)),
    )
    tx, true = 2.0 * _X + 0.5, 2.0 * _X
    found = audit_pairs(_X, tx, _Y, truth=true, source_weights=_W, target_weights=_V, **_SMALL)
    with pytest.warns(UserWarning, match="rows are exact copies of others"):
        repeated = audit_pairs(_X[rows], tx[rows], _Y[others], truth=true[rows], **_SMALL)
    assert found.cost.value == pytest.approx(repeated.cost.value, rel=1e-12)
    assert found.truth.l2_uvp == pytest.approx(repeated.truth.l2_uvp, rel=1e-12)
    assert found.truth.cosine == pytest.approx(repeated.truth.cosine, rel=1e-12)
    energies = [one.pushforward.energy_distance for one in (found, repeated)]
    assert energies[0] == pytest.approx(energies[1], rel=1e-9)
    sliced = _weighted_sliced(tx, _Y, _W, _V, 0), _sliced(tx[rows], _Y[others], 0)
    assert sliced[0] == pytest.approx(sliced[1], rel=1e-9)
    # Rows that repeat each other are no independent draws: the error is larger than theirs.
    assert found.cost.stderr > 1.2 * repeated.cost.stderr
    assert repeated.how["copies"] == len(rows) - 240


def _plain(certificate):
    plain = certificate.to_dict()
    del plain["how"]["seconds"]
    return json.dumps(plain)


def test_rows_of_no_weight_are_dropped_and_equal_weights_are_none():
    kept = np.arange(240) % 3 > 0
    mask = np.where(kept, 0.7, 0.0)
    dropped = audit_pairs(_X[kept], -_X[kept], _Y, **_SMALL)
    assert _plain(audit_pairs(_X, -_X, _Y, source_weights=mask, **_SMALL)) == _plain(dropped)
    assert dropped.weighting is None
    uneven = np.where(kept, _W, 0.0)
    options = {"target_weights": _V, "groups": np.arange(240) // 2, **_SMALL}
    few = {**options, "groups": options["groups"][kept]}
    assert _plain(audit_pairs(_X, -_X, _Y, source_weights=uneven, **options)) == _plain(
        audit_pairs(_X[kept], -_X[kept], _Y, source_weights=_W[kept], **few)
    )


def test_a_certificate_says_what_becomes_of_each_level():
    found = audit_pairs(_X, -_X, _Y, source_weights=_W, box=(-9.0, 9.0), kurtosis=5.0, **_SMALL)
    own = found.weighting
    kish = _W.sum() ** 2 / np.sum(_W**2)
    assert own.source.effective == pytest.approx(kish, rel=1e-12)
    assert (own.source.rows, own.target) == (240, None)
    assert {bound.level for bound in found.defect.bounds} == {"asymptotic"}
    assert all("no weight of the law is above" in bound.assumes for bound in found.defect.bounds)
    assert not any("at once" in bound.by for bound in found.defect.bounds)
    levels = {level.quantity: level.level for level in own.levels}
    assert levels["lower bound by all pairs at once"] == "left out"
    assert levels["a swap or cycle that saves"] == "certain"
    assert "effective rows of the source" in str(found)
    assert "at a level for many rows" in found.verdict.optimality_reason
    plain = found.to_dict()["weighting"]
    assert plain["source"]["effective"] == own.source.effective
    assert Certificate.from_json(found.to_json()).weighting == own
    page = found.to_html()
    assert f"{round(kish):,} effective points of the source" in page
    assert "at every law of independent rows" not in page
    assert max(len("".join(row)) for row in own.rows()) < 250


def test_a_gradient_is_optimal_whatever_the_weights():
    from brenier.maps import AffineMap

    found = audit(AffineMap(2.0 * np.eye(2), np.ones(2)), _X, source_weights=_W, **_SMALL)
    assert found.verdict.optimality == "optimal"
    assert {level.level for level in found.weighting.levels if "bounds" in level.quantity} == {
        "exact"
    }


def test_one_shift_is_optimal_with_enough_rows():
    x = _RANDOM(0).normal(size=(2500, 2))
    w = np.where(x[:, 0] > 0.0, 2.0, 1.0)
    assert audit_pairs(x, x + 1.0, source_weights=w, **_SMALL).verdict.optimality == "optimal"
    few = audit_pairs(x[:300], x[:300] + 1.0, source_weights=w[:300], **_SMALL).verdict
    assert few.optimality == "undecided"
    assert "rows of such weights would decide" in few.optimality_reason


@pytest.mark.parametrize(
    "weights",
    [
        10.0 ** _RANDOM(0).uniform(-300.0, 0.0, 240),
        10.0 ** _RANDOM(0).uniform(0.0, 300.0, 240),
        np.where(np.arange(240) == 0, 1e9, 1.0),
        np.where(np.arange(240) < 20, 1.0, 1e-20),
        _RANDOM(0).pareto(0.5, 240),
    ],
    ids=["tiny", "huge", "one", "twenty", "no mean"],
)
def test_uneven_weights_never_crash(weights):
    if np.sum(weights > 1e-30 * weights.max()) < 20:
        with pytest.raises(ValueError, match=r"source_weights: got .* rows of positive weight"):
            audit_pairs(_X, -_X, _Y, source_weights=weights, **_SMALL)
        return
    found = audit_pairs(
        _X, -_X, _Y, source_weights=weights, symmetry="signs", box=(-9, 9), kurtosis=4.0, **_SMALL
    )
    assert found.defect.lower <= found.defect.upper
    assert found.verdict.optimality != "optimal"
    assert found.verdict.target != "reached"
    assert 1.0 <= found.weighting.source.effective <= 240.0
    str(found), found.to_json()


def test_copies_are_as_many_as_weights_say_and_never_without_end():
    shares, random = Shares.of_weights(np.array([1.0, 0.5, 0.3, 0.2])), _RANDOM(0)
    counts = np.mean([shares.rounded(4, random) for _ in range(4000)], axis=0)
    np.testing.assert_allclose(counts, 4.0 * shares.values, atol=0.04)  # 4 deviations of 0.5/√4000
    often = np.bincount(shares.copies(4000, random), minlength=4)
    np.testing.assert_allclose(often, 2000 * shares.values, atol=1.0)
    taken = np.mean([np.isin(np.arange(4), shares.accepted(random)) for _ in range(4000)], axis=0)
    np.testing.assert_allclose(taken, shares.values, atol=0.04)
    one = Shares.of_weights(np.append(np.full(20_000, 1e-7), 1.0))
    assert one.rounded(one.per_row, random).sum() < 40


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source_weights": -_W}, "source_weights: got 240 negative, NaN or infinite weights"),
        ({"source_weights": np.where(_W > 2, np.nan, _W)}, r"source_weights: got .* the first nan"),
        ({"source_weights": 0.0 * _W}, "source_weights: got weights that are all zero"),
        ({"source_weights": _W[1:]}, r"source_weights: got shape \(239,\)"),
        (
            {"source_weights": (np.arange(240) < 9) * 1.0},
            "source_weights: got 9 rows of positive weight",
        ),
        ({"target_weights": _V[1:]}, r"target_weights: got shape \(199,\)"),
        ({"target_weights": -_V}, "target_weights: got 200 negative"),
        ({"target": None, "target_weights": _V}, "target_weights: got weights without a target"),
        (
            {"target": Gaussian.standard(2), "target_weights": _V},
            "target_weights: got weights beside Gaussian",
        ),
        ({"source_weights": _W, "groups": np.arange(9)}, r"groups: got shape \(9,\)"),
    ],
)
def test_bad_weights_are_named(change, message):
    options = {"target": _Y, **_SMALL, **change}
    with pytest.raises(ValueError, match=message):
        audit_pairs(_X, -_X, options.pop("target"), **options)


def test_weights_beside_a_measure_are_refused():
    with pytest.raises(ValueError, match="source_weights: got weights beside Gaussian"):
        audit(lambda x: -x, Gaussian.standard(2), source_weights=_W, **_SMALL)


def test_a_map_with_weights_shows_its_orbits():
    """Rows of N(0, 4 I) weighted to N(0, I), whose symmetry is declared: D = 8."""
    x = 2.0 * _RANDOM(0).normal(size=(600, 2))
    w = np.exp(-0.375 * np.sum(x**2, axis=1))
    found = audit(lambda p: -p, x, source_weights=w, symmetry="signs", **_SMALL)
    assert any("orbits" in bound.by for bound in found.defect.bounds)
    assert 2.0 < found.defect.lower < 8.0 < found.defect.upper
    assert found.weighting.source.effective < 300.0


def test_what_a_symmetry_gains_is_a_weighted_mean():
    """Many rows: Φ flips every column of −X, h = 4⟨X, X⟩, E h = D = 4 d under the weights."""
    x = 2.0 * _RANDOM(0).normal(size=(20_000, 2))
    w = np.exp(-0.375 * np.sum(x**2, axis=1))
    value = asymptotic_from_symmetry(x, -x, SignChanges(np.zeros(2)), 1.96, Shares.of_weights(w))
    assert 7.5 < value < 8.1
