"""Memory that compilers leave is given back."""

import ctypes
import sys
from types import SimpleNamespace

import jax
import pytest

from brenier.images import _compiled
from brenier.images._compiled import _EVENT, give_back_after_compiling


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's")
def test_after_long_compilations_and_no_others(monkeypatch):
    trimmed = []
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(malloc_trim=trimmed.append))
    later = []

    class Timer:
        def __init__(self, seconds, function, arguments):
            later.append(lambda: function(*arguments))

        def start(self):
            assert self.daemon

    monkeypatch.setattr(_compiled.threading, "Timer", Timer)
    # JAX lets no listener go, and earlier tests may have one: this one's is heard alone.
    listeners = []
    monkeypatch.setattr(jax.monitoring, "register_event_duration_secs_listener", listeners.append)
    give_back_after_compiling.__wrapped__()
    assert trimmed == [0]
    (listener,) = listeners
    for event, seconds in ((_EVENT, 0.1), ("/jax/other", 60.0), (_EVENT, 60.0)):
        listener(event, seconds)
    assert trimmed == [0, 0]
    (once,) = later
    once()
    assert trimmed == [0, 0, 0]


def test_where_the_library_cannot_it_is_left_out(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace())
    give_back_after_compiling.__wrapped__()
