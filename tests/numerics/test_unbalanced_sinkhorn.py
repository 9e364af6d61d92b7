"""Entropic transport whose marginals are held by a penalty."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import cdist

from brenier.numerics import _sinkhorn as module
from brenier.numerics import entropic_potential, sinkhorn

RNG = np.random.default_rng(0)
N, M, EPSILON = 40, 30, 0.1
X = RNG.standard_normal((N, 2))
Y = RNG.standard_normal((M, 2)) * [2.0, 0.5] + 1.0
A, B = (w / w.sum() for w in (RNG.exponential(size=N), RNG.exponential(size=M)))
COST = 0.5 * cdist(X, Y, "sqeuclidean")
PENALTIES = [(1.0, 1.0), (0.05, 0.05), (30.0, 1.0), (None, 1.0), (0.5, None)]


def _solve(penalties, a=A, b=B, epsilon=EPSILON, tolerance=1e-12, x=X, y=Y):
    return sinkhorn(
        x, y, a, b, epsilon=epsilon, source_penalty=penalties[0], target_penalty=penalties[1],
        tolerance=tolerance, max_iterations=3000,
    )  # fmt: skip


def _plan(result, a=A, b=B, cost=COST, epsilon=EPSILON):
    f, g = (np.asarray(z, np.float64) for z in (result.f, result.g))
    return a[:, None] * b * np.exp((f[:, None] + g - cost) / epsilon)


def _objective(plan, penalties, a, b):
    """The primal, of marginals that meet where there is no penalty."""

    def divergence(p, q):
        return float(np.sum(np.where(p > 0, p * np.log(np.maximum(p, 1e-300) / q), 0.0) - p + q))

    total = np.sum(COST * plan) + EPSILON * divergence(plan, a[:, None] * b)
    for penalty, marginal, weights in zip(
        penalties, (plan.sum(1), plan.sum(0)), (a, b), strict=True
    ):
        total += 0.0 if penalty is None else penalty * divergence(marginal, weights)
    return total


@pytest.mark.parametrize("penalties", PENALTIES)
@pytest.mark.parametrize("mass", [1.0, 1.7])
def test_plan_of_pot(penalties, mass):
    ot = pytest.importorskip("ot")
    if penalties[1] is None and mass != 1.0:
        mass = 1.0 / mass  # the plan has all of the target's mass: any will do
    result = _solve(penalties, b=mass * B)
    # POT's cost and penalties are ours; it takes an infinite one for a marginal that is held.
    reg_m = tuple(np.inf if penalty is None else penalty for penalty in penalties)
    pot = ot.unbalanced.sinkhorn_unbalanced(
        A, mass * B, COST, EPSILON, reg_m, reg_type="kl", stopThr=1e-14, numItermax=20_000
    )
    assert bool(result.converged)
    np.testing.assert_allclose(_plan(result, b=mass * B), pot, atol=1e-9)


@pytest.mark.parametrize("penalties", [(1.0, 1.0), (0.05, 3.0)])
def test_plan_of_ott(penalties):
    pytest.importorskip("ott")
    from ott.geometry import geometry
    from ott.problems.linear import linear_problem
    from ott.solvers.linear import sinkhorn as ott_sinkhorn

    # OTT's τ is ρ/(ρ + ε) of the penalty ρ, its squared distance is twice our cost, and its
    # entropy that of the plan alone: relative to a ⊗ b it is that of another cost.
    b = 1.7 * B
    cost = COST - EPSILON * np.log(A[:, None] * b)
    tau_a, tau_b = (penalty / (penalty + EPSILON) for penalty in penalties)
    with jax.enable_x64(True):
        problem = linear_problem.LinearProblem(
            geometry.Geometry(cost_matrix=jnp.asarray(cost), epsilon=EPSILON),
            jnp.asarray(A), jnp.asarray(b), tau_a=tau_a, tau_b=tau_b,
        )  # fmt: skip
        solver = ott_sinkhorn.Sinkhorn(threshold=1e-10, max_iterations=20_000)
        theirs = np.asarray(solver(problem).matrix)
    found = _plan(_solve(penalties, b=b), b=b)
    np.testing.assert_allclose(found, theirs, atol=1e-9)


@pytest.mark.parametrize("penalties", PENALTIES)
def test_marginals_are_weights_times_growth_and_the_primal_meets_the_dual(penalties):
    result = _solve(penalties)
    plan = _plan(result)
    rows, columns = A * result.source_growth, B * result.target_growth
    error = np.abs(plan.sum(1) - rows).sum() + np.abs(plan.sum(0) - columns).sum()
    assert error <= 2e-12 * plan.sum()
    dual = EPSILON * (1.0 - plan.sum())
    for penalty, potential, weights in zip(penalties, (result.f, result.g), (A, B), strict=True):
        if penalty is None:
            dual += float(weights @ potential)
        else:
            dual -= penalty * float(weights @ jnp.expm1(-potential / penalty))
    assert _objective(plan, penalties, A, B) == pytest.approx(dual, rel=1e-11)


def test_a_large_penalty_is_none():
    balanced = _plan(_solve((None, None)))
    apart = [
        np.abs(_plan(_solve((penalty, penalty), tolerance=1e-11)) - balanced).sum()
        for penalty in (1.0, 10.0, 100.0, 1e3, 1e6)
    ]
    assert (np.diff(apart) < 0).all()
    # Of the first order in 1/τ.
    assert apart[2] / apart[3] == pytest.approx(10.0, rel=0.1)
    assert apart[-1] < 1e-5


def test_far_clouds_and_units_change_nothing():
    result, unit, far = _solve((1.0, 2.0)), 1e3, 2.0**20
    moved = _solve((unit**2, 2.0 * unit**2), epsilon=EPSILON * unit**2, x=unit * X, y=unit * Y)
    np.testing.assert_allclose(moved.source_growth, result.source_growth, rtol=1e-9)
    grid = 2.0**-20  # what keeps its digits at that distance
    x, y = np.round(X / grid) * grid, np.round(Y / grid) * grid
    here, there = _solve((1.0, 2.0), x=x, y=y), _solve((1.0, 2.0), x=x + far, y=y + far)
    np.testing.assert_allclose(there.source_growth, here.source_growth, rtol=1e-9)


@pytest.mark.slow
def test_streaming_in_blocks_from_a_sample_changes_nothing(monkeypatch):
    # So few points of the sample that the full problem is left to solve.
    monkeypatch.setattr(module, "_COARSE_POINTS", 17)
    streamed = sinkhorn(
        X, Y, A, 1.7 * B, epsilon=EPSILON, source_penalty=1.0, target_penalty=0.5,
        tolerance=1e-12, block=16,
    )  # fmt: skip
    here = _solve((1.0, 0.5), b=1.7 * B)
    np.testing.assert_allclose(
        _plan(streamed, b=1.7 * B), _plan(here, b=1.7 * B), rtol=1e-9, atol=1e-12
    )
    again = sinkhorn(
        X, Y, A, 1.7 * B, epsilon=EPSILON, source_penalty=1.0, target_penalty=0.5,
        tolerance=1e-10, block=16, g=here.g,
    )  # fmt: skip
    assert int(again.iterations) == 1
    # The growth at new points, by the potential there.
    f = 1.0 / (1.0 + EPSILON) * entropic_potential(X, Y, here.g, 1.7 * B, epsilon=EPSILON)
    np.testing.assert_allclose(jnp.exp(-f), here.source_growth, rtol=1e-10)


@pytest.mark.parametrize("penalty", [1e-2, 1.0, 1e2])
def test_error_of_single_precision_is_the_true_one(penalty):
    x, y = X.astype(np.float32), Y.astype(np.float32)
    result = _solve(
        (penalty, penalty), A.astype(np.float32), B.astype(np.float32), 0.05, 1e-5, x, y
    )
    a, b = (np.float64(np.float32(w)) for w in (A, B))
    cost = 0.5 * cdist(np.float64(x), np.float64(y), "sqeuclidean")
    plan = _plan(result, a, b, cost, float(np.float32(0.05)))
    rate = float(np.float32(1.0) / np.float32(penalty))
    rows, columns = (w * np.exp(-rate * np.float64(f)) for w, f in ((a, result.f), (b, result.g)))
    error = np.abs(plan.sum(1) - rows).sum() + np.abs(plan.sum(0) - columns).sum()
    np.testing.assert_allclose(result.error, error / rows.sum(), rtol=1e-4)
    assert bool(result.converged)


def test_iterations_do_not_grow_with_the_penalty_over_epsilon():
    # Without the best constant they would, as τ/ε: some 20/(2 · 1e-3/1e3) at the end.
    counts = [int(_solve((p, p), tolerance=1e-9).iterations) for p in (10.0, 1e3, 1e5)]
    assert max(counts) < 300


@pytest.mark.parametrize("side", ["source_penalty", "target_penalty"])
@pytest.mark.parametrize("penalty", [0.0, -1.0, np.nan, np.inf, "1"])
def test_a_penalty_that_is_none_is_refused(side, penalty):
    with pytest.raises(ValueError, match=f"{side}: got .*; wants a finite number above 0"):
        sinkhorn(X, Y, epsilon=EPSILON, **{side: penalty})
