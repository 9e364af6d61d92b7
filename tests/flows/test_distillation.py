"""A convex network regressed on a known map."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier import Checkpoint, Result
from brenier.flows import Distillation, distill
from brenier.maps import AffineMap, GradientMap
from brenier.measures import Empirical, Gaussian
from brenier.potentials import LogSumExp, Quadratic

KEY = jax.random.key(0)


@pytest.mark.slow
def test_learns_a_map_that_bends():
    phi = LogSumExp(
        jnp.array([[-1.5, 0.0], [1.5, 0.0], [0.0, 1.5]]), jnp.zeros(3), jnp.log(0.5), jnp.log(0.3)
    )
    source = Gaussian.standard(2)
    solution = distill(GradientMap(phi), source, key=KEY, widths=(32,), steps=600, points=4096)
    assert isinstance(solution.map, GradientMap)
    x = source.sample(jax.random.key(5), 2000)
    gap = solution.map(x) - phi.gradient(x)
    measured = jnp.mean(jnp.sum(gap**2, axis=1)) / jnp.sum(jnp.var(phi.gradient(x), axis=0))
    ones = jnp.column_stack([x, jnp.ones(len(x))])
    left = jnp.linalg.lstsq(ones, phi.gradient(x))[1].sum() / len(x)
    # Well beyond the best affine map, though so few units in so few steps are not there yet.
    assert measured < 0.5 * left / jnp.sum(jnp.var(phi.gradient(x), axis=0))
    # Two draws of some thousand points.
    assert float(measured) == pytest.approx(solution.stats["relative_error"], rel=0.3)


@pytest.mark.slow
def test_a_gaussian_map_is_there_from_the_start():
    turn = AffineMap(jnp.array([[2.0, 0.5], [0.5, 1.0]]), jnp.array([3.0, -1.0]))
    solution = distill(turn, Gaussian.standard(2), key=KEY, widths=(4,), steps=1, points=20_000)
    assert solution.stats["relative_error"] < 0.05
    assert solution.map(np.zeros((1, 2))).shape == (1, 2)


@pytest.mark.slow
def test_an_interrupted_distillation_resumes_to_the_same_bits(tmp_path):
    turn = AffineMap(jnp.array([[2.0]]), jnp.array([1.0]))
    store = Checkpoint(tmp_path / "run.ckpt", every=100)
    run = partial(
        distill, turn, Gaussian.standard(1), key=KEY, widths=(4,), steps=4, batch=16, points=64
    )
    seen = []

    def stop(progress):
        seen.append(progress)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(callback=stop, checkpoint=store)
    assert [(now.step, now.steps) for now in seen] == [(1, 4)]
    whole, resumed = run(), run(checkpoint=store)
    assert resumed.stats["history"] == whole.stats["history"]
    x = np.array([[0.5]])
    np.testing.assert_array_equal(resumed.map(x), whole.map(x))
    assert run(callback=stop, throw=False).result is Result.interrupted


def test_pairs_are_wanted():
    cloud, start = Empirical(jnp.eye(2)), GradientMap(Quadratic.identity(2))
    with pytest.raises(ValueError, match="target: got Gaussian; wants an Empirical"):
        Distillation().init(cloud, Gaussian.standard(2), start, key=KEY)
    with pytest.raises(ValueError, match="target: got 3 points; wants 2"):
        Distillation().init(cloud, Empirical(jnp.ones((3, 2))), start, key=KEY)
    with pytest.raises(ValueError, match="initial: got AffineMap"):
        Distillation().init(cloud, cloud, AffineMap.identity(2), key=KEY)


def test_bad_input():
    map = AffineMap.identity(2)
    with pytest.raises(ValueError, match="map: got dimension 2; wants dimension 1"):
        distill(map, Gaussian.standard(1), key=KEY)
    with pytest.raises(ValueError, match="steps: got 0"):
        distill(map, Gaussian.standard(2), key=KEY, steps=0)
