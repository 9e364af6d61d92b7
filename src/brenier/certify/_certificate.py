"""What an audit found: numbers, bounds, verdicts, and how they were computed."""

import dataclasses
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np

from brenier._atomic import atomic_write
from brenier._json import json_text, parsed_json
from brenier.certify._column_words import in_names
from brenier.certify._core import Share
from brenier.certify._defect import Defect
from brenier.certify._pair_savings import Cycle
from brenier.certify._printed import printed
from brenier.certify._reading import read_dataclass
from brenier.certify._rows import MANY_COPIES
from brenier.certify._target_tests import TargetTests
from brenier.certify._weights import Weighting
from brenier.certify._witnesses import Asymmetry, Monotonicity, Ring
from brenier.certify.page import certificate_page, certificate_summary

# Arrays that are kept for the figures and left out of ``to_dict``.
_PICTURES = {("asymmetry", "points"), ("asymmetry", "values")}
# Of the JSON: 1 had no core; 2 has it.
_VERSION = 2
# A share below this is rounding, and is shown so.
_ROUNDING, _NOTHING = 1e-12, "0 % (rounding)"
# Below this the error of values is that of float64.
_DOUBLE = 1e-12


@dataclass(frozen=True)
class Cost:
    """E‖X − T(X)‖² and its standard error.

    >>> import numpy as np
    >>> from brenier import audit_pairs
    >>> x = np.random.default_rng(0).normal(size=(400, 2))
    >>> round(audit_pairs(x, x + 1.0, budget=0.1).cost.value, 9)
    2.0
    """

    value: float
    stderr: float


@dataclass(frozen=True)
class Truth:
    """The map beside a known Monge map T*. Theory (5.9).

    Attributes:
        l2_uvp: 100 E‖T − T*‖² / Var(T*#μ), per cent.
        cosine: E⟨T − X, T* − X⟩ / (‖T − id‖ ‖T* − id‖).

    >>> import numpy as np
    >>> from brenier import audit_pairs
    >>> x = np.random.default_rng(0).normal(size=(400, 2))
    >>> truth = audit_pairs(x, 2.0 * x, truth=2.0 * x, budget=0.1).truth
    >>> truth.l2_uvp, round(truth.cosine, 9)
    (0.0, 1.0)
    """

    l2_uvp: float
    cosine: float


