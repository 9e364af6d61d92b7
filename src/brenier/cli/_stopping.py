"""Ctrl-C and SIGTERM: one line and an end within two seconds, also inside of a long compiled call.

Python hears a signal between two of its own steps, and a compiled call is one of them. A thread
beside is woken at once: where the run has not ended by itself after ``_GRACE``, the thread ends it.
"""

import _thread
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

# Seconds that the run has for an end of its own, and between two looks at it.
_GRACE, _LOOK = 1.0, 0.1
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Of a terminal where a bar was drawn, which hides the cursor.
_SHOW_CURSOR = "\x1b[?25h\n"

# What the line says besides, of what is kept: of the work in progress, the innermost last.
_kept: list[Callable[[], str]] = []


class StoppedError(Exception):
    """An interruption, with what is left to say; a ``KeyboardInterrupt`` loses that on its way."""


class Stop:
    """Whether the run was told to end, by which signal, and whether it is yet to hear of it."""

    signal: int | None = None
    unheard: bool = False

    @property
    def code(self) -> int:
        """The exit code of an interrupted run: 130, or 143 for SIGTERM."""
        return 128 + (self.signal or signal.SIGINT)


@contextmanager
def saying_when_stopped(words: Callable[[], str]) -> Iterator[None]:
    """What is said of an interruption within the block: what was kept, and how to go on."""
    _kept.append(words)
    try:
        yield
    except KeyboardInterrupt:
        raise StoppedError(words()) from None
    finally:
        _kept.remove(words)


def interruption(words: str = "") -> str:
    """The one line."""
    return f"brenier: interrupted. {words}".rstrip()


@contextmanager
def stopping_in_time() -> Iterator[Stop]:
    """Within the block SIGTERM is as Ctrl-C, and neither waits for a compiled call.

    Handlers of the program that called, and a thread beside the main one, are left as they are.
    """
    stop = Stop()
    ours = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    )
    if not ours:
        yield stop
        return

    def heard(number: int, frame: FrameType | None) -> None:
        stop.signal = number
        if _is_importing(frame):
            stop.unheard = True
            return
        raise KeyboardInterrupt

    def unraisable(what: "sys.UnraisableHookArgs") -> None:
        # In a callback of C, such as one at garbage collection, an exception goes nowhere.
        if isinstance(what.exc_value, KeyboardInterrupt):
            stop.unheard = True
        else:
            hook(what)

    hook, sys.unraisablehook = sys.unraisablehook, unraisable
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    woken, waking = socket.socketpair()
    waking.setblocking(False)
    ended = threading.Event()
    watch = threading.Thread(target=_watch, args=(woken, ended, stop), daemon=True)
    watch.start()
    wakeup = signal.set_wakeup_fd(waking.fileno(), warn_on_full_buffer=False)
    try:
        signal.signal(signal.SIGTERM, heard)
        if before[signal.SIGINT] is signal.default_int_handler:
            signal.signal(signal.SIGINT, heard)
        yield stop
    finally:
        ended.set()
        sys.unraisablehook = hook
        signal.set_wakeup_fd(wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        waking.close()
        watch.join()
        woken.close()


def _watch(woken: socket.socket, ended: threading.Event, stop: Stop) -> None:
    """Wait for one of ``_SIGNALS``; end the process where it does not end by itself."""
    while number := woken.recv(1):
        if number[0] not in _SIGNALS:
            continue
        last = time.monotonic() + _GRACE
        while not ended.wait(_LOOK):
            if stop.unheard:
                stop.unheard = False
                _thread.interrupt_main(signal.Signals(number[0]))
            if time.monotonic() > last:
                _end(128 + number[0])


def _is_importing(frame: FrameType | None) -> bool:
    """Whether a module is half way imported: one in C may crash at an exception."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _end(code: int) -> None:
    """The end without a word of Python's: the main thread is in a call that hears nothing."""
    line = interruption(_kept[-1]() if _kept else "")
    with suppress(OSError):
        os.write(2, f"{_SHOW_CURSOR if sys.stderr.isatty() else ''}{line}\n".encode())
    # Not imported here: the main thread may be half way through that.
    discard = getattr(sys.modules.get("brenier.io"), "discard_parts", None)
    if discard is not None:
        discard()
    os._exit(code)
