"""Every call in the tests is checked against its shape annotations; old programs are let go."""

import os
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest
from jaxtyping import install_import_hook

# Not the user's folder; a second run of the tests compiles little.
os.environ.setdefault("BRENIER_CACHE", str(Path(__file__).parents[1] / ".program_cache"))

# The references are computed in float64; brenier itself needs no such setting.
jax.config.update("jax_enable_x64", True)

install_import_hook("brenier", "beartype.beartype")

# Linux gives a process 65,530 memory maps; a compiled program takes some, and where none are left
# the next compilation ends in a segmentation fault.
_MANY_MAPS = 30_000


@pytest.fixture(autouse=True, scope="module")
def few_programs() -> Iterator[None]:
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and len(maps.read_bytes().splitlines()) > _MANY_MAPS:
        jax.clear_caches()
