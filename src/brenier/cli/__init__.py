"""The command line: ``brenier demo | fit | transport | generate | audit | ddpm | reproduce``."""

from brenier.cli._app import app
from brenier.cli._main import main

__all__ = ["app", "main"]