@dataclass(frozen=True)
class Verdict:
    """The two answers, in a word and in a sentence.

    Attributes:
        optimality: "optimal" (within ``tolerance``, outside a set of small mass), "not optimal",
            "not exactly optimal" (by how much is open), "undecided" or "no bound".
        target: "reached", "not reached", "undecided", or None where there is no target.
        optimality_reason, target_reason: why, with the numbers.

    >>> import numpy as np
    >>> from brenier import audit_pairs
    >>> x = np.random.default_rng(0).normal(size=(400, 2))
    >>> verdict = audit_pairs(x, -x, budget=0.1).verdict
    >>> verdict.optimality, verdict.target
    ('not optimal', None)
    """

    optimality: str
    target: str | None
    optimality_reason: str
    target_reason: str | None


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """How far a map is from optimal, and whether it reaches its target.

    Sections that could not be computed are None: ``asymmetry`` and ``ring`` without a map (a ring
    also where there is no asymmetry), ``pushforward`` (tests of the target) without a target,
    ``truth`` without the true map, ``weighting`` (effective rows, and what becomes of each level)
    without weights. ``how`` says what was done, with the key and the versions;
    ``samples`` holds the points for the figures (x, tx, and y). ``how["seconds"]`` is what it took,
    ``compiling`` the part of it in which JAX compiled.

    >>> import numpy as np
    >>> from brenier import audit_pairs
    >>> x = np.random.default_rng(0).normal(size=(400, 2))
    >>> audit_pairs(x, -x, budget=0.1).rows()[0][:2]
    ('Is it optimal?', 'not optimal')
    """

    cost: Cost
    defect: Defect
    asymmetry: Asymmetry | None
    monotonicity: Monotonicity
    ring: Ring | None
    pushforward: TargetTests | None
    truth: Truth | None
    verdict: Verdict
    how: dict[str, Any]
    samples: dict[str, np.ndarray] = field(repr=False)
    weighting: Weighting | None = None
    # No number of the map: with equal arguments it is another in every process.
    compiling: float = field(default=math.nan, repr=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and lists; NaN and infinity are kept."""
        fields = {
            name: _plain(getattr(self, name), name)
            for name in (f.name for f in dataclasses.fields(self))
            if name not in ("samples", "compiling")
        }
        return {"version": _VERSION, **fields}

    def to_json(self) -> str:
        """``to_dict`` as JSON, NaN and infinity as null."""
        return json_text(self.to_dict())

    @classmethod
    def from_json(cls, text: str) -> "Certificate":
        """The certificate that ``to_json`` wrote, of this version or an earlier one.

        Without the points for the figures, which are not in it: ``to_html`` needs those.

        Raises:
            ValueError: the text is no certificate, or one of a later version.

        >>> import numpy as np
        >>> from brenier import audit_pairs
        >>> x = np.random.default_rng(0).normal(size=(1000, 2))
        >>> written = audit_pairs(x, x + 1.0, budget=0.1).to_json()
        >>> Certificate.from_json(written).verdict.optimality
        'optimal'
        """
        if not isinstance(text, str | bytes):
            raise ValueError(f"text: got {type(text).__name__}; wants the JSON of a certificate.")
        plain = parsed_json("text, of a certificate", text)
        version = plain.get("version", 1) if isinstance(plain, dict) else 1
        if version not in range(1, _VERSION + 1):
            later = isinstance(version, int) and version > _VERSION
            raise ValueError(
                f"text: got a certificate of version {version!r:.100}; wants one of 1 to {_VERSION}"
                + (": it was written by a later brenier." if later else ".")
            )
        if isinstance(plain, dict):
            plain = {**plain, "samples": {}}
        read = read_dataclass(cls, plain, "certificate")
        for name in ("precision", "seconds", "copies", "source_points"):  # what the table shows
            if not isinstance(read.how.get(name, 0.0), int | float):
                raise ValueError(
                    f"certificate.how.{name}: got {read.how[name]!r:.100}; wants a number."
                )
        return read

    @overload
    def to_html(self) -> str: ...

    @overload
    def to_html(self, path: str | os.PathLike[str]) -> None: ...

    def to_html(self, path: str | os.PathLike[str] | None = None) -> str | None:
        """The report, one HTML page that needs nothing else; written to ``path`` where given.

        Whole or not at all: what stood there stands until the page is complete.

        Returns:
            The page, where there is no ``path``.
        """
        if not self.samples:
            raise ValueError(
                "certificate: got one without points, as JSON has none; wants one that audit gave."
            )
        page = certificate_page(self)
        if path is None:
            return page
        with atomic_write(path) as handle:
            handle.write(page.encode())
        return None

    def with_names(self, names: Sequence[str]) -> "Certificate":
        """The same of columns that have names, which stand in the place of their numbers.

        >>> import numpy as np
        >>> from brenier import audit_pairs
        >>> x = np.random.default_rng(0).normal(size=(400, 2))
        >>> found = audit_pairs(x, x + [0.0, 9.0], x, budget=0.1)
        >>> found.pushforward.axis, found.with_names(["age", "BMI"]).pushforward.axis
        ('column 2 of 2', "column 'BMI'")
        """
        return in_names(self, names)

    def _repr_html_(self) -> str:
        """What a notebook shows: verdicts, interval and table."""
        return certificate_summary(self)

    def _precision_row(self) -> list[tuple[str, str, str]]:
        """Said where the map's values are less precise than float64."""
        precision = self.how.get("precision", 0.0)
        if precision < _DOUBLE:
            return []
        remark = "of the largest: noise or rounding, which hides smaller defects"
        return [("error of the map's values", f"{precision:.1g}", remark)]

    def _copies_row(self) -> list[tuple[str, str, str]]:
        """Said where many rows are exact copies of others."""
        copies, of = self.how.get("copies", 0), self.how.get("source_points", 0)
        if not copies > MANY_COPIES * of:
            return []
        return [("copies of rows", f"{copies:,} of {of:,}", "the levels take rows for independent")]

    def rows(self) -> list[tuple[str, str, str]]:
        """(question, answer, remark): the table that a person reads."""
        d, level = self.defect, f"{100 * self.defect.level:g} %"
        rows = [
            ("Is it optimal?", self.verdict.optimality, self.verdict.optimality_reason),
            (
                "Does it reach the target?",
                self.verdict.target or "not asked",
                self.verdict.target_reason or "no target was given",
            ),
            *self._copies_row(),
            ("cost E‖X − T(X)‖²", f"{self.cost.value:.6g}", f"± {self.cost.stderr:.2g}"),
            *self._precision_row(),
            *([] if self.weighting is None else self.weighting.rows()),
            (
                "defect D, W₂² below the cost by",
                "0 up to rounding" if d.one_shift else f"{d.lower:.4g} to {d.upper:.4g}",
                f"at {level}; above, {'on the core' if d.core else 'the whole map'}: {d.potential}",
            ),
        ]
        for part in d.parts:
            of = "of the whole map" if part.outside == 0.0 else "on the core"
            also = f" ({of})" if len(d.parts) > 1 else ""
            shares = _between(part.wasted), _between(part.wasted_beyond_shift)
            if d.one_shift:
                shares = _NOTHING, "nothing is moved beyond it"
            rows += [
                (f"  wasted, of all that is moved{also}", shares[0], of),
                (f"  wasted beyond one common shift{also}", shares[1], of),
            ]
            if part.outside > 0.0:
                outside = f"{part.rows_outside:,} of {part.rows:,} rows"
                rows.append(
                    ("  mass outside the core", f"at most {_percent(part.outside)}", outside)
                )
        rows += [
            (
                f"  {bound.quantity}, {bound.level.partition(':')[0]}",
                f"{'≥' if bound.side == 'lower' else '≤'} {bound.value:.4g}",
                bound.by,
            )
            for bound in d.bounds
            if bound.level != "exact" and bound.quantity in ("D", "D of the whole map")
            if math.isfinite(bound.value)
        ]
        if d.declared:
            rows.append(("  declared", "; ".join(d.declared), ""))
        rows += [
            ("  declared and withdrawn", said, "the rows contradict it") for said in d.withdrawn
        ]
        rows.append(
            (
                "  cheaper permutations of batches",
                f"{d.matched:.4g}",
                f"{d.points_moved:,} of {d.n:,} points moved, {_in_batches(d)}",
            )
        )
        if self.asymmetry is not None:
            a = self.asymmetry
            how = "exact Jacobians" if a.step == 0 else f"differences, error {a.error:.1g}"
            rows.append(
                (
                    "asymmetry of DT, mean (largest)",
                    f"{a.mean:.3g} ({a.max:.3g})",
                    f"{a.n:,} points, {how}",
                )
            )
        m = self.monotonicity
        rows.append(
            (
                "pairs that would rather swap",
                _percent(m.violated_share),
                f"of {m.pairs:,}; at most {_percent(m.violated_upper)}",
            )
        )
        if self.ring is not None and self.ring.proven:
            r, found = self.ring, "not exactly optimal if the source has mass there"
            rows.append((f"ring of {r.k:,} neighbours saves", f"{r.relative_saving:.2g}", found))
        if self.pushforward is not None:
            p = self.pushforward
            rows += [
                (
                    "energy distance to the target",
                    f"{p.energy_distance:.3g}",
                    "no test: too few rows"
                    if math.isnan(p.p_value)
                    else f"p = {p.p_value:.3g}, effect {p.effect:.2g}",
                ),
                (
                    "sliced W₂ to the target",
                    f"{p.sliced_w2:.3g}",
                    f"two target samples: {p.sliced_w2_floor:.3g}",
                ),
            ]
            if not math.isnan(p.feature_p_value):
                rows += _feature_rows(p, level)
            if not math.isnan(p.stein_p_value):
                rows.append(("Stein test of the density", f"p = {p.stein_p_value:.3g}", ""))
            if not math.isnan(p.kl):
                rows.append(("KL(T#μ | ν)", f"{p.kl:.3g}", f"± {p.kl_stderr:.1g}"))
        if self.truth is not None:
            rows.append(
                (
                    "L2-UVP to the true map",
                    f"{self.truth.l2_uvp:.3g} %",
                    f"cosine {self.truth.cosine:.4g}",
                )
            )
        if "seconds" in self.how:
            of_it = self.compiling
            compiled = "" if math.isnan(of_it) else f"of which JAX compiled for {of_it:.1f}"
            rows.append(("seconds", f"{self.how['seconds']:.1f}", compiled))
        return rows

    def __str__(self) -> str:
        return printed(self.rows())


def _in_batches(d: Defect) -> str:
    """How many points were permuted at a time: not all of them."""
    return f"in batches of up to {d.growth[-1].n:,}" if d.growth else "which are too few for one"


def _feature_rows(p: TargetTests, level: str) -> list[tuple[str, str, str]]:
    """Where images and target differ most, and how far the worst column may be off."""
    upper = _percent(p.axis_distance_upper)
    return [
        (
            "largest difference of a feature",
            f"{abs(p.feature_difference):.2g} deviations",
            f"p = {p.feature_p_value:.3g}: {p.largest_feature()}",
        ),
        (
            "worst column is off by",
            _percent(p.axis_distance),
            f"sup|F − G|, at most {upper} at {level}, all columns at once: {p.axis}",
        ),
    ]


def _between(share: Share) -> str:
    return f"{_percent(share.lower)} to {_percent(share.upper)}"


def _percent(share: float) -> str:
    if 0.0 < share < _ROUNDING:
        return _NOTHING
    return "unbounded" if math.isinf(share) else f"{100 * share:.3g} %"


def _plain(value: Any, *path: str) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        plain = {
            f.name: _plain(getattr(value, f.name), *path, f.name)
            for f in dataclasses.fields(value)
            if (*path, f.name) not in _PICTURES and f.metadata.get("written", True)
        }
        return {**plain, "proof": value.proof()} if isinstance(value, Ring | Cycle) else plain
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, dict):
        return {key: _plain(item, *path, key) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(item, *path) for item in value]
    return value
