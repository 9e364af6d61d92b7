"""Tutorials: scripts that run when the site is built, their pages what they printed and drew.

A run is kept in ``.tutorials/`` until the script, its runner or brenier changes.
"""

import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

_ROOT = Path(__file__).parents[2]
_RUNNER = Path(__file__).with_name("run_tutorial.py")
# Fifty times what the slowest takes on a quiet core.
_SECONDS = 1000


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """A page for each script in ``tutorials/``, and its pictures; scripts run side by side."""
    scripts = sorted(Path(config.docs_dir, "tutorials").glob("*.py"))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        folders = list(pool.map(lambda script: finished(script, _ROOT / ".tutorials"), scripts))
    for script, folder in zip(scripts, folders, strict=True):
        page = (folder / "page.md").read_text(encoding="utf-8")
        files.append(File.generated(config, f"tutorials/{script.stem}.md", content=page))
        for picture in sorted((*folder.glob("*.png"), *folder.glob("*.gif"))):
            files.append(
                File.generated(config, f"tutorials/{picture.name}", abs_src_path=str(picture))
            )
    return files


def finished(script: Path, cache: Path) -> Path:
    """The folder of a tutorial's page and pictures; run now, unless the same one ran before.

    Raises:
        PluginError: it failed, which stops the build.
    """
    folder, key = cache / script.stem, _key(script)
    told = folder / "key"
    if told.exists() and told.read_text() == key and (folder / "page.md").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    paths = [str(_ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "MPLBACKEND": "agg",
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
    }
    try:
        run = subprocess.run(
            [sys.executable, _RUNNER, script, folder],
            env=environment,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise PluginError(f"tutorial {script.name}: took over {_SECONDS} s.") from None
    if run.returncode:
        raise PluginError(f"tutorial {script.name} failed:\n{run.stderr.strip()}")
    told.write_text(key)
    return folder


def _key(script: Path) -> str:
    """Of all that a page depends on: script, runner, brenier's files, the libraries' versions."""
    told = hashlib.sha256()
    sources = sorted((_ROOT / "src").rglob("*.py"))
    for file in (script, _RUNNER, *sources):
        told.update(file.read_bytes())
    for library in ("jax", "matplotlib", "numpy", "scikit-learn", "scipy"):
        told.update(importlib.metadata.version(library).encode())
    return told.hexdigest()
