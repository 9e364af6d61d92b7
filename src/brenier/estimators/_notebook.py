"""What is shown of an estimator: in a notebook what was chosen, on a page the columns' names."""

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sklearn.base import BaseEstimator
from sklearn.utils import estimator_html_repr

from brenier.estimators.candidates import CandidateTable
from brenier.report import figure_of, html_fragment, html_table, plot_candidates, svg_text

if TYPE_CHECKING:
    from brenier.certify import Certificate


def with_names(certificate: "Certificate", names: Sequence[Any] | None) -> "Certificate":
    """The certificate with the names of the columns, where there are any."""
    if names is None:
        return certificate
    return certificate.with_names([str(name) for name in names])


def estimator_html(estimator: BaseEstimator, candidates: CandidateTable | None) -> str:
    """The parameters of an estimator, and the candidates that it was chosen from, as HTML.

    >>> from sklearn.preprocessing import StandardScaler
    >>> "<details" in estimator_html(StandardScaler(), None)
    True
    """
    own: str = estimator_html_repr(estimator)
    if candidates is None:
        return own
    return own + html_fragment(
        f"<p>{html.escape(candidates.sentence)}</p>"
        f"<details><summary>Candidates</summary>{candidates_html(candidates)}</details>"
    )


def candidates_html(candidates: CandidateTable) -> str:
    """The bars of the candidates and their table, as HTML.

    >>> from brenier.estimators.candidates import CandidateRow
    >>> table = CandidateTable((CandidateRow("gaussian", {}, 2.2, 0.0, 0.1, True),))
    >>> "gaussian *" in candidates_html(table)
    True
    """
    figure = figure_of(plot_candidates(candidates))
    drawn = svg_text(figure, "held-out J of each candidate above the chosen one's")
    words = [[html.escape(word) for word in line] for line in candidates.to_words()]
    return drawn + html_table(words, kind="words")
