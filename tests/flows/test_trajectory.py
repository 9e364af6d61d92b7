"""Flows whose answer is a trajectory: Ctrl-C and what is told on the way."""

from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest

from brenier import Result
from brenier.flows import (
    annealed_sinkhorn,
    divergence_flow,
    parabolic_flow,
    sample_sinkhorn_flow,
    sinkhorn_flow,
)
from brenier.flows._trajectory import Moment, follow
from brenier.grids import Torus
from brenier.measures import Gaussian

CIRCLE = Torus([0.0], [2.0 * np.pi], [32])
DATA = np.random.default_rng(0).normal(size=(100, 1))


def _wave(x):
    return 0.3 * jnp.cos(x[0])


def _other(y):
    return 0.3 * jnp.sin(y[0])


FLOWS = {
    "sinkhorn": partial(sinkhorn_flow, _wave, _other, CIRCLE, [0.1, 0.2], epsilon=0.1),
    "annealed": partial(annealed_sinkhorn, _wave, _other, CIRCLE, levels=2),
    "parabolic": partial(parabolic_flow, _wave, _other, CIRCLE, [0.1, 0.2]),
    "divergence": partial(
        divergence_flow, _wave, _other, CIRCLE, 2, divergence="chi2", epsilon=0.1
    ),
    "sample": partial(
        sample_sinkhorn_flow, Gaussian.standard(1), DATA, epsilon=0.1, time=2.0, particles=64
    ),
}


@pytest.mark.parametrize("name", FLOWS)
def test_an_interrupted_flow_raises_or_returns_what_it_reached(name):
    seen = []

    def stop(progress):
        seen.append(progress)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        FLOWS[name](callback=stop)
    assert len(seen) == 1
    assert np.isfinite(seen[0].metric)
    solution = FLOWS[name](callback=stop, throw=False)
    assert solution.result is Result.interrupted
    assert np.isfinite(solution.map(np.array([[1.0]]))).all()


def test_parts_of_a_sample_flow_are_told_and_change_nothing():
    seen = []
    whole = FLOWS["sample"](callback=seen.append)
    assert [(now.step, now.steps) for now in seen] == [(10, 20), (20, 20)]
    assert whole.stats["iterations"] == 20
    assert seen[-1].metric == whole.stats["error"]


@pytest.mark.slow
def test_many_accelerated_iterations_are_taken_in_parts():
    seen = []
    run = partial(sample_sinkhorn_flow, Gaussian.standard(1), DATA, particles=64)
    end = run(epsilon=0.003, tolerance=1e-12, max_iterations=150, callback=seen.append, throw=False)
    assert [now.step for now in seen] == [100, 150]
    assert end.result is Result.not_converged


def test_a_flow_ends_at_its_first_failure():
    seen = []
    moments = iter([Moment(1, 0.5), Moment(2, result=Result.diverged), Moment(3, 0.1)])
    result = follow(moments, 3, stage="flowing", callback=seen.append, throw=True)
    assert result is Result.diverged
    assert [now.step for now in seen] == [1, 2]
    assert seen[-1].best_metric == 0.5
