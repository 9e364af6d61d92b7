"""Measurements in a process of their own: what one job needs, told apart from all others."""

import json
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_STATUS = Path("/proc/self/status")


def peak_mib() -> float:
    """The largest resident memory of this process: of its own, where the system tells it apart."""
    if _STATUS.exists():
        # A child's ru_maxrss begins at its parent's size on Linux; this one does not.
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def run_apart(script: str, arguments: Sequence[str]) -> dict[str, Any]:
    """The JSON object that a script prints, run anew; ``failed`` and its last words where not."""
    run = subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True)
    if run.returncode:
        last = run.stderr.strip().splitlines()[-1:]
        return {"failed": last[0] if last else f"exit code {run.returncode}"}
    found: dict[str, Any] = json.loads(run.stdout)
    return found
