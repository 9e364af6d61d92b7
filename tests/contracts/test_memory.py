"""A device that is out of memory is one error in words: what was asked for, what would fit."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import brenier
from brenier._arithmetic import in_own_arithmetic
from brenier._memory import in_words, is_out_of_memory
from brenier.cli import main
from brenier.maps import GradientMap
from brenier.numerics import squared_distances
from brenier.potentials import Quadratic

PAGE = (
    "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 64.00GiB.\n"
    "BufferAssignment OOM Debugging.\n" + 40 * "some buffer\n"
)
# As JAX and torch have said it.
SAID = [
    PAGE,
    "RESOURCE_EXHAUSTED: Out of memory allocating 68719476736 bytes.",
    "INTERNAL: Error dispatching computation: Out of memory allocating 68719476736 bytes.",
    "RESOURCE_EXHAUSTED: Failed to allocate request for 64.00GiB (68719476736B) on device ordinal",
    "INTERNAL: CUDA_ERROR_OUT_OF_MEMORY: out of memory (64.0 GiB)",
    "CUDA out of memory. Tried to allocate 64.00 GiB.",
]
REMEDIES = "a smaller block.*float32.*fewer points"


def exhausted(*args, **kwargs):
    raise jax.errors.JaxRuntimeError(PAGE)


@pytest.mark.parametrize("said", SAID)
def test_what_was_asked_for_is_one_line(said):
    error = jax.errors.JaxRuntimeError(said)
    assert is_out_of_memory(error)
    words = str(in_words(error))
    assert "no room for 64 GiB" in words
    assert "\n" not in words


def test_other_errors_stay_what_they_are():
    def fail():
        raise jax.errors.JaxRuntimeError("INTERNAL: no such kernel")

    with pytest.raises(jax.errors.JaxRuntimeError, match="no such kernel"):
        in_own_arithmetic(fail)()


def test_what_would_fit_is_said_where_the_device_knows(monkeypatch):
    stats = {"bytes_limit": 24 * 2**30, "bytes_in_use": 8 * 2**30}
    gpu = SimpleNamespace(device_kind="A GPU", memory_stats=lambda: stats)
    monkeypatch.setattr(jax, "local_devices", lambda: [gpu])
    words = str(in_words(jax.errors.JaxRuntimeError(PAGE)))
    assert words.startswith("A GPU: no room for 64 GiB, where 16 GiB are free; what takes 0.25 of")
    stats["bytes_in_use"] = 25 * 2**30  # nothing is left: no share of what was asked for fits
    assert "where 0 bytes are free (" in str(in_words(jax.errors.JaxRuntimeError(PAGE)))


def test_a_call_a_step_and_a_nested_call_say_it_once():
    @in_own_arithmetic
    def steps():
        yield 1
        exhausted()

    made = steps()
    assert next(made) == 1
    with pytest.raises(MemoryError, match=REMEDIES):
        next(made)
    inner = in_own_arithmetic(lambda: exhausted())
    for call in (inner, in_own_arithmetic(lambda: inner())):
        with pytest.raises(MemoryError, match=REMEDIES) as caught:
            call()
        assert caught.value.__suppress_context__
        # Where it happened is not lost.
        assert caught.traceback[-1].name == "exhausted"


def test_under_the_users_own_float64_and_products():
    own = jax.enable_x64(True), jax.default_matmul_precision("highest")
    with own[0], own[1], pytest.raises(MemoryError, match=REMEDIES):
        in_own_arithmetic(exhausted)()


@pytest.mark.parametrize(
    "call",
    [
        lambda x: squared_distances(x, x),
        in_own_arithmetic(jax.jit(lambda x: squared_distances(x, x))),
    ],
    ids=["op by op", "compiled"],
)
def test_a_true_allocation_that_is_too_large(call):
    # 64-bit machines have 2^47 bytes of addresses; these would take 2^49.
    with pytest.raises(MemoryError, match=f"no room for 51[0-9] TiB.*{REMEDIES}"):
        call(jnp.zeros((2**23, 1)))


def test_an_audit_of_anyones_map():
    x = np.random.default_rng(0).normal(size=(300, 2))
    with pytest.raises(MemoryError, match=REMEDIES):
        brenier.audit(exhausted, x, x, key=jax.random.key(0))

    class Late:
        """An array whose computation fails when it is looked at."""

        __array__ = exhausted

    with pytest.raises(MemoryError, match=REMEDIES):
        brenier.audit(lambda x: Late(), x, x, key=jax.random.key(0))
    with pytest.raises(MemoryError, match=REMEDIES):
        brenier.audit(lambda x: x, Late(), x, key=jax.random.key(0))


def test_the_command_line_says_it_in_one_line(tmp_path, monkeypatch, capsys):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(50, 2)))
    brenier.save(tmp_path / "map.brenier", GradientMap(Quadratic.identity(2)))
    monkeypatch.setattr("brenier.numerics._blocks._compiled", exhausted)
    path = [str(tmp_path / name) for name in ("map.brenier", "x.npy", "y.npy")]
    assert main(["transport", *path[:2], "-o", path[2]]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("brenier: out of memory. cpu: no room for 64 GiB (a smaller block")
    assert not (tmp_path / "y.npy").exists()
