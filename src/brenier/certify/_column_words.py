"""Columns by their names, in sentences that count them."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from brenier.certify._certificate import Certificate

_COUNTED = re.compile(r"\b(columns?) (\d+)(?: and (\d+))? of (\d[\d,]*\d|\d)")


def in_names(certificate: "Certificate", names: Sequence[str]) -> "Certificate":
    """The certificate with the columns' names, in all that it says of columns."""
    tests, defect, verdict = certificate.pushforward, certificate.defect, certificate.verdict
    if tests is not None:
        tests = replace(tests, feature=named(tests.feature, names), axis=named(tests.axis, names))
    target = verdict.target_reason
    return replace(
        certificate,
        how={**certificate.how, "names": list(names)},
        pushforward=tests,
        defect=replace(defect, withdrawn=tuple(named(said, names) for said in defect.withdrawn)),
        verdict=replace(
            verdict,
            optimality_reason=named(verdict.optimality_reason, names),
            target_reason=None if target is None else named(target, names),
        ),
    )


def named(text: str, names: Sequence[str]) -> str:
    """The sentence with names, where it counts as many columns.

    >>> named("spread of column 2 of 2, larger in the images", ["age", "BMI"])
    "spread of column 'BMI', larger in the images"
    """

    def name(found: re.Match[str]) -> str:
        word, first, second, of = found.groups()
        if int(of.replace(",", "")) != len(names):
            return found[0]
        own = [repr(names[int(place) - 1]) for place in (first, second) if place]
        return f"{word} {' and '.join(own)}"

    return _COUNTED.sub(name, text)
