"""Several devices and several processes give what one device gives, within rounding."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from brenier.measures import Empirical
from brenier.numerics import _devices, copy_to_all, split_rows

HERE = Path(__file__).parent
# One of each way to share: rows, sums over tiles, conjugates, a user's device, steps, images.
CASES = [
    "streamed plan", "projection of three", "mean distance, far", "conjugates", "held-out dual",
    "codes by the host",
]  # fmt: skip
# Of the same kinds; they compile for longer.
MORE = [
    "steps",
    "L-BFGS",
    "entropic map",
    "unbalanced plan",
    "error of a rough plan",
    "potential",
    "mean distance",
    "energy distance",
    "self transport",
    "gradient",
    "steps in single precision",
    "maximum mean discrepancy",
    "of a kernel",
    "interaction",
    "flow matching",
    "training of images",
    "codes",
    "images",
]

# Two processes of one device each; that they are two is settled when JAX starts.
_WORK = """
import json, sys
import jax, jax.numpy as jnp, numpy as np
jax.distributed.initialize(f"127.0.0.1:{sys.argv[1]}", 2, int(sys.argv[2]))
import brenier
from brenier.flows import HeldOutDual, SemiDual
from brenier.numerics import copy_to_all, sinkhorn, split_rows

rng = np.random.default_rng(0)
x, y = rng.normal(size=(401, 2)), rng.normal(size=(200, 2)) * [2.0, 0.5] + 1.0

def both(split, whole):
    key = jax.random.key(0)
    start = brenier.maps.GradientMap(brenier.potentials.Quadratic.identity(2))
    solution = brenier.solve(
        split(brenier.measures.Empirical(x)), split(brenier.measures.Empirical(y)),
        initial=whole(start), key=whole(key), method=SemiDual(steps=20, batch=64),
        metric=whole(HeldOutDual(x[:50], y[:50])), blocks=2,
    )
    plan = sinkhorn(split(x), whole(y), epsilon=0.1)
    moved = solution.map(whole(x[:9]))
    return {"history": solution.stats["history"], "moved": np.asarray(moved).ravel().tolist(),
            "iterations": int(plan.iterations), "dual": float(plan.f.mean() + plan.g.mean())}

one = both(lambda tree: tree, lambda tree: tree)
many = both(split_rows, copy_to_all)
print(json.dumps({"devices": jax.device_count(), "one": one, "many": many}))
"""


def _environment(devices):
    source = str(HERE.parents[1] / "src")
    own = os.environ.get("XLA_FLAGS", "")
    flags = f"{own} --xla_force_host_platform_device_count={devices}"
    return {**os.environ, "PYTHONPATH": source, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}


@pytest.fixture(scope="module")
def report():
    return _report(CASES)


@pytest.fixture(scope="module")
def more():
    return _report(MORE)


def _report(cases):
    """What ``four_devices.py`` found, in a process of its own: JAX starts with four devices."""
    run = subprocess.run(
        [sys.executable, str(HERE / "four_devices.py"), *cases],
        env=_environment(4),
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.strip().splitlines()[-1])


def test_four_devices_have_all_cases(report):
    assert report["devices"] == 4
    assert sorted(report["known"]) == sorted(CASES + MORE)


@pytest.mark.parametrize("case", CASES)
def test_four_devices_by_themselves(report, case):
    _assert_shared(report["cases"][case])


@pytest.mark.slow
@pytest.mark.parametrize("case", MORE)
def test_four_devices_by_themselves_in_all_that_they_do(more, case):
    _assert_shared(more["cases"][case])


def _assert_shared(found):
    assert found["shared"] > 0
    # On the device, bound or not, in the shape and of the dtype that one device gives.
    assert found["back"]
    # Sums in another order, and what steps and iterations make of their last digits.
    assert found["apart"] < 4500


def test_when_work_is_shared(report):
    found = report["decisions"]
    assert found.pop("many") == 1
    assert found.pop("by_two_threads") in (1, 2)
    assert set(found.values()) == {0}, found


@pytest.mark.parametrize("factorises", [True, False])
def test_accelerators_share_what_takes_a_millisecond(monkeypatch, factorises):
    two = 2 * [SimpleNamespace(platform="gpu")]
    monkeypatch.setattr(_devices, "_siblings", lambda given: two)
    monkeypatch.setattr(_devices, "_shared", lambda *given: "shared")
    call = _devices.over_devices(lambda size: size, factorises=factorises)(lambda size: "alone")
    assert [call(size) for size in (2**18, 2**24 - 1, 2**24)] == ["alone", "alone", "shared"]


def test_any_number_of_rows_is_split(report):
    assert report["rows"]["parts"] == {
        "1": [1, 1, 1, 1], "3": [3, 3, 3, 3], "4": [1, 1, 1, 1], "6": [3, 3, 3, 3],
        "7": [7, 7, 7, 7], "8": [2, 2, 2, 2],
    }  # fmt: skip
    assert report["rows"]["apart"] < 1e-12
    assert report["rows"]["shared"] == 0


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
        report = json.loads(output.strip().splitlines()[-1])
        one, many = report["one"], report["many"]
        assert report["devices"] == 2
        # 20 steps in float64: rounding in the sums of a batch, and what the steps make of it.
        np.testing.assert_allclose(many["history"], one["history"], rtol=1e-9)
        np.testing.assert_allclose(many["moved"], one["moved"], rtol=1e-7, atol=1e-9)
        assert many["iterations"] == one["iterations"]
        np.testing.assert_allclose(many["dual"], one["dual"], rtol=1e-10)


def test_on_one_device_nothing_changes():
    cloud = Empirical(np.arange(6.0).reshape(3, 2), np.array([1.0, 2.0, 1.0]))
    placed = split_rows(cloud)
    np.testing.assert_array_equal(placed.points, cloud.points)
    np.testing.assert_array_equal(placed.weights, cloud.weights)
    key = copy_to_all(jax.random.key(3))
    np.testing.assert_array_equal(jax.random.normal(key), jax.random.normal(jax.random.key(3)))
