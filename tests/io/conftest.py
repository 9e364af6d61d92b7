"""A small seeded fuzzer, the two answers a reader may give, and writers killed everywhere."""

import copy
import io
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

_DEEP: list[Any] = []
for _ in range(300):
    _DEEP = [_DEEP]
_HOSTILE = (
    *(None, True, False, 0, -1, 1, 2, 3, 7, 10**9, 10**25, 0.5, -0.5, 1e30, 1e-320, float("inf")),
    *(float("nan"), "", "x", "a/b", "\n", "\0", "nan", "é" * 3000, "os.system", [], {}, [1, 2]),
    *(["x"], [[1.0]], {"array": 0}, {"array": 99}, {"float": "nan"}, {"list": []}, _DEEP),
)
_CALLS = (
    *("open", "close", "fsync", "replace", "rename", "link", "unlink", "remove"),
    *("chmod", "mkdir", "rmdir", "symlink", "truncate", "utime"),
)

_WORDS = (b"\x00", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"9" * 12, b"-1", b"nan", b"{", b'"')


@pytest.fixture(scope="session")
def mutations() -> Callable[..., Iterator[bytes]]:
    """``mutations(whole, seed, count, head=512)``: see ``_mutations``."""
    return _mutations


@pytest.fixture(scope="session")
def read_or_refused() -> Callable[[Callable[[], Any], Path], Any]:
    """``read_or_refused(read, path)``: see ``_read_or_refused``."""
    return _read_or_refused


def _mutations(whole: bytes, seed: int, count: int, head: int = 512) -> Iterator[bytes]:
    """``count`` changed copies: half of the changes are among the first ``head`` bytes.

    Bits turned, bytes replaced, runs cut out, doubled, zeroed or moved, hostile words put in,
    ends cut off: one to three of these a copy.
    """
    draws = np.random.default_rng(seed)
    for _ in range(count):
        changed = bytearray(whole)
        for _ in range(draws.integers(1, 4)):
            _change(changed, draws, head)
        yield bytes(changed)


def _change(data: bytearray, draws: np.random.Generator, head: int) -> None:
    if not data:
        return
    end = len(data) if draws.random() < 0.5 else min(head, len(data))
    at = int(draws.integers(end))
    to = min(len(data), at + int(2 ** draws.uniform(0, 8)))
    match draws.integers(8):
        case 0:
            data[at] ^= 1 << int(draws.integers(8))
        case 1:
            data[at] = int(draws.integers(256))
        case 2:
            del data[at:to]
        case 3:
            data[at:at] = data[at:to]
        case 4:
            data[at:to] = bytes(to - at)
        case 5:
            word = _WORDS[draws.integers(len(_WORDS))]
            data[at : at + len(word)] = word
        case 6:
            del data[at:]
        case _:
            run, there = data[at:to], int(draws.integers(len(data)))
            data[there : there + len(run)] = run


@pytest.fixture(scope="session")
def json_mutations() -> Callable[[Any, int, int], Iterator[Any]]:
    """``json_mutations(plain, seed, count)``: see ``_json_mutations``."""
    return _json_mutations


def _json_mutations(plain: Any, seed: int, count: int) -> Iterator[Any]:
    """``count`` copies of plain JSON with one or two of its parts lost, swapped or hostile."""
    draws = np.random.default_rng(seed)
    for _ in range(count):
        changed = copy.deepcopy(plain)
        for _ in range(draws.integers(1, 3)):
            places = list(_places(changed))
            if not places:
                break
            inside, key = places[draws.integers(len(places))]
            match draws.integers(4):
                case 0:
                    del inside[key]
                case 1:
                    there, other = places[draws.integers(len(places))]
                    inside[key] = copy.deepcopy(there[other])
                case _:
                    inside[key] = copy.deepcopy(_HOSTILE[draws.integers(len(_HOSTILE))])
        yield changed


def _places(plain: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of every part of plain JSON."""
    keys = plain if isinstance(plain, dict) else range(len(plain)) if type(plain) is list else ()
    for key in keys:
        yield plain, key
        yield from _places(plain[key])


def _read_or_refused(read: Callable[[], Any], path: Path) -> Any:
    """What ``read`` returns, or None where it refuses: by a ValueError of one line with the name.

    Any other exception goes through, and fails the test.
    """
    try:
        return read()
    except ValueError as error:
        said = str(error)
        assert path.name in said, said
        assert "\n" not in said, said
        assert len(said) < 2000, said
        return None


class _Killed(BaseException):
    """Stands for SIGKILL: nothing that follows it reaches the disk."""


@pytest.fixture(scope="session")
def killed_everywhere() -> Callable[[Callable[[], None], Callable[[], Any]], Iterator[int]]:
    """``killed_everywhere(prepare, write)``: see ``_killed_everywhere``."""
    return _killed_everywhere


def _killed_everywhere(prepare: Callable[[], None], write: Callable[[], Any]) -> Iterator[int]:
    """Number after number of system calls: so many are made, and ``write`` is dead.

    ``prepare`` is called before each death, and the caller looks at what is there after it; ends
    when ``write`` does. Of the bytes that the last call was to write, half are there.
    """
    for calls in itertools.count():
        prepare()
        with pytest.MonkeyPatch.context() as patch:
            _dies_after(calls, patch)
            try:
                write()
            except _Killed:
                died = True
            else:
                died = False
        yield calls
        if not died:
            return


def _dies_after(calls: int, patch: pytest.MonkeyPatch) -> None:
    left = calls

    def step(function: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise _Killed
            return function(*arguments, **named)

        return stepped

    class Raw(io.FileIO):
        def write(self, data: Any) -> int:
            nonlocal left
            left -= 1
            if left == -1:
                super().write(bytes(data)[: len(bytes(data)) // 2])
            if left < 0:
                raise _Killed
            return super().write(data)

    whole_open = io.open

    def opened(file: Any, mode: str = "r", *arguments: Any, **named: Any) -> Any:
        if mode in ("wb", "rb+"):
            return step(Raw)(file, mode)
        return whole_open(file, mode, *arguments, **named)

    for name in _CALLS:
        patch.setattr(os, name, step(getattr(os, name)))
    patch.setattr(io, "open", opened)
