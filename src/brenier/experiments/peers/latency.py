"""From nothing to a map: imports, help pages and first fits in new processes, beside POT.

    brenier reproduce peers-latency --json

Each line is a process of its own, begun with its files read before. Ours run with an empty cache of
compiled programs and again with the one that this left. Times of a fit are those of its stages:
the import, ``fit`` with all defaults, ``transform`` of 2000 fresh points, and a second fit in the
same process, of one point more. POT is ``ot.da.SinkhornTransport`` with its defaults, which is
another map, entropic and undone by nothing. ``--seeds`` counts runs (1 by default), of which that
of the fewest seconds counts.
"""

import os
import tempfile
import time
from typing import Any

from brenier._progress import Progress
from brenier.experiments._command import command
from brenier.experiments._process import run_python
from brenier.experiments._run import Run

TIME = "minutes"

# Points a side and dimension.
_SIZES = ((300, 2), (2000, 10))
_FRESH = 2000
# Seconds on two cores: import, fit and transform; transform by itself; a second fit.
_TARGETS: dict[str, dict[str, float]] = {
    "300 x 2": {"in_all": 5.0, "transform": 0.5, "second_fit": 0.5},
    "2000 x 10": {"in_all": 12.0, "transform": 0.5, "second_fit": 3.0},
    "import": {"in_all": 2.0},
    "--help": {"in_all": 0.7},
    "--version": {"in_all": 0.7},
}

# The clock starts when the process is asked for; its CPU time is that of all its threads.
_CLOCK = """
import json, sys, time
laps = [("", float(sys.argv[1]), 0.0)]
def lap(name):
    laps.append((name, time.time(), time.process_time()))
def tell():
    stages = {name: {"seconds": end - begin, "cpu_seconds": cpu - before}
              for (_, begin, before), (name, end, cpu) in zip(laps, laps[1:])}
    print(json.dumps(stages))
"""
_DATA = """
import numpy as np
random = np.random.default_rng({seed})
def clouds(n):
    x, z = random.normal(size=(2, n, {d}))
    return x, z * np.linspace(0.5, 2.0, {d}) + 0.5 * np.roll(z, 1, axis=1) ** 2
fresh = clouds({fresh})[0]
"""
_IMPORT = "import brenier; brenier.MongeMap; lap('import'); tell()"
_COMMAND = """
import contextlib, io
from brenier.cli import main
with contextlib.redirect_stdout(io.StringIO()):
    main(["{word}"])
lap("import"); tell()
"""
_FITS = {
    "brenier": """
import brenier; brenier.MongeMap; lap("import")
def fit(x, y):
    return brenier.MongeMap(random_state=0).fit(x, y)
""",
    "pot": """
import warnings; warnings.simplefilter("ignore")
import ot; lap("import")
def fit(x, y):
    return ot.da.SinkhornTransport().fit(Xs=x, Xt=y)
""",
}
_MOVES = {"brenier": "fitted.transform(fresh)", "pot": "fitted.transform(Xs=fresh)"}
_STAGES = """
first, second = clouds({n}), clouds({n} + 1)
lap("data")
fitted = fit(*first); lap("fit")
{move}; lap("transform")
fit(*second); lap("second_fit")
tell()
"""


def main(run: Run) -> dict[str, Any]:
    """Seconds and CPU-seconds of each stage, POT's over ours, and what was aimed at."""
    names = ["import", "--help", "--version", *(f"{n} x {d}" for n, d in _SIZES)]
    result: dict[str, Any] = {"cores": os.cpu_count(), "load_before": os.getloadavg()}
    for i, name in enumerate(names):
        run.progress(Progress(i, len(names), name))
        result[name] = _measured(name, run)
    return {**result, "load_after": os.getloadavg(), "targets": _TARGETS}


def _measured(name: str, run: Run) -> dict[str, Any]:
    """One line: ours with an empty and a filled cache, and POT's where it has one."""
    programs = _programs(name, run.seed)
    # Byte code and files are read once before.
    for program in programs.values():
        _process(program.partition("lap(")[0] + "\ntell()", "off")
    found: dict[str, Any] = {}
    runs: dict[str, list[dict[str, Any]]] = {"empty_cache": [], "filled_cache": [], "pot": []}
    for _ in range(run.seeds_or(1)):
        with tempfile.TemporaryDirectory() as cache:
            for state in ("empty_cache", "filled_cache"):
                runs[state].append(_process(programs["brenier"], cache))
        if "pot" in programs:
            runs["pot"].append(_process(programs["pot"], "off"))
    for state, lines in runs.items():
        if lines:
            found[state] = min(map(_summed, lines), key=lambda line: line["in_all"]["seconds"])
    if "pot" in found:
        found["pot_over_ours"] = {
            state: found["pot"]["in_all"]["seconds"] / found[state]["in_all"]["seconds"]
            for state in ("empty_cache", "filled_cache")
        }
    found["reached"] = {
        stage: found["empty_cache"][stage]["seconds"] <= most
        for stage, most in _TARGETS[name].items()
    }
    return found


def _programs(name: str, seed: int) -> dict[str, str]:
    if name == "import":
        return {"brenier": _IMPORT}
    if name.startswith("--"):
        return {"brenier": _COMMAND.format(word=name)}
    n, d = map(int, name.split(" x "))
    return {
        who: begin
        + _DATA.format(seed=seed, d=d, fresh=_FRESH)
        + _STAGES.format(n=n, move=_MOVES[who])
        for who, begin in _FITS.items()
    }


def _process(program: str, cache: str) -> dict[str, Any]:
    """The stages that a program tells; a ``RuntimeError`` where it fails."""
    environment = {**os.environ, "BRENIER_CACHE": cache}
    stages = run_python(["-c", _CLOCK + program, repr(time.time())], environment)
    if "failed" in stages:
        raise RuntimeError(f"a process of peers-latency failed: {stages['failed']}")
    return stages


def _summed(stages: dict[str, Any]) -> dict[str, Any]:
    """The stages, and those up to the first points moved together: what a user waits for."""
    waited = [stages[name] for name in ("import", "fit", "transform") if name in stages]
    in_all = {unit: sum(stage[unit] for stage in waited) for unit in ("seconds", "cpu_seconds")}
    return {"in_all": in_all, **{name: of for name, of in stages.items() if name != "data"}}


if __name__ == "__main__":
    command(__spec__.name)
