"""What a solver hands back: a map, how it ended, and what it measured on the way."""

import enum
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

Map = TypeVar("Map", covariant=True)


class Result(enum.Enum):
    """How a solve ended; each value names the cause and the remedy."""

    successful = "The solver did what was asked of it."
    stopped_early = "The held-out metric stopped improving; the best map seen is returned."
    diverged = (
        "The iterates became infinite or NaN, or the held-out metric grew without bound; the best "
        "map seen is returned. Take a smaller step size or learning rate, or more particles."
    )
    not_converged = (
        "The iteration limit was reached before the tolerance; the last iterate is returned. "
        "Raise the limit, loosen the tolerance, or enlarge the regularisation."
    )
    unresolved = (
        "The map folds between the nodes of the grid, where it is no gradient of a convex "
        "function; it is returned as it is. Take more nodes."
    )
    interrupted = (
        "The run was interrupted; the best map seen is returned. "
        "Call again with the same checkpoint, where one was given, to resume."
    )

    @property
    def failed(self) -> bool:
        """Whether the answer falls short of what was asked."""
        return self not in (Result.successful, Result.stopped_early)


@runtime_checkable
class Answer(Protocol):
    """What a ``SolveError`` needs of the answer it carries: a ``Solution`` has it."""

    @property
    def result(self) -> Result: ...
    @property
    def stats(self) -> dict[str, Any]: ...


class SolveError(RuntimeError):
    """Raised by ``throw=True`` when a solve fails; ``solution`` holds what was reached."""

    def __init__(self, solution: Answer):
        error = solution.stats.get("error")
        far = f" It is at an error of {error:.3g}." if isinstance(error, float) else ""
        super().__init__(solution.result.value + far)
        self.solution: Any = solution


@dataclass(frozen=True)
class Solution(Generic[Map]):
    """A map, the way the solve ended, and its measurements; ``Solution[M]`` has a map of class M.

    ``stats`` holds plain numbers, names and lists of numbers (steps, seconds, history of metrics);
    of the exact solvers also arrays and the plan.
    """

    map: Map
    result: Result
    stats: dict[str, Any] = field(default_factory=dict)

    def checked(self, throw: bool) -> "Solution[Map]":
        """This solution, or ``SolveError`` where it failed and ``throw`` is true."""
        if throw and self.result.failed:
            raise SolveError(self)
        return self
