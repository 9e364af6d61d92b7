"""``brenier reproduce``: an experiment, and its result as rows for people."""

from pathlib import Path
from typing import Any

from brenier._progress import ProgressCallback
from brenier.experiments import Run, experiment_name, experiment_times, reproduce, summaries

# What "brenier bench NAME" ran, and the experiment that it is now.
_BENCHMARKS = {
    "ddim_sampling": "peers-ddim-sampling",
    "grid_sinkhorn": "peers-grid-sinkhorn",
    "icnn_positivity": "dlv26-icnn-positivity",
    "sample_sinkhorn": "peers-sample-sinkhorn",
    "scale": "large-scale",
    "sinkhorn_memory": "peers-sinkhorn-memory",
}


def listed() -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """What each experiment is and how long it takes: as data, and as rows for people."""
    times = experiment_times()
    found = {
        name: {"summary": summary, "time": times[name]} for name, summary in summaries().items()
    }
    rows = {name: f"{own['summary']} ({own['time']})" for name, own in found.items()}
    return found, {name: row.replace("``", "") for name, row in rows.items()}


def title_of(name: str) -> str:
    """What is said when an experiment begins.

    Raises:
        ValueError: an unknown name; the message lists those there are.
    """
    own = experiment_name(name)
    return f"{own}, {experiment_times()[own]}"


def run_reproduce(
    name: str,
    out: Path | None,
    seed: int,
    seeds: int | None,
    data: list[Path] | None,
    progress: ProgressCallback,
) -> tuple[dict[str, Any], dict[str, str]]:
    """Run the experiment of that name, in ``out/NAME`` by default; its result and its rows.

    Raises:
        ValueError: an unknown name; the message lists those there are.
    """
    folder = out or Path("out", experiment_name(name))
    result = reproduce(name, Run(folder, seed, seeds, tuple(data or ()), progress))
    return result, _rows(result)


def where_benchmarks_are(words: list[str]) -> str:
    """What to say of ``brenier bench`` and the words after it.

    >>> where_benchmarks_are(["--json", "scale"])
    'bench is now brenier reproduce large-scale.'
    """
    named = [_BENCHMARKS[own] for word in words if (own := word.replace("-", "_")) in _BENCHMARKS]
    commands = " | ".join(named or _BENCHMARKS.values())
    return f"bench is now brenier reproduce {commands}."


def _rows(result: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """A result's numbers and words as rows; what is nested is named by its path."""
    rows: dict[str, str] = {}
    for key, value in result.items():
        if isinstance(value, dict):
            rows |= _rows(value, f"{prefix}{key}.")
        elif isinstance(value, float):
            rows[prefix + key] = f"{value:.6g}"
        elif isinstance(value, bool | int | str):
            rows[prefix + key] = str(value)
    return rows
