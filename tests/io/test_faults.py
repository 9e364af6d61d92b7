"""What a run survives: kill -9, a full disk, a folder that cannot be written to, damaged files."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from brenier import Checkpoint
from brenier.io._refusals import refusing

_STATES = [{"step": jnp.asarray(float(i)), "values": jnp.arange(50.0)} for i in range(4)]


def _step(checkpoint):
    return float(checkpoint.load(_STATES[0])["step"])


def test_the_one_before_is_taken_up_where_the_last_is_damaged(tmp_path):
    path = tmp_path / "run"
    checkpoint = Checkpoint(path)
    for state in _STATES[1:3]:
        checkpoint.save(state)
    for damage in (lambda data: data[:-100], lambda data: b"", lambda data: b"\0" * len(data)):
        whole = path.read_bytes()
        path.write_bytes(damage(whole))
        with pytest.warns(RuntimeWarning, match=r"The checkpoint before it, .*run\.previous"):
            assert _step(checkpoint) == 1.0
        assert _step(checkpoint) == 1.0
        assert (tmp_path / "run.damaged").exists()
        checkpoint.save(_STATES[2])
        assert _step(checkpoint) == 2.0
    checkpoint.remove()
    assert [file.name for file in tmp_path.iterdir()] == ["run.damaged"]
    assert checkpoint.load(_STATES[0]) is None


def test_a_deleted_checkpoint_starts_anew(tmp_path):
    checkpoint = Checkpoint(tmp_path / "run")
    checkpoint.save(_STATES[1])
    checkpoint.save(_STATES[2])
    (tmp_path / "run").unlink()
    assert checkpoint.load(_STATES[0]) is None


_FULL = """
import resource, signal, sys
import jax.numpy as jnp
from brenier import Checkpoint
from brenier.cli import main
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a file past the limit is then an error: EFBIG
checkpoint = Checkpoint("run")
checkpoint.save({"values": jnp.zeros(10)})
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    checkpoint.save({"values": jnp.zeros(10_000)})
except OSError as error:
    print(error)
print(checkpoint.load({"values": jnp.ones(10)})["values"].tolist() == [0.0] * 10)
print(main(["transport", "map.brenier", "new.npy", "-o", "out.npy"]))
"""


@pytest.mark.slow
def test_a_full_disk_is_said_and_loses_nothing(tmp_path):
    """A limit on the size of files stands for the disk: the write fails half way in both."""
    import brenier

    brenier.save(tmp_path / "map.brenier", brenier.maps.AffineMap.identity(2))
    np.save(tmp_path / "new.npy", np.ones((5000, 2)))
    (tmp_path / "out.npy").write_text("before")
    run = subprocess.run(
        [sys.executable, "-c", _FULL],
        cwd=tmp_path,
        env=_environment(),
        check=True,
        text=True,
        capture_output=True,
    )
    said, kept, code = run.stdout.strip().split("\n")
    assert "run: could not save a checkpoint (File too large); the checkpoint before it is" in said
    assert kept == "True"
    assert int(code) == 1
    assert run.stderr == "brenier: [Errno 27] File too large: 'out.npy'\n"
    assert (tmp_path / "out.npy").read_text() == "before"
    assert {f.name for f in tmp_path.iterdir()} == {"map.brenier", "new.npy", "out.npy", "run"}


def test_a_folder_that_cannot_be_written_to_is_said_before_the_run(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="got a folder that does not exist"):
        Checkpoint(tmp_path / "no" / "run").load(_STATES[0])
    # Root may write anywhere, so what the system would answer is put in its place.
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(ValueError, match="got a folder that cannot be written to"):
        Checkpoint(tmp_path / "run").load(_STATES[0])


_FIT = """
import sys
import jax, numpy as np
import brenier
from brenier.flows import HeldOutDual, SemiDual

rng = np.random.default_rng(0)
x, y = rng.normal(size=(400, 2)), rng.normal(size=(400, 2)) ** 3
start = brenier.maps.GradientMap(brenier.potentials.ICNN.identity(jax.random.key(1), 2, (8,)))
print("started", flush=True)
solution = brenier.solve(
    brenier.measures.Empirical(x), brenier.measures.Empirical(y), initial=start,
    method=SemiDual(steps=6000, batch=32, learning_rate=0.01), key=jax.random.key(0), blocks=600,
    metric=HeldOutDual(x[:50], y[:50]), checkpoint=brenier.Checkpoint(sys.argv[1], every=1),
    callback=lambda now: print(now.step, flush=True),
)
brenier.save(sys.argv[2], solution.map)
"""


@pytest.mark.slow
def test_ten_times_killed_at_random_moments_ends_in_the_same_map(tmp_path):
    """SIGKILL asks nobody: what is on the disk then is all there is."""
    environment = {
        **_environment(),
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
    }
    (tmp_path / "fit.py").write_text(_FIT)

    def command(name):
        return [sys.executable, "fit.py", f"{name}.checkpoint", f"{name}.brenier"]

    subprocess.run(
        command("whole"), cwd=tmp_path, env=environment, check=True, stdout=subprocess.DEVNULL
    )
    moments = random.Random(0)
    reached = []
    for _ in range(10):
        with subprocess.Popen(
            command("killed"), cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline(), process.stdout.readline()]  # started; a first block
            time.sleep(moments.uniform(0.0, 1.0))
            process.kill()
            lines += process.stdout.readlines()
        reached.append(int(lines[-1]))
    assert reached == sorted(reached)  # no run falls behind the one before it
    subprocess.run(
        command("killed"), cwd=tmp_path, env=environment, check=True, stdout=subprocess.DEVNULL
    )
    first, second = ((tmp_path / f"{name}.brenier").read_bytes() for name in ("whole", "killed"))
    assert first == second
    parts = [file.name for file in tmp_path.iterdir() if file.suffix == ".part"]
    assert len(parts) <= 10  # at most one half-written file of each death


def _environment():
    source = str(Path(__file__).parents[2] / "src")
    return {**os.environ, "PYTHONPATH": source}


@pytest.mark.parametrize(
    "full",
    [
        MemoryError(),
        jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes."),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    ],
)
def test_a_full_memory_is_not_the_files_fault(full):
    with pytest.raises(type(full)) as caught, refusing("a.bin", "a damaged file", "another"):
        raise full
    assert caught.value is full
