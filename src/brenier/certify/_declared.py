"""What a caller declares of the source and the pairs; what the rows contradict is withdrawn."""

import numbers
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from brenier._checks import as_float_array, check_instance
from brenier._row_checks import FEWEST
from brenier._types import Key
from brenier.certify._feature_test import feature_test
from brenier.certify._symmetry import AbstractSymmetry, Elliptical, Exchangeable, SignChanges
from brenier.certify._weights import Shares
from brenier.measures import AbstractMeasure, Gaussian, StandardNormal
from brenier.numerics import numpy_generator

# A true declaration is withdrawn about so rarely.
_CONTRADICTED = 1e-3
# Rows that are compared with a law or with themselves moved.
_COMPARED = 4000
_NAMED = ("exchangeable", "signs", "spherical")


@dataclass(frozen=True)
class Declared:
    """The source's law and symmetries, a box of all entries, the kurtosis of gaps.

    Attributes:
        law: μ, where it is known.
        given: symmetries of μ that are declared.
        of_law: symmetries that the law has.
        box: (low, high), each (d,), that source points and images lie in.
        kurtosis: κ with E G² ≤ κ (E G)² for the gap G of a potential.
        withdrawn: sentences on what was declared and contradicted by the rows.
    """

    law: AbstractMeasure | None = None
    given: tuple[AbstractSymmetry, ...] = ()
    of_law: tuple[AbstractSymmetry, ...] = ()
    box: tuple[np.ndarray, np.ndarray] | None = None
    kurtosis: float | None = None
    withdrawn: tuple[str, ...] = ()

    @classmethod
    def checked(
        cls, dimension: int, *, law: Any, symmetry: Any, box: Any, kurtosis: Any
    ) -> "Declared":
        """What these arguments say in d dimensions, or a ``ValueError`` that names one."""
        given = () if symmetry is None else (_symmetry(symmetry, dimension),)
        if law is not None:
            check_instance("law", law, AbstractMeasure, "a measure, as measures.Gaussian")
            if law.dimension != dimension:
                raise ValueError(
                    f"law: got dimension {law.dimension}; wants that of the points, {dimension}."
                )
        for own in given:
            own.check(dimension)
        number = isinstance(kurtosis, numbers.Real) and not isinstance(kurtosis, bool)
        if kurtosis is not None and not (number and 1.0 < kurtosis < float("inf")):
            raise ValueError(f"kurtosis: got {kurtosis!r}; wants a number above 1.")
        return cls(
            law,
            given,
            _symmetries_of(law),
            None if box is None else _box(box, dimension),
            None if kurtosis is None else float(kurtosis),
        )

    @property
    def symmetries(self) -> tuple[AbstractSymmetry, ...]:
        """Of μ: those that are declared, and the law's."""
        return (*self.given, *self.of_law)

    @property
    def of_source(self) -> tuple[str, ...]:
        """What is said of the source, in words."""
        law = () if self.law is None else (f"the source is {type(self.law).__name__}",)
        return (*law, *(f"the source's symmetry: {own.name}" for own in self.given))

    @property
    def of_box(self) -> str:
        """What is said of the range, in words."""
        if self.box is None:
            return ""
        (low, other_low), (high, other_high) = ((end.min(), end.max()) for end in self.box)
        if low == other_low and high == other_high:
            return f"all entries lie in [{low:g}, {high:g}]"
        return "all points and images lie in the box"

    @property
    def of_gaps(self) -> str:
        """What is said of the tail, in words."""
        return "" if self.kurtosis is None else f"gaps of kurtosis at most {self.kurtosis:g}"

    @property
    def said(self) -> tuple[str, ...]:
        """All of it."""
        return tuple(own for own in (*self.of_source, self.of_box, self.of_gaps) if own)

    def upheld(
        self,
        x: np.ndarray,
        tx: np.ndarray,
        key: Key,
        *,
        drawn: bool,
        precision: float,
        shares: Shares | None = None,
    ) -> "Declared":
        """What the rows do not contradict; those that were ``drawn`` from the law cannot.

        Entries are known to ``precision``, a share of the largest. Rows whose weights have these
        ``shares`` are accepted by them, and of fewer than an audit takes nothing is contradicted.
        """
        random = numpy_generator(key)
        left, said = self, []
        if self.box is not None:
            slack = precision * max(float(np.abs(end).max()) for end in self.box)
            low, high = self.box[0] - slack, self.box[1] + slack
            out = ((x < low) | (x > high) | (tx < low) | (tx > high)).any(axis=1)
            if out.any():
                said.append(f"box: {int(out.sum()):,} of {len(x):,} rows lie outside of it")
                left = replace(left, box=None)
        few = (x if shares is None else x[shares.accepted(random)])[: 2 * _COMPARED]
        if len(few) < FEWEST:
            return replace(left, withdrawn=tuple(said))
        half = len(few) // 2

        def upheld(symmetries: Sequence[AbstractSymmetry]) -> tuple[AbstractSymmetry, ...]:
            kept = []
            for own in symmetries:
                found = feature_test(few[:half], own.scattered(few[half:], random), random)
                if found.p_value <= _CONTRADICTED:
                    said.append(f"symmetry, {own.name}: it changes the rows in {found.feature}")
                else:
                    kept.append(own)
            return tuple(kept)

        if self.law is not None and not drawn:
            others = np.asarray(self.law.sample(key, len(few)), np.float64)
            found = feature_test(few, others, random)
            if found.p_value <= _CONTRADICTED:
                said.append(f"law: the rows differ from it in {found.feature}")
                # What symmetry it has goes with it.
                left = replace(left, law=None, of_law=())
        left = replace(left, given=upheld(left.given))
        if not drawn:
            left = replace(left, of_law=upheld(left.of_law))
        return replace(left, withdrawn=tuple(said))


