"""What importing brenier brings and sets: JAX's settings in any order, and no more than is used."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import brenier
from brenier import _program_cache

_HEAVY = {"jax", "matplotlib", "numpy", "pandas", "scipy", "sklearn"}
_DTYPE = "print(jax.numpy.ones(1).dtype, jax.config.jax_enable_x64)"


def _printed(program, **environment):
    """What a program prints in a process of its own, and nothing on stderr."""
    run = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stderr == ""
    return run.stdout.strip()


@pytest.mark.parametrize(
    "imports",
    [
        "import brenier; import jax",
        "import jax; jax.numpy.ones(1); import brenier",
        *(
            pytest.param(imports, marks=pytest.mark.slow)
            for imports in (
                "import jax; import brenier",
                "import brenier; from jax import numpy; import jax",
                "import brenier, importlib.util; importlib.util.find_spec('jax'); import jax.numpy",
                "import brenier.maps; import jax",
            )
        ),
    ],
)
def test_arrays_do_not_depend_on_the_order_of_imports(imports):
    # The user's are as without brenier, those of brenier as they were asked for.
    program = f"{imports}; {_DTYPE}; import numpy, brenier.measures as m; "
    program += "print(m.Empirical(numpy.ones((2, 1))).points.dtype)"
    env = {"JAX_ENABLE_X64": "0"}
    assert _printed(program, **env).split("\n") == ["float32 False", "float64"]


def test_brenier_alone_brings_no_jax_and_leaves_no_hook_behind():
    program = (
        "import sys, brenier; print('jax' in sys.modules)\n"
        "import jax; print([type(f).__name__ for f in sys.meta_path if 'brenier' in repr(f)])\n"
        "print(jax.__spec__.loader.get_source('jax') is not None)"
    )
    assert _printed(program).split("\n") == ["False", "[]", "True"]


@pytest.mark.parametrize("words", ["--help", "--version", "reproduce --help"])
def test_a_page_of_help_imports_no_arithmetic(words):
    program = (
        "import contextlib, io, sys; from brenier.cli import main\n"
        f"with contextlib.redirect_stdout(io.StringIO()): main({words.split()!r})\n"
        f"print(sorted(set(sys.modules) & {_HEAVY!r}))"
    )
    assert _printed(program) == "[]"


def test_the_version():
    printed = _printed("from brenier.cli import main; main(['--version'])")
    assert printed == f"brenier {brenier.__version__}"


_CACHE = "import jax, brenier; jax.numpy.ones(1); print(jax.config.jax_compilation_cache_dir)"


@pytest.mark.parametrize(
    "environment",
    [
        {"BRENIER_CACHE": "off"},
        pytest.param({"BRENIER_CACHE": "/dev/null/nowhere"}, marks=pytest.mark.slow),
        {"BRENIER_CACHE": "", "XDG_CACHE_HOME": "/proc/nowhere"},
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="folders of Linux")
def test_programs_are_not_kept_where_they_cannot_be(environment):
    assert _printed(_CACHE, **environment) == "None"


@pytest.mark.skipif(sys.platform != "linux", reason="folders of Linux")
def test_programs_are_kept_in_the_users_cache_and_read_again(tmp_path):
    program = (
        "import brenier, jax, jax.monitoring, numpy as np\n"
        "hits = []\n"
        "jax.monitoring.register_event_listener(\n"
        "    lambda name, **_: hits.append(name) if name.endswith('cache_hits') else None)\n"
        "x = np.random.default_rng(0).normal(size=(20, 20))\n"
        "y = jax.jit(lambda x: jax.numpy.linalg.svd(jax.numpy.tanh(x @ x))[1])(x)\n"
        "print(np.asarray(y).tobytes().hex(), len(hits) > 0)"
    )
    environment = {
        "BRENIER_CACHE": "",
        "XDG_CACHE_HOME": str(tmp_path),
        # As short as it may be compiled in.
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    (first, fresh), (second, kept) = (_printed(program, **environment).split() for _ in range(2))
    assert (fresh, kept) == ("False", "True")
    assert first == second
    folder = tmp_path / "brenier" / "programs"
    assert list(folder.glob("*-cache"))
    assert folder.stat().st_mode & 0o077 == 0


def test_the_users_own_cache_is_left_alone(tmp_path):
    own = str(tmp_path / "own")
    assert _printed(_CACHE, JAX_COMPILATION_CACHE_DIR=own) == own


def test_the_programs_longest_unread_go(tmp_path, monkeypatch):
    monkeypatch.setattr(_program_cache, "_MOST_BYTES", 400)
    for age in range(5):
        file = tmp_path / f"{age}-cache"
        file.write_bytes(bytes(100))
        os.utime(file, (1e9 - age, 1e9 - age))
    _program_cache._prune(tmp_path)
    assert sorted(path.name for path in Path(tmp_path).iterdir()) == ["0-cache", "1-cache"]


@pytest.mark.skipif(sys.platform == "win32", reason="modes of files")
def test_a_folder_that_others_write_is_not_read(tmp_path):
    tmp_path.chmod(0o777)
    assert not _program_cache._is_ours(tmp_path)
    tmp_path.chmod(0o700)
    assert _program_cache._is_ours(tmp_path)
