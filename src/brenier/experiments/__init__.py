"""One runnable experiment for each figure, table or theorem, and comparisons with other libraries.

``brenier reproduce dlv26-fig2`` runs the module ``brenier.experiments.dlv26.fig2``; so does
``python -m brenier.experiments.dlv26.fig2``. An experiment is a module with a function

    def main(run: Run) -> dict[str, Any]

which writes its figures and tables to the folder ``run.out``, tells ``run.progress`` how far it is,
and returns what ``--json`` prints and ``result.json`` keeps; ``TIME`` says how long it takes on two
cores. Beside it, ``expected.json`` holds the
interval in which each of its numbers must lie. Modules whose names begin with an underscore are
helpers of the experiments.
"""

from brenier.experiments._registry import (
    experiment_name,
    experiment_times,
    experiments,
    reproduce,
    summaries,
)
from brenier.experiments._run import Run

__all__ = ["Run", "experiment_name", "experiment_times", "experiments", "reproduce", "summaries"]
