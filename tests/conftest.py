"""Calls in the tests are checked against their shape annotations; old programs are let go.

What needs an extra of brenier that is not installed is skipped, by the name of the extra: a test
module that imports one of its packages, and a test that does or that was told to install it.
"""

import os

# Before NumPy and SciPy: each worker has its core, and threads that wait for one spin. (Not
# OMP_NUM_THREADS, by which brenier itself would take one.)
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import gc
from collections import Counter
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import jax
import jaxtyping
import pytest

# Not the user's folder; a second run of the tests compiles little.
os.environ.setdefault("BRENIER_CACHE", str(Path(__file__).parents[1] / ".program_cache"))

# The references are computed in float64; brenier itself needs no such setting.
jax.config.update("jax_enable_x64", True)

# Tracing makes tens of thousands of objects a second, few of them in cycles: an eighth of the time
# went into looking for those.
gc.set_threshold(100_000, 50, 100)

_spec = spec_from_file_location("jaxtyping.first_calls", Path(__file__).with_name("first_calls.py"))
assert _spec is not None
assert _spec.loader is not None
_first_calls = module_from_spec(_spec)
_spec.loader.exec_module(_first_calls)
jaxtyping.jaxtyped = _first_calls.first_calls_jaxtyped
jaxtyping.install_import_hook("brenier", "beartype.beartype")


@pytest.fixture(autouse=True)
def checked_anew() -> None:
    _first_calls.CALLS.clear()


# Code that is not optimised, by XLA's older emitter: no number is another but in its rounding.
# By one thread: the workers have a core each.
_QUICK_CODE = "--xla_backend_optimization_level=0 --xla_cpu_parallel_codegen_split_count=1"
_OLDER_EMITTER = "--xla_cpu_use_fusion_emitters=false"

# What tests run or read as programs holds no examples: doctests would import it.
_TESTS = Path(__file__).parent
collect_ignore = [
    str(path) for path in _TESTS.rglob("*.py") if not path.name.startswith(("test_", "conftest"))
]

# Linux gives a process 65,530 memory maps; a compiled program takes some, and where none are left
# the next compilation ends in a segmentation fault.
_MANY_MAPS = 50_000


def pytest_configure(config: pytest.Config) -> None:
    """Programs that run once are compiled in half of the time; slow tests have XLA's best code."""
    if config.option.markexpr == "not slow":
        # XLA ends the process at a flag that it does not know: newer ones were not asked.
        older = _OLDER_EMITTER if jax.__version_info__ < (0, 11) else ""
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_QUICK_CODE} {older}"


@pytest.fixture(autouse=True, scope="module")
def few_programs() -> Iterator[None]:
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and len(maps.read_bytes().splitlines()) > _MANY_MAPS:
        jax.clear_caches()


# Here, behind the hook above.
from brenier import _extras  # noqa: E402

_ABSENT = {package for package in _extras.EXTRAS if not _extras.is_installed(package)}
_ASKED_FOR: list[str] = []


@pytest.fixture(autouse=True)
def asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Notes what the test is told to install, by whatever path the words reach it."""
    _ASKED_FOR.clear()
    if not _ABSENT:
        return
    missing = _extras.missing_extra

    def noted(name: str, package: str) -> Exception:
        _ASKED_FOR.append(package)
        return missing(name, package)

    monkeypatch.setattr(_extras, "missing_extra", noted)


@pytest.hookimpl(tryfirst=True)  # before those are left out that are not asked for
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Cases of a test that are not among its daily ones are slow."""
    for item in items:
        daily = item.get_closest_marker("daily")
        if daily is not None:
            assert isinstance(item, pytest.Function)
            if not set(daily.args) & set(map(str, item.callspec.params.values())):
                item.add_marker("slow")


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Any:
    """A module whose import fails for want of what is absent has no tests."""
    report = yield
    if report.failed:
        for package in _ABSENT:
            if f"No module named '{package}'" in str(report.longrepr):
                report.outcome = "skipped"
                report.longrepr = (str(collector.path), 0, _skipped(package))
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """A test that failed for want of what is absent is skipped."""
    report = yield
    if report.failed and call.excinfo is not None:
        error: BaseException | None = call.excinfo.value
        asked = list(_ASKED_FOR)
        while error is not None:
            asked += [(error.name or "").split(".")[0]] if isinstance(error, ImportError) else []
            error = error.__cause__ or error.__context__
        for package in set(asked) & _ABSENT:
            report.outcome = "skipped"
            report.longrepr = (str(item.path), item.location[1] or 0, _skipped(package))
    return report


def _skipped(package: str) -> str:
    return f"Skipped: needs {package}: pip install 'brenier[{_extras.EXTRAS[package]}]'"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Why tests were skipped, and how many."""
    skipped = terminalreporter.stats.get("skipped", [])
    for reason, count in Counter(report.longrepr[2] for report in skipped).most_common():
        terminalreporter.write_line(f"{count} {reason[:1].lower()}{reason[1:]}")
