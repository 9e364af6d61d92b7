"""The semi-dual against maps in closed form, and its parts against exact conjugates."""

import dataclasses
import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier.flows import HeldOutDual, SemiDual, advance, solve
from brenier.flows._semi_dual import _newton_step
from brenier.flows._semi_dual_clouds import SourceCloud, TargetCloud
from brenier.io import Checkpoint
from brenier.maps import AffineMap, GradientMap
from brenier.measures import Empirical, Gaussian
from brenier.numerics import conjugate
from brenier.potentials import ICNN, Quadratic
from brenier.problems import l2_uvp, separable

_KEYS = jax.random.split(jax.random.key(0), 4)


@pytest.mark.parametrize(
    ("dimension", "sharpness"), [(2, 20.0), pytest.param(17, 5.0, marks=pytest.mark.slow)]
)
@pytest.mark.slow
def test_newton_steps_climb_to_the_conjugates(dimension, sharpness):
    # Sharp bends: from far away Newton needs its damping. 17: conjugate gradients, no Hessian.
    potential = ICNN.identity(
        _KEYS[0], dimension, (16, 8), activation="squareplus", share=0.9, sharpness=sharpness
    )
    y = 3.0 * jax.random.normal(_KEYS[1], (50, dimension))

    def height(points):
        return jnp.sum(points * y, axis=1) - jax.vmap(potential.value)(points)

    @jax.jit
    def step(points):
        moved, residual = _newton_step(potential, y, points)
        return moved, residual, jnp.min(height(moved) - height(points))

    points, gains, residuals = y, [], []
    for _ in range(40):
        points, residual, gain = step(points)
        gains.append(float(gain))
        residuals.append(float(residual.max()))
    assert residuals[0] > 1e-2
    # The rounding of heights of up to 30 is all that a step may lose.
    assert min(gains) > -1e-12
    assert residuals[-1] < 1e-10
    exact = conjugate(potential.value, y, tolerance=1e-12).point
    # D²φ ≥ 0.1/2: an error is at most 20 residuals.
    np.testing.assert_allclose(points, exact, atol=1e-8)


@pytest.mark.slow
def test_held_out_dual_of_a_quadratic_is_closed_form():
    matrix = jnp.array([[2.0, 0.3], [0.3, 0.7]])
    x, y = jax.random.normal(_KEYS[2], (2, 300, 2))
    dual = HeldOutDual(x, y)(GradientMap(Quadratic.from_matrix(matrix, jnp.zeros(2))))
    inverse = jnp.linalg.inv(matrix)
    exact = 0.5 * jnp.mean(jnp.einsum("ni,ij,nj->n", x, matrix, x))
    exact += 0.5 * jnp.mean(jnp.einsum("ni,ij,nj->n", y, inverse, y))
    # Conjugates to 1e-5 of ‖y‖ cost its square in the value.
    np.testing.assert_allclose(dual, exact, rtol=1e-8)


@pytest.mark.slow
def test_learns_a_known_map():
    problem = separable(2)
    x = Empirical(problem.source.sample(_KEYS[0], 3000))
    y = Empirical(problem.target.sample(_KEYS[1], 3000))
    start = GradientMap(ICNN.identity(_KEYS[2], 2, (32,), activation="squareplus"))
    held = HeldOutDual(problem.source.sample(_KEYS[2], 500), problem.target.sample(_KEYS[3], 500))
    solution = solve(
        x,
        y,
        method=SemiDual(steps=400, batch=128, learning_rate=0.03),
        initial=start,
        key=_KEYS[3],
        metric=held,
        blocks=4,
    )
    test = problem.source.sample(jax.random.key(9), 2000)
    truth = problem.map(test)
    slope = np.cov(test.T, truth.T)[2:, :2] @ np.linalg.inv(np.cov(test.T))
    # The map bends by more than a line can; a tenth of that is left after 400 steps.
    assert l2_uvp(solution.map(test), truth) < 0.3 * l2_uvp(test @ slope.T, truth)
    assert solution.stats["best_metric"] < solution.stats["history"][0]