def _symmetries_of(law: AbstractMeasure | None) -> tuple[AbstractSymmetry, ...]:
    if isinstance(law, Gaussian):
        return (Elliptical(np.asarray(law.mean), np.asarray(law.covariance)),)
    if isinstance(law, StandardNormal):
        return (_spherical(law.dimension),)
    return ()


def _spherical(dimension: int) -> AbstractSymmetry:
    return Elliptical(np.zeros(dimension), np.eye(dimension))


def _symmetry(value: Any, dimension: int) -> AbstractSymmetry:
    if isinstance(value, AbstractSymmetry):
        return value
    if value == "exchangeable":
        return Exchangeable()
    if value == "signs":
        return SignChanges(np.zeros(dimension))
    if value == "spherical":
        return _spherical(dimension)
    raise ValueError(
        f"symmetry: got {value!r}; wants one of {', '.join(map(repr, _NAMED))} (about 0), or "
        "certify.Elliptical, certify.Exchangeable or certify.SignChanges."
    )


def _box(value: Any, dimension: int) -> tuple[np.ndarray, np.ndarray]:
    try:
        low, high = value
    except (TypeError, ValueError):
        raise ValueError(
            f"box: got {value!r}; wants (low, high), numbers or arrays ({dimension},)."
        ) from None
    ends = []
    for name, end in (("low", low), ("high", high)):
        array = as_float_array(f"box: {name}", end).astype(np.float64)
        if array.shape not in ((), (1,), (dimension,)):
            raise ValueError(
                f"box: got a {name} end of shape {array.shape}; wants a number or ({dimension},)."
            )
        if not np.isfinite(array).all():
            raise ValueError(f"box: got a {name} end of {end}; wants finite numbers.")
        ends.append(np.broadcast_to(array, (dimension,)))
    if not ((ends[0] <= ends[1]).all() and (ends[0] < ends[1]).any()):
        raise ValueError("box: got a high end that is not above the low one; wants (low, high).")
    return ends[0], ends[1]
