"""A run of the command line, and its exit codes."""

import errno
import importlib
import sys
from collections.abc import Sequence
from typing import Any

import typer

from brenier.cli._app import app
from brenier.cli._console import (
    StoppedError,
    printable_output,
    terminated_as_interrupted,
    warnings_at_once,
)

# Where typer keeps click's usage errors differs between its versions; their parent does not.
_UsageError: Any = typer.BadParameter.__mro__[1]
_SYSTEM_FAULTS = (errno.ENOSPC, errno.EIO, errno.ENOMEM, errno.EDQUOT, errno.EFBIG)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; the exit code. A failure, or a warning, is one line on stderr.

    >>> main(["fit", "absent.csv", "absent.csv", "-o", "map.brenier"])
    2
    """
    with terminated_as_interrupted() as stopped, printable_output(), warnings_at_once():
        code = _run(argv)
        return 143 if code == 130 and stopped() else code


def _run(argv: Sequence[str] | None) -> int:
    try:
        arguments = list(sys.argv[1:] if argv is None else argv)
        # "--json -" says where to as well: the same as "--json".
        arguments = [a for i, a in enumerate(arguments) if a != "-" or arguments[i - 1] != "--json"]
        if arguments[:1] == ["ddpm"]:
            importlib.import_module("brenier.cli._ddpm")
        code = app(args=arguments, prog_name="brenier", standalone_mode=False) or 0
    except _UsageError as error:
        return _fail(error.format_message(), 2)
    except ValueError as error:
        return _fail(str(error), 2)
    except OSError as error:
        return _fail(str(error), 1 if error.errno in _SYSTEM_FAULTS else 2)
    except (RuntimeError, ArithmeticError, MemoryError) as error:
        return _fail(str(error) or type(error).__name__, 1)
    except StoppedError as error:
        return _fail(f"interrupted. {error}", 130)
    except typer.Abort:
        code = 130
    return _fail("interrupted.", 130) if code == 130 else code


def _fail(message: str, code: int) -> int:
    if message:  # a bare "brenier" prints the help, and has no message
        print(f"brenier: {' '.join(message.split())}", file=sys.stderr)
    return code
