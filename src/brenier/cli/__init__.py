"""The command line: ``brenier demo | fit | transport | generate | audit | ddpm | reproduce``."""

from brenier.cli._app import app, main
from brenier.cli._ddpm import ddpm

__all__ = ["app", "ddpm", "main"]
