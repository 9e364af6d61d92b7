"""The command line: ``brenier demo | fit | transport | generate | audit | ddpm | reproduce``."""

from brenier.cli._main import entry, main

__all__ = ["entry", "main"]
