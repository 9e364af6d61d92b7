"""A run of the command line, and its exit codes."""

import errno
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from brenier.cli._stopping import Stop, StoppedError, interruption, stopping_in_time

# Typer, the commands and the console are imported where Ctrl-C is already heard.

_SYSTEM_FAULTS = (errno.ENOSPC, errno.EIO, errno.ENOMEM, errno.EDQUOT, errno.EFBIG)


def entry() -> int:
    """The command ``brenier``: ``main``, after which there is nothing left to interrupt."""
    code = main()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return code


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; the exit code. A failure, or a warning, is one line on stderr.

    0 done, 1 the work failed (memory, disk, a fit that fails), 2 the input or the usage, 130 and
    143 interrupted by Ctrl-C and SIGTERM. ``--debug``, anywhere, shows the traceback of a failure.

    >>> main(["fit", "absent.csv", "absent.csv", "-o", "map.brenier"])
    2
    """
    given = list(sys.argv[1:] if argv is None else argv)
    with stopping_in_time() as stop:
        try:
            from brenier.cli._console import printable_output, warnings_at_once

            with printable_output(), warnings_at_once():
                code = _run([word for word in given if word != "--debug"])
            if code != 130:  # Typer's own word for Ctrl-C
                return code
            raise KeyboardInterrupt
        except (Exception, KeyboardInterrupt) as error:
            if "--debug" in given:
                import traceback

                traceback.print_exc()
            line, code = _ending(error, stop)
            if line:  # a bare "brenier" prints the help, and has no message
                print(line, file=sys.stderr)
            return code


def _run(words: list[str]) -> int:
    from brenier.cli._questions import app

    # "--json -" says where to as well: the same as "--json".
    words = [word for i, word in enumerate(words) if word != "-" or words[i - 1] != "--json"]
    if words[:1] == ["ddpm"]:
        for commands in ("_ddpm", "_ddpm_checkpoint"):
            importlib.import_module(f"brenier.cli.{commands}")
    return app(args=words, prog_name="brenier", standalone_mode=False) or 0


def _ending(error: BaseException, stop: Stop) -> tuple[str, int]:
    """The line on stderr, and the exit code."""
    import typer

    from brenier._extras import missing_extra, of_an_extra

    # Where typer keeps click's usage errors differs between its versions; their parent does not.
    usage_error: Any = typer.BadParameter.__mro__[1]
    # What was interrupted while it was imported may raise anything.
    if stop.signal or isinstance(error, KeyboardInterrupt | typer.Abort | StoppedError):
        return interruption(str(error) if isinstance(error, StoppedError) else ""), stop.code
    if isinstance(error, usage_error):
        said, code = error.format_message(), 2
    elif isinstance(error, ValueError):
        said, code = str(error), 2
    elif isinstance(error, OSError):
        said, code = str(error), 1 if error.errno in _SYSTEM_FAULTS else 2
    elif isinstance(error, ImportError) and (package := of_an_extra(error)) is not None:
        said, code = str(missing_extra("the command", package)), 2
    elif (platforms := _absent_platforms()) is not None:
        wish = "for which JAX finds no device; wants those of this machine, as cpu."
        said, code = f"JAX_PLATFORMS: got {platforms!r}, {wish}", 2
    elif isinstance(error, MemoryError):
        said, code = f"out of memory. {error}", 1
    elif isinstance(error, RuntimeError | ArithmeticError):
        said, code = str(error) or type(error).__name__, 1
    else:
        said, code = f"{type(error).__name__}: {error} (--debug shows where).", 1
    return f"brenier: {' '.join(said.split())}" if said else "", code


def _absent_platforms() -> str | None:
    """The kinds of devices that the environment asks JAX for, where there are none: JAX fails."""
    platforms, jax = os.environ.get("JAX_PLATFORMS"), sys.modules.get("jax")
    if not platforms or jax is None:
        return None
    try:
        jax.devices()
    except Exception:  # JAX raises whatever comes of it, an AssertionError among them
        return platforms
    return None
