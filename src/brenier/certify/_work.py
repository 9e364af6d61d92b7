"""What a budget of seconds buys: counts of work, settled before the start and on any machine."""

from dataclasses import dataclass

# Shares of the budget: savings of batches (on all rows, on the core), of all pairs at once, fits.
_SAVINGS, _COMPANION, _FITS = 0.1, 0.03, 0.3
# Savings are worth so many seconds of any budget.
_LEAST = 0.1
# An exact assignment of k rows takes about k³ times this many seconds, and k² d times that many.
_ASSIGNMENT, _GAINS = 7e-10, 1e-9
# Partitions of each size of batch; rows of an assignment at most, of a batch and of all pairs.
_PARTITIONS, _MOST_ROWS, _MOST_AT_ONCE, _FEWEST_AT_ONCE = 4, 600, 1000, 200
_ASSIGNMENTS_AT_ONCE = 6
# Batches of a partition.
BATCHES = (16, 32, 64, 128)


@dataclass(frozen=True)
class Work:
    """Counts of work.

    Attributes:
        partitions: of the rows into batches, for each number of batches.
        batch_rows: rows of a batch at most; of more rows a random part is taken.
        rows_at_once: rows of the assignment of all pairs at once.
        fit_seconds: of the fits of potentials, as they are estimated.
    """

    partitions: int
    batch_rows: int
    rows_at_once: int
    fit_seconds: float

    @classmethod
    def of(cls, n: int, dimension: int, seconds: float) -> "Work":
        """For n pairs, in about so many seconds in all."""
        partitions, rows = _PARTITIONS, _MOST_ROWS

        def cost() -> float:
            sizes = [min(n // batches, rows) for batches in BATCHES]
            own = (
                batches * (_ASSIGNMENT * k**3 + _GAINS * dimension * k**2)
                for batches, k in zip(BATCHES, sizes, strict=True)
            )
            return partitions * sum(own)

        while cost() > max(_SAVINGS * seconds, _LEAST) and (partitions > 1 or rows > 2):
            if partitions > 1:
                partitions //= 2
            else:
                rows = int(0.8 * rows)
        at_once = (_COMPANION * seconds / _ASSIGNMENTS_AT_ONCE / _ASSIGNMENT) ** (1.0 / 3.0)
        at_once = int(min(max(at_once, _FEWEST_AT_ONCE), _MOST_AT_ONCE))
        return cls(partitions, rows, at_once, _FITS * seconds)
