import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from brenier.exact import _assignment, solve_assignment, solve_line

RNG = np.random.default_rng(0)


def _check(solution, x, y, a, b):
    """Primal and dual feasible, and equal: what proves a plan optimal."""
    stats = solution.stats
    plan = stats["plan"].dense(len(x), len(y))
    np.testing.assert_allclose(plan.sum(axis=1), a, atol=1e-14)
    np.testing.assert_allclose(plan.sum(axis=0), b, atol=1e-14)
    assert (plan >= 0).all()
    cost = cdist(x, y, "sqeuclidean")
    rounding = 1e-12 * max(cost.max(), 1.0)
    f, g = stats["source_potential"], stats["target_potential"]
    assert (cost - f[:, None] - g).min() >= -rounding
    assert stats["violation"] <= rounding
    assert stats["slackness"] <= rounding
    assert stats["cost"] == pytest.approx(np.sum(plan * cost), abs=rounding)
    assert stats["cost"] == pytest.approx(stats["dual"], abs=rounding)
    assert a @ f + b @ g == pytest.approx(stats["cost"], abs=rounding)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    n=st.integers(1, 15),
    m=st.integers(1, 15),
    ties=st.booleans(),
    uniform=st.booleans(),
)
def test_optimality_is_proved_by_the_duals(seed, n, m, ties, uniform):
    import ot

    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, 2)), rng.normal(size=(m, 2))
    if ties:
        x, y = np.round(x), np.round(y)
    a = np.full(n, 1.0 / n) if uniform else rng.dirichlet(np.ones(n))
    b = np.full(m, 1.0 / m) if uniform else rng.dirichlet(np.ones(m))
    solution = solve_assignment(x, y, a, b)
    _check(solution, x, y, a, b)
    assert solution.stats["cost"] == pytest.approx(
        ot.emd2(a, b, cdist(x, y, "sqeuclidean")), abs=1e-10
    )


@pytest.mark.parametrize("size", [60, 400])
def test_points_go_to_their_mates(size):
    # By augmenting paths, and by the network simplex.
    x, y = RNG.normal(size=(size, 2)) + 50.0, RNG.normal(size=(size, 2)) ** 3
    solution = solve_assignment(x, y)
    plan = solution.stats["plan"]
    assert len(plan.rows) == size
    np.testing.assert_array_equal(solution.map(x[plan.rows]), y[plan.columns])
    slack = cdist(x, y, "sqeuclidean") - solution.stats["source_potential"][:, None]
    slack -= solution.stats["target_potential"]
    slack[plan.rows, plan.columns] = np.inf
    # Far above the rounding of 1e-12: no point touches the cell of another.
    assert slack.min() > 1e-8
    other = np.asarray(solution.map(x + 1e-9))
    np.testing.assert_array_equal(other[plan.rows], y[plan.columns])


def test_twice_as_many_points():
    x, y = RNG.normal(size=(300, 3)), RNG.normal(size=(150, 3))
    solution = solve_assignment(x, y)
    plan = solution.stats["plan"]
    single = np.bincount(plan.rows, minlength=300)[plan.rows] == 1
    assert single.all()
    np.testing.assert_array_equal(solution.map(x[plan.rows]), y[plan.columns])


def test_on_the_line_it_is_the_monotone_plan():
    x, y = RNG.normal(size=(70, 1)), RNG.normal(size=(50, 1))
    a, b = RNG.dirichlet(np.ones(70)), RNG.dirichlet(np.ones(50))
    solution = solve_assignment(x, y, a, b)
    line = solve_line(x, y, source_weights=a, target_weights=b)
    assert solution.stats["cost"] == pytest.approx(line.stats["cost"], rel=1e-12)


def test_points_without_weight():
    x, y = RNG.normal(size=(30, 2)), RNG.normal(size=(20, 2))
    a, b = RNG.dirichlet(np.ones(30)), RNG.dirichlet(np.ones(20))
    a[:5], b[3:6] = 0.0, 0.0
    a, b = a / a.sum(), b / b.sum()
    solution = solve_assignment(x, y, a, b)
    _check(solution, x, y, a, b)
    assert not np.isin(solution.stats["plan"].columns, [3, 4, 5]).any()
    sent = np.asarray(solution.map(RNG.normal(size=(500, 2))))
    assert cdist(sent, y[3:6]).min() > 0


def test_a_common_shift_changes_nothing_but_the_offset():
    x, y = RNG.normal(size=(40, 2)), RNG.normal(size=(40, 2))
    near, far = solve_assignment(x, y), solve_assignment(x, y + 1e6)
    np.testing.assert_array_equal(near.stats["plan"].columns, far.stats["plan"].columns)


def test_the_network_simplex_cut_short_is_no_success(monkeypatch):
    monkeypatch.setattr(_assignment, "_MOST_PIVOTS", 3)
    x, y = RNG.normal(size=(50, 2)), RNG.normal(size=(40, 2))
    with pytest.warns(UserWarning, match="numItermax"):
        solution = solve_assignment(x, y, throw=False)
    assert solution.result.failed
    monkeypatch.undo()
    # Still a bound from below.
    assert solution.stats["dual"] < solve_assignment(x, y).stats["cost"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.full((2, 2), np.nan), np.ones((2, 2))), "source: .* NaN or infinite"),
        ((np.ones((2, 2)), np.ones((2, 3))), "target: got dimension 3; wants dimension 2"),
        ((np.ones((0, 2)), np.ones((2, 2))), r"source: got shape \(0, 2\)"),
        ((np.ones(3), np.ones((2, 1))), r"source: got shape \(3,\); wants \(n, d\)"),
        ((np.ones((2, 2)), np.ones((2, 2)), np.array([1.0, -1.0])), "source_weights: got negative"),
        ((np.ones((2, 2)), np.ones((2, 2)), None, np.ones(3)), r"target_weights: got shape \(3,\)"),
        ((np.ones((7000, 1)), np.ones((7000, 1))), "source: got 7,000 points .*EntropicMap"),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        solve_assignment(*arguments)
