"""Several devices and several processes give what one device gives, within rounding."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier.measures import Empirical
from brenier.numerics import copy_to_all, split_rows

# Run in processes of their own: the number of devices is settled when JAX starts.
_WORK = """
import json, sys
import jax, jax.numpy as jnp, numpy as np
if len(sys.argv) > 1:
    jax.distributed.initialize(f"127.0.0.1:{sys.argv[1]}", 2, int(sys.argv[2]))
import brenier
from brenier.flows import HeldOutDual, SemiDual
from brenier.numerics import copy_to_all, sinkhorn, split_rows

rng = np.random.default_rng(0)
x, y = rng.normal(size=(400, 2)), rng.normal(size=(200, 2)) * [2.0, 0.5] + 1.0

def both(split, whole):
    key, start = jax.random.key(0), brenier.maps.GradientMap(
        brenier.potentials.ICNN.identity(jax.random.key(1), 2, (8,)))
    solution = brenier.solve(
        split(brenier.measures.Empirical(x)), split(brenier.measures.Empirical(y)),
        initial=whole(start), key=whole(key), method=SemiDual(steps=40, batch=64, rate=0.01),
        metric=whole(HeldOutDual(x[:50], y[:50])), blocks=2,
    )
    plan = sinkhorn(split(jnp.asarray(x)), whole(jnp.asarray(y)), epsilon=0.1)
    moved = solution.map(whole(jnp.asarray(x[:9])))
    return {"history": solution.stats["history"], "moved": np.asarray(moved).ravel().tolist(),
            "iterations": int(plan.iterations), "dual": float(plan.f.mean() + plan.g.mean())}

one = both(lambda tree: tree, lambda tree: tree)
many = both(split_rows, copy_to_all)
print(json.dumps({"devices": jax.device_count(), "one": one, "many": many}))
"""


def _environment(devices):
    source = str(Path(__file__).parents[2] / "src")
    flags = f"--xla_force_host_platform_device_count={devices}"
    return {**os.environ, "PYTHONPATH": source, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}


def _compared(text, devices):
    report = json.loads(text.strip().splitlines()[-1])
    one, many = report["one"], report["many"]
    assert report["devices"] == devices
    # 40 steps in float64: rounding in the sums of a batch, and what the steps make of it.
    np.testing.assert_allclose(many["history"], one["history"], rtol=1e-9)
    np.testing.assert_allclose(many["moved"], one["moved"], rtol=1e-7, atol=1e-9)
    assert many["iterations"] == one["iterations"]
    np.testing.assert_allclose(many["dual"], one["dual"], rtol=1e-10)


@pytest.mark.slow
def test_four_devices():
    run = subprocess.run(
        [sys.executable, "-c", _WORK],
        env=_environment(4),
        check=True,
        capture_output=True,
        text=True,
    )
    _compared(run.stdout, 4)


@pytest.mark.slow
def test_two_processes():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", _WORK, str(port), str(i)],
            env=_environment(1),
            stdout=subprocess.PIPE,
            text=True,
        )
        for i in range(2)
    ]
    try:
        outputs = [run.communicate(timeout=900)[0] for run in runs]
    finally:
        for run in runs:
            run.kill()
    assert [run.returncode for run in runs] == [0, 0]
    for output in outputs:
        _compared(output, 2)


def test_on_one_device_nothing_changes():
    cloud = Empirical(np.arange(6.0).reshape(3, 2), np.array([1.0, 2.0, 1.0]))
    placed = split_rows(cloud)
    np.testing.assert_array_equal(placed.points, cloud.points)
    np.testing.assert_array_equal(placed.weights, cloud.weights)
    key = copy_to_all(jax.random.key(3))
    np.testing.assert_array_equal(jax.random.normal(key), jax.random.normal(jax.random.key(3)))


def test_rows_that_do_not_divide_are_refused():
    # One real device stands for two: the check comes before any placing.
    with pytest.raises(ValueError, match="got an array of 3 rows for 2 devices; wants a multiple"):
        split_rows(jnp.ones(3), [jax.devices()[0]] * 2)