def test_weights_count_and_quadratics_give_the_gaussian_map():
    x = Empirical(np.array([[-1.0], [1.0]]))
    y = Empirical(np.array([[-2.0], [2.0], [40.0]]), np.array([1.0, 1.0, 0.0]))
    start = GradientMap(Quadratic.identity(1))
    method = SemiDual(steps=400, batch=64, learning_rate=0.1)

    @eqx.filter_jit
    def run():
        return method.current_map(
            advance(method, method.init(x, y, start, key=_KEYS[0]), x, y, 400)
        )

    map = run()
    # 64 draws of ±1: their mean errs by 1/8 a step, averaged over some hundred steps.
    np.testing.assert_allclose(map(np.array([[1.0]])), [[2.0]], atol=0.1)
    np.testing.assert_allclose(map(np.array([[-1.0]])), [[-2.0]], atol=0.1)


@pytest.mark.slow
def test_of_a_sorted_cloud_a_fair_part_is_seen_first_and_a_tenth_more_each_round():
    y = Empirical(np.linspace(-1.0, 1.0, 5000)[:, None])
    method = SemiDual(steps=40, batch=64)
    start = GradientMap(Quadratic.identity(1))
    state = method.init(y, y, start, key=_KEYS[0])
    first, second = (advance(method, state, y, y, steps) for steps in (16, 33))
    assert [int(first.target.seen), int(second.target.seen)] == [1024, 1126]
    # The mean of 1024 of 5000 points on [-1, 1] has a standard error of .016.
    for last in (first, second):
        assert abs(float(jnp.mean(y.points[~last.target.new]))) < 0.08
    assert int(jnp.sum(~first.target.new)) == 1024
    # Of the 1126, 38 are in no whole batch of the second round.
    assert 1126 - 38 <= int(jnp.sum(~second.target.new)) <= 1126


@pytest.mark.slow
def test_all_points_are_seen_in_the_end_and_each_in_its_turn():
    y = Empirical(np.linspace(-1.0, 1.0, 301)[:, None])
    method = SemiDual(steps=200, batch=16)
    state = method.init(y, y, GradientMap(Quadratic.identity(1)), key=_KEYS[0])
    last = advance(method, state, y, y, 200)
    assert int(last.target.seen) == 301
    assert not np.any(last.target.new)
    assert sorted(np.asarray(last.target.order).tolist()) == list(range(301))


def test_laws_are_drawn_for_the_steps_and_give_the_map_between_them():
    x, y = Gaussian.standard(1), Gaussian(jnp.array([3.0]), jnp.array([[4.0]]))
    method = SemiDual(steps=1500, batch=64, learning_rate=0.1)

    @eqx.filter_jit
    def run():
        start = GradientMap(Quadratic.identity(1))
        return advance(method, method.init(x, y, start, key=_KEYS[0]), x, y, 1500)

    last = run()
    assert len(last.source.drawn) == len(last.target.points) == 64 * (16 + 150)
    # They do not come to an end before the steps do, and few of them are never seen.
    assert 0.7 < int(last.target.seen) / len(last.target.points) <= 1.0
    # Every point seen has its conjugate, as well as its last visit left it.
    seen = ~last.target.new
    gradient = last.potential.gradient(last.target.conjugates[seen])
    assert jnp.mean(jnp.abs(gradient - last.target.points[seen])) < 0.05
    map = method.current_map(last)
    np.testing.assert_allclose(map(np.array([[-1.0], [1.0]])), [[1.0], [5.0]], atol=0.15)


