"""The command line: ``brenier demo | fit | transport | reproduce | bench``."""

from brenier.cli._app import app, main

__all__ = ["app", "main"]
