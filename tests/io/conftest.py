"""A small seeded fuzzer: mutations of a file's bytes, and the two answers a reader may give."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

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