def test_of_many_steps_no_more_is_drawn_than_memory_holds():
    for dimension, points in ((2, 2**18), (128, 2**17)):
        law = Gaussian.standard(dimension)
        drawn = jax.eval_shape(
            lambda law=law: SourceCloud.of(law, 1024, 10**6, jnp.float32, _KEYS[0]).drawn
        )
        assert drawn.shape == (points, dimension)


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [1, 8])
def test_batches_are_spread_and_few_of_their_points_are_new(rounds):
    """Means over a batch have less than half of the variance of as many independent draws."""
    law, batch = Gaussian.standard(2), 64
    source = SourceCloud.of(law, batch, 10_000, jnp.float64, _KEYS[0])
    target = TargetCloud.of(law, batch, 10_000, jnp.float64, _KEYS[1])
    for key in jax.random.split(_KEYS[2], rounds):
        target = dataclasses.replace(target, turn=target.seen).next_round(batch, key)
        batches = target.order[: int(target.seen) // batch * batch].reshape(-1, batch)
        fresh = jnp.sum(target.new[batches], axis=1)
        target = dataclasses.replace(target, new=target.new.at[batches].set(False))
    assert rounds == 1 or 1 <= int(jnp.max(fresh)) <= 1.5 * batch / 8
    keys = jax.random.split(_KEYS[0], 200)
    drawn = jnp.stack([source.batch(law, batch, key) for key in keys])
    for points in (target.points[batches], drawn):
        means = jnp.mean(points, axis=1)
        assert np.all(np.var(np.asarray(means), axis=0) < 0.5 / batch)


def test_dtype_follows_the_data():
    start = GradientMap(ICNN.identity(_KEYS[2], 1, (4,)))
    single = jax.tree.map(lambda a: a.astype(jnp.float32) if eqx.is_inexact_array(a) else a, start)
    cloud = Empirical(np.linspace(-1, 1, 5, dtype=np.float32)[:, None])
    method = SemiDual(steps=3)
    state = method.init(cloud, cloud, single, key=_KEYS[0])
    stepped = eqx.filter_eval_shape(method.step, state, cloud, cloud)
    shapes = [leaf for leaf in jax.tree.leaves(stepped) if isinstance(leaf, jax.ShapeDtypeStruct)]
    floats = [shape.dtype for shape in shapes if jnp.issubdtype(shape.dtype, jnp.floating)]
    assert floats
    assert set(floats) == {jnp.dtype(jnp.float32)}


# The driver's own tests stop and go on in seconds.
@pytest.mark.slow
def test_an_interrupted_run_ends_in_the_same_bits(tmp_path):
    cloud = Empirical(jax.random.normal(_KEYS[0], (40, 2)))
    start = GradientMap(ICNN.identity(_KEYS[2], 2, (4,)))
    # Three blocks; the bases of the optimiser are refreshed in the second.
    run = functools.partial(
        solve,
        cloud,
        cloud,
        method=SemiDual(steps=12, batch=20),
        initial=start,
        key=_KEYS[3],
        metric=lambda map: jnp.mean(map(cloud.points) ** 2),
        blocks=3,
    )

    def interrupt(now):
        if now.step == 4:
            raise KeyboardInterrupt

    whole = run()
    with pytest.raises(KeyboardInterrupt):
        run(callback=interrupt, checkpoint=Checkpoint(tmp_path / "run", every=1))
    resumed = run(checkpoint=Checkpoint(tmp_path / "run", every=1))
    assert resumed.stats["history"] == whole.stats["history"]
    for own, known in zip(jax.tree.leaves(resumed.map), jax.tree.leaves(whole.map), strict=True):
        np.testing.assert_array_equal(own, known)


def test_what_it_cannot_use():
    cloud = Empirical(np.eye(2))
    affine = AffineMap(np.eye(2), np.zeros(2))
    with pytest.raises(ValueError, match=r"initial: got AffineMap; wants a GradientMap"):
        SemiDual().init(cloud, cloud, affine, key=_KEYS[0])
    with pytest.raises(ValueError, match=r"map: got AffineMap"):
        HeldOutDual(np.eye(2), np.eye(2))(affine)
    with pytest.raises(ValueError, match=r"learning_rate: got -1"):
        SemiDual(learning_rate=-1.0)
