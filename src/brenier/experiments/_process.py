"""Other processes: what one piece of work needs in a process of its own, and workers that end."""

import json
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from brenier._arithmetic import keep_own_arithmetic

_STATUS = Path("/proc/self/status")


def peak_mib() -> float:
    """The largest resident memory of this process so far, in MiB."""
    if _STATUS.exists():
        # On Linux ru_maxrss of a child process begins at its parent's size; VmHWM does not.
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def run_module(module: str, arguments: Sequence[str]) -> dict[str, Any]:
    """The JSON object that ``python -m module`` prints.

    Where the process fails, ``{"failed": the last line it wrote to stderr}``.
    """
    return run_python(["-m", module, *arguments])


def run_python(
    arguments: Sequence[str], environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The JSON object that Python prints with these arguments; as ``run_module`` where it fails."""
    command = [sys.executable, *arguments]
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    if run.returncode:
        last = run.stderr.strip().splitlines()[-1:]
        return {"failed": last[0] if last else f"exit code {run.returncode}"}
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def follow_python(
    arguments: Sequence[str], hear: Callable[[str], None], limit: float
) -> str | None:
    """Each line that Python prints with these arguments, heard at once; why it failed, or None.

    After ``limit`` seconds it is killed, with all that it began.
    """
    late = threading.Event()
    command = [sys.executable, *arguments]
    with (
        tempfile.TemporaryFile("w+", errors="replace") as errors,
        # A group of its own, so that what it begins is killed with it.
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True
        ) as run,
    ):

        def end() -> None:
            late.set()
            with suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)

        timer = threading.Timer(limit, end)
        timer.daemon = True
        timer.start()
        try:
            assert run.stdout is not None
            for line in run.stdout:
                hear(line)
            run.wait()
        except BaseException:
            end()
            raise
        finally:
            timer.cancel()
        if late.is_set():
            return f"not done after {limit:.0f} s, killed"
        errors.seek(0)
        last = errors.read().strip().splitlines()[-1:] or [f"exit code {run.returncode}"]
        return last[0] if run.returncode else None


def begin_worker() -> None:
    """Let this worker process end when its parent does, however the parent ends, and at Ctrl-C.

    It computes as the parent does, in own arithmetic.
    """
    keep_own_arithmetic()
    # An exception in the midst of work can leave the pool waiting for this process.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

    def follow() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()
