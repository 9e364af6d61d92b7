"""Memory that compilers leave is given back."""

import ctypes
import sys
from types import SimpleNamespace

import jax
import pytest

from brenier.cli._compiled import _EVENT, give_back_after_compiling


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_after_long_compilations_and_no_others(monkeypatch):
    trimmed = []
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(malloc_trim=trimmed.append))
    give_back_after_compiling.__wrapped__()
    for event, seconds in ((_EVENT, 0.1), ("/jax/other", 60.0), (_EVENT, 60.0)):
        jax.monitoring.record_event_duration_secs(event, seconds)
    assert trimmed == [0]


def test_where_the_library_cannot_it_is_left_out(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace())
    give_back_after_compiling.__wrapped__()
