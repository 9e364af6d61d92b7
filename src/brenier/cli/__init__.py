"""The command line, ``brenier COMMAND``: demo, fit, transport, generate, audit and more."""

from brenier.cli._main import entry, main

__all__ = ["entry", "main"]
