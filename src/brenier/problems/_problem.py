"""A transport problem whose answer is known."""

from dataclasses import dataclass

from brenier.maps import AbstractMap
from brenier.measures import AbstractMeasure


@dataclass(frozen=True)
class Problem:
    """A source, a target, and the Monge map between them for the cost ‖x − y‖².

    ``map`` is None where no exact answer is known. ``citation`` says where the problem comes from.

    >>> import brenier
    >>> problem = brenier.problems.affine()
    >>> problem.name, problem.dimension
    ('affine', 2)
    """

    name: str
    source: AbstractMeasure
    target: AbstractMeasure
    map: AbstractMap | None
    citation: str

    @property
    def dimension(self) -> int:
        """d."""
        return self.source.dimension
