"""One certificate for each condition, and what they say together."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from brenier.certify import Certificate

_HEAD = ("condition", "points", "optimal?", "target?", "defect", "energy distance")


@dataclass(frozen=True)
class ConditionalCertificate:
    """The certificates of a conditional map, which hold all together at ``level``.

    Each is at the level 1 − (1 − level)/k of k conditions (Bonferroni); ``print`` it.

    Attributes:
        certificates: of each condition, by its name in words.
        level: at which all of them hold together.

    >>> import numpy as np
    >>> from brenier import audit_pairs
    >>> x = np.random.default_rng(0).normal(size=(1000, 2))
    >>> found = ConditionalCertificate({"dose 1": audit_pairs(x, x + 1.0, budget=0.1)}, 0.95)
    >>> found.summary
    'optimal: 1 of 1 conditions; target: not asked; together at 95 %'
    """

    certificates: Mapping[str, "Certificate"]
    level: float

    @property
    def summary(self) -> str:
        """The verdicts, counted."""
        verdicts = [one.verdict for one in self.certificates.values()]
        count = len(verdicts)
        optimal = sum(verdict.optimality == "optimal" for verdict in verdicts)
        asked = [verdict.target for verdict in verdicts if verdict.target is not None]
        missed = asked.count("not reached")
        reached = (
            f"reached in {asked.count('reached')}, not reached in {missed} of {count}"
            if asked
            else "not asked"
        )
        return (
            f"optimal: {optimal} of {count} conditions; target: {reached}; together at "
            f"{100.0 * self.level:g} %"
        )

    def rows(self) -> list[tuple[str, ...]]:
        """The table that a person reads: a row for each condition."""
        found: list[tuple[str, ...]] = []
        for name, one in self.certificates.items():
            tests, defect = one.pushforward, one.defect
            found.append(
                (
                    name,
                    f"{defect.n:,}",
                    one.verdict.optimality,
                    one.verdict.target or "not asked",
                    f"{defect.lower:.3g} to {defect.upper:.3g}",
                    "" if tests is None else f"{tests.energy_distance:.3g}",
                )
            )
        return found

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists."""
        return {
            "level": self.level,
            "summary": self.summary,
            "conditions": {name: one.to_dict() for name, one in self.certificates.items()},
        }

    def __str__(self) -> str:
        lines = [_HEAD, *self.rows()]
        widths = [max(len(line[i]) for line in lines) for i in range(len(_HEAD))]
        table = (
            "  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        )
        return "\n".join([*table, self.summary])
