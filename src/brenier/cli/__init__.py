"""The command line: ``brenier demo | fit | transport | reproduce | bench``."""

from brenier.cli._app import app, main
from brenier.cli._ddpm import ddpm
from brenier.cli._experiments import begin_worker, register_experiments

__all__ = ["app", "begin_worker", "ddpm", "main", "register_experiments"]
