"""The command line: ``brenier demo | fit | transport | generate | audit | ddpm | reproduce``."""

from brenier.cli._app import app, main

__all__ = ["app", "main"]
